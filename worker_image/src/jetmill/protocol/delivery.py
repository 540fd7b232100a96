"""What is written down of a Webhook's requests: the log of one attempt, and how its endpoint fares.

The log is the recorded value of an attempt, whatever its outcome. The state of an endpoint is a note that every
dispatcher reads and adds to. Secrets are in neither.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from jetmill.errors import CodecError
from jetmill.protocol.record import VERSION, Struct

HOURS = 24
"""For so long attempts are counted."""


class AttemptLog(Struct, frozen=True, kw_only=True):
    """One request and its answer."""

    time: int
    """µs, when it began."""
    method: str
    url: str
    request_headers: dict[str, str] = msgspec.field(default_factory=dict)
    """As they were sent; a signature tells nothing of the secret."""
    status: int | None = None
    """None: no answer came."""
    latency_seconds: float = 0.0
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    """Of the answer."""
    body: str = ""
    """The first 4 KiB of it, as text."""
    truncated: bool = False
    """There was more."""
    error: str | None = None
    """Why the attempt counts as failed."""


class LastDelivery(Struct, frozen=True, kw_only=True):
    """The attempt that ended last."""

    id: str
    time: int
    """µs, when it ended."""
    delivered: bool
    status: int | None = None
    error: str | None = None


class HourCount(Struct, frozen=True, kw_only=True):
    """The attempts of one hour."""

    hour: int
    """Hours since the Unix epoch."""
    delivered: int = 0
    failed: int = 0


class EndpointState(Struct, frozen=True, kw_only=True, tag_field="v", tag=VERSION):
    """How a Webhook's endpoint fares, as all dispatchers together saw it."""

    uid: str
    generation: int = 0
    """Of the Webhook that it is about; another one begins anew."""
    opens: int = 0
    """How often in a row the circuit was opened; 0: it is closed."""
    until: int = 0
    """µs: nothing is sent before; then one request at a time tries."""
    failing_since: int | None = None
    """µs: the first failure after the last success."""
    disabled: Literal["gone", "failing"] | None = None
    """Nothing is sent any more: it answered 410, or failed for too long."""
    disabled_time: int = 0
    """µs."""
    last: LastDelivery | None = None
    hours: list[HourCount] = msgspec.field(default_factory=list)
    """Those of the last 24 in which something was sent, in order."""
    filter_errors: int = 0
    """Events that its filter could not judge."""


_state = msgspec.json.Decoder(EndpointState)
_log = msgspec.json.Decoder(AttemptLog)


def name_note(webhook: str) -> str:
    """The key of the note with the state of a Webhook's endpoint."""
    return f"hook.{webhook}"


def decode_endpoint(data: bytes) -> EndpointState:
    """Decode the state of an endpoint; CodecError."""
    try:
        return _state.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as err:
        raise CodecError(f"cannot be decoded: {err}") from err


def decode_log(data: bytes) -> AttemptLog:
    """Decode the log of an attempt; CodecError."""
    try:
        return _log.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as err:
        raise CodecError(f"cannot be decoded: {err}") from err
