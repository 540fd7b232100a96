"""Everything that `import jetmill` promises is there."""

from __future__ import annotations

import ast
from pathlib import Path

import jetmill

NAMES: list[str] = vars(jetmill)["__all__"]


def test_every_name_of_the_facade_is_there() -> None:
    for name in NAMES:
        assert getattr(jetmill, name) is not None


def test_type_checkers_are_told_of_the_same_names() -> None:
    stub = ast.parse(Path(jetmill.__file__).with_suffix(".pyi").read_text())
    imported = {name.asname for node in stub.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert imported | {"__version__"} == set(NAMES)
