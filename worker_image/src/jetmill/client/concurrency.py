"""A key of which one job at a time is begun and not done with: a caller's words for the protocol's gate (rule 9).

Asked is at the start, not at the enqueueing, so a key holds whoever enqueues, in whatever order, with every client
gone. To have one job of a key *ever*, give it an id instead: `id_from_key`.
"""

from __future__ import annotations

from typing import Literal, get_args

from jetmill.ledger.gate import Policy, build_gate, parse_gate

ConcurrencyPolicy = Literal["wait", "skip", "replace"]
POLICIES: tuple[ConcurrencyPolicy, ...] = get_args(ConcurrencyPolicy)
DEFAULT_POLICY: ConcurrencyPolicy = "wait"

_GATES: dict[ConcurrencyPolicy, Policy] = {"wait": "limit", "skip": "forbid", "replace": "replace"}
_WORDS = {gate: word for word, gate in _GATES.items()}


def build_key_gate(key: str | None, policy: ConcurrencyPolicy | None) -> str | None:
    """The gate that a record carries for a key, if there is one."""
    return None if key is None else build_gate(_GATES[policy or DEFAULT_POLICY], key)


def parse_key_gate(gate: str | None) -> tuple[str | None, ConcurrencyPolicy | None]:
    """Key and policy of a record's gate."""
    if gate is None:
        return None, None
    policy, key = parse_gate(gate)
    return key, _WORDS[policy]
