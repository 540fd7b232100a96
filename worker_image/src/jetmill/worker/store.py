"""Large payloads and results: fetched and stored for as long as it takes, for NATS may be away."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from jetmill.bus.ports import Bus
from jetmill.errors import BusError, InvalidPayloadError, NotFoundError
from jetmill.ledger.lease import Claim
from jetmill.ledger.patience import Backoff
from jetmill.protocol.outcome import Outcome, Succeeded
from jetmill.protocol.record import PayloadRef
from jetmill.worker.outcome import FailureError, invalid_payload

_T = TypeVar("_T")


async def fetch_payload(bus: Bus, ref: PayloadRef) -> bytes:
    """A payload from the object store; FailureError (invalid_payload) if it is gone or is another."""
    try:
        data = await _until_answered(lambda: bus.payloads.get(ref.name))
    except NotFoundError as err:
        raise FailureError(invalid_payload(InvalidPayloadError(f"the payload {ref.name} is gone"))) from err
    if hashlib.sha256(data).hexdigest() != ref.sha256:
        raise FailureError(invalid_payload(InvalidPayloadError(f"the payload {ref.name} is not the one enqueued")))
    return data


async def store_result(bus: Bus, claim: Claim, result: bytes) -> Outcome:
    """Put a large result into the object store; its outcome points there."""
    digest = hashlib.sha256(result).hexdigest()
    ref = PayloadRef(name=f"{claim.entry.id}.result.{digest[:16]}", bytes=len(result), sha256=digest)
    await _until_answered(lambda: bus.payloads.put(ref.name, result))
    return Succeeded(result_ref=ref)


async def _until_answered(ask: Callable[[], Awaitable[_T]]) -> _T:
    backoff = Backoff()
    while True:
        try:
            return await ask()
        except BusError as err:
            if not err.retryable:
                raise
            await backoff.pause(err)
