"""Two spellings of one amount are one amount."""

from __future__ import annotations

import pytest

from jetmill_operator.resources.quantity import is_same_quantity, parse_quantity


@pytest.mark.parametrize(
    ("one", "other"),
    [("500m", "0.5"), (1, "1"), ("1Gi", "1024Mi"), ("1k", 1000), ("1e3", "1k"), ("0.1", "100m"), (0.5, "500m")],
)
def test_spellings_of_one_amount_are_the_same(one, other) -> None:
    assert is_same_quantity(one, other)


@pytest.mark.parametrize(("one", "other"), [("500m", "0.6"), ("1Gi", "1G"), ("1", None), ("x", "x"), (True, 1)])
def test_other_amounts_and_what_is_none_are_not(one, other) -> None:
    assert not is_same_quantity(one, other)


@pytest.mark.parametrize("text", ["", "1 Gi", "m", "1KiB", "--1", None, [], True])
def test_what_is_no_quantity_is_none(text) -> None:
    assert parse_quantity(text) is None
