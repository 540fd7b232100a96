"""Gates (rule 9): a key of which one job at a time may be claimed.

```
holder record ── this job, this enqueueing ─▶ enter
  │               none, or not valid ────────▶ compare-and-set to this job ─▶ enter
  └ valid (its job open in that enqueueing)
        forbid ──▶ skip (`overlap`)        replace ──▶ cancel the holder, look again
        limit, or retried by a person ───▶ look again
```

The holder names the enqueueing, or a job that a person retries would still own the key of its first life. Nothing is
released: a holder is valid while its job is open.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, cast, get_args

from jetmill.errors import BusError, JobNotFoundError, RefusedError
from jetmill.ledger.actor import Actor
from jetmill.ledger.cancel import cancel_patiently
from jetmill.ledger.patience import Backoff, insist
from jetmill.protocol.record import Entry, Holder
from jetmill.protocol.state import State

Policy = Literal["forbid", "replace", "limit"]
LOOK_AGAIN_SECONDS = 1.0
LONGEST_LOOK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Enter:
    """The key is this job's: claim it."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Another job holds the key, and the policy forbids to wait."""


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Another job holds the key: put the delayed hint for `due` (µs)."""

    due: int


Verdict = Enter | Skip | LookAgain


def build_gate(policy: Policy, key: str) -> str:
    """The text that a record carries: what to do when the key is held, and the key (any text)."""
    return f"{policy}:{key}"


def parse_gate(gate: str) -> tuple[Policy, str]:
    """Policy and key of a gate; a policy of a newer version counts as `limit`, which only waits."""
    policy, _, key = gate.partition(":")
    return (cast("Policy", policy) if policy in get_args(Policy) else "limit"), key


def hash_key(key: str) -> str:
    """The subject token of a key."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


async def ask_gate(actor: Actor, entry: Entry) -> Verdict:
    """Ask the holder of a waiting job's gate before a claim; raises CodecError."""
    assert entry.record.gate is not None
    policy, key = parse_gate(entry.record.gate)
    token = hash_key(key)
    me = Holder(id=entry.id, enqueueing=entry.record.enqueueing)
    backoff = Backoff()
    while True:
        found = await insist(lambda: actor.bus.ledger.read_holder(token), backoff)
        if found is not None and found[1] == me:
            return Enter()
        if found is not None and await _is_valid(actor, found[1]):
            return await _decide(actor, entry, policy, found[1])
        try:
            await actor.bus.ledger.append_holder(token, me, expected=0 if found is None else found[0])
        except RefusedError:
            continue
        except BusError as err:
            await backoff.pause(err)
        else:
            return Enter()


async def _is_valid(actor: Actor, holder: Holder) -> bool:
    """A holder is valid while its job is open in the enqueueing that it names."""
    last = await actor.read(holder.id)
    return last is not None and last.record.open and last.record.enqueueing == holder.enqueueing


async def _decide(actor: Actor, entry: Entry, policy: Policy, holder: Holder) -> Verdict:
    record = entry.record
    # A slot that was withdrawn and planned again is no job that a person retries.
    reopened = record.enqueueing > 1 and record.state is not State.SCHEDULED
    waits = policy == "limit" or reopened or record.state is State.RETRYING
    if not waits and policy == "forbid":
        return Skip()
    if not waits:
        with suppress(JobNotFoundError):
            await cancel_patiently(actor.bus, holder.id, by=f"worker:{actor.worker}", backoff=Backoff())
        return LookAgain(actor.now() + round(LOOK_AGAIN_SECONDS * 1e6))
    waited_seconds = (actor.now() - entry.time) / 1e6
    wait_seconds = min(max(waited_seconds / 10, LOOK_AGAIN_SECONDS), LONGEST_LOOK_SECONDS)
    return LookAgain(actor.now() + round(wait_seconds * 1e6))
