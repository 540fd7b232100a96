"""Compares the fields of all CRDs with the tests that prove them: `python -m support.fields build/fields.json`.

Every field that holds a value counts, those of the status too: what an operator says is what people go by. A mark for
all kinds at once is written `*.status.observedGeneration`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jetmill_operator.api.crd import DEFINITIONS, list_leaves


def compare(record: Mapping[str, Any], leaves: Iterable[str]) -> list[str]:
    """Say which fields no passing test proves, which marks name no field, and which tests failed."""
    leaves = set(leaves)
    proven, faults = set[str](), list[str]()
    for test, entry in sorted(record.items()):
        if not entry["passed"]:
            faults.append(f"did not pass: {test}")
        for mark in entry["fields"]:
            named = {leaf for leaf in leaves if leaf == mark or mark == f"*.{leaf.partition('.')[2]}"}
            if not named:
                faults.append(f"no such field: {mark} ({test})")
            if entry["passed"]:
                proven |= named
    return faults + [f"no test: {leaf}" for leaf in sorted(leaves - proven)]


def main() -> int:
    """Print what is missing; 1 if anything is."""
    file = Path(sys.argv[1])
    leaves = [leaf for definition in DEFINITIONS for leaf in list_leaves(definition)]
    faults = compare(json.loads(file.read_text()) if file.exists() else {}, leaves)
    missing = sum(fault.startswith("no test") for fault in faults)
    print(*faults, f"{len(leaves) - missing} of {len(leaves)} fields are proven by a test that passed", sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
