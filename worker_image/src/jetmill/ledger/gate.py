"""Gates (rule 9): a key of which one job may be claimed at a time."""

from __future__ import annotations

from typing import Literal

Policy = Literal["forbid", "replace", "limit"]


def build_gate(policy: Policy, key: str) -> str:
    """The text that a record carries: what to do when the key is held, and the key."""
    return f"{policy}:{key}"
