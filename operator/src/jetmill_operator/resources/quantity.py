"""Quantities of Kubernetes ("500m", "0.5", "1Gi") as numbers, so that two spellings of one amount compare equal.

The grammar is that of k8s.io/apimachinery's resource.Quantity: a decimal number and a suffix, binary (Ki … Ei), decimal
(n, u, m, k … E) or an exponent (1e3).
"""

from __future__ import annotations

import re
from decimal import Decimal

_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?\d{1,3}))?")
_BINARY: dict[str, int] = {suffix: 1024**power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def parse_quantity(value: object) -> Decimal | None:
    """The amount, or None for what is no quantity."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    match = _FORM.fullmatch(str(value))
    if match is None:
        return None
    number, binary, decimal, exponent = match.groups()
    if binary is not None:
        return Decimal(number) * _BINARY[binary]
    return Decimal(number).scaleb(_DECIMAL[decimal] if decimal else int(exponent or 0))


def is_same_quantity(one: object, other: object) -> bool:
    """Tell whether two spellings mean the same amount."""
    amount = parse_quantity(one)
    return amount is not None and amount == parse_quantity(other)
