"""Writes what is made from the models: crds/*.yaml and docs/reference/*.md (`make generate`)."""

from pathlib import Path

from jetmill_operator.api.crd import DEFINITIONS, format_crd
from jetmill_operator.api.page import format_page

ROOT = Path(__file__).resolve().parents[1]

for definition in DEFINITIONS:
    (ROOT / "crds" / f"{definition.plural}.yaml").write_text(format_crd(definition))
    (ROOT / "docs/reference" / f"{definition.kind.lower()}.md").write_text(format_page(definition))
