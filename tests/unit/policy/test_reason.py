"""Types and reasons are API: `docs/conditions.md` has each of them, with what the code says of it."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
from enum import StrEnum
from pathlib import Path

import pytest

from jetmill_operator.policy.reason import Reason, Type

PAGE = Path(__file__).parents[3] / "docs" / "conditions.md"


def read_docstrings(enum: type[StrEnum]) -> dict[str, str]:
    """What stands below each member."""
    [body] = [node.body for node in ast.parse(inspect.getsource(enum)).body if isinstance(node, ast.ClassDef)]
    found = {}
    for member, text in itertools.pairwise(body):
        if isinstance(member, ast.Assign) and isinstance(text, ast.Expr):
            assert isinstance(member.value, ast.Constant)
            assert isinstance(text.value, ast.Constant)
            found[str(member.value.value)] = " ".join(str(text.value.value).split())
    return found


@pytest.mark.parametrize("enum", [Type, Reason])
def test_the_page_says_of_each_what_the_code_says(enum) -> None:
    rows = set(re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE.read_text(), re.MULTILINE))
    wanted = read_docstrings(enum)
    assert set(wanted) == {str(member) for member in enum}
    assert set(wanted.items()) <= rows


def test_the_page_names_nothing_else() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)
    assert set(rows) == {str(member) for member in (*Type, *Reason)}
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+", name) for name in rows)
