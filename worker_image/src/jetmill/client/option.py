"""What one call asks for, as its caller writes it, and as the ledger does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypedDict, Unpack

from jetmill.errors import InputError
from jetmill.protocol.name import parse_job_id
from jetmill.protocol.record import Band, Call
from jetmill.protocol.subject import BANDS

if TYPE_CHECKING:
    from jetmill.client.concurrency import ConcurrencyPolicy

MAX_KEY_CHARACTERS = 256
MAX_SECONDS = 3_153_600_000.0
"""A hundred years. A moment further away than dates go would be written, and nobody could read the job any more."""


class CallKeywords(TypedDict, total=False):
    """What a caller may say of one call."""

    id: str | None
    priority: Band | int | None
    delay: float | timedelta | None
    at: datetime | None
    max_retries: int | None
    timeout: float | timedelta | None
    labels: Mapping[str, str] | None
    user: str | None
    start_by: datetime | timedelta | None
    concurrency_key: str | None
    concurrency_policy: ConcurrencyPolicy | None


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What a caller said of one call; None: the Job's own."""

    id: str | None = None
    """The caller's own id (a label; `id_from_key` makes one): the same id again is the same job."""
    priority: Band | None = None
    delay_seconds: float | None = None
    at: datetime | None = None
    max_retries: int | None = None
    timeout_seconds: float | None = None
    labels: Mapping[str, str] | None = None
    user: str | None = None
    start_by: datetime | timedelta | None = None
    """Not started by then (a time, or how long from now), it is skipped as `expired`."""
    concurrency_key: str | None = None
    """Of the namespace's jobs with this key, of whichever Job, one at a time is begun and not done with."""
    concurrency_policy: ConcurrencyPolicy | None = None
    """When it would start and another has its key: wait for it (None: this), be skipped, or cancel it and follow."""

    def updated(self, **keywords: Unpack[CallKeywords]) -> CallOptions:
        """The same with some options set; InputError names one that cannot be."""
        unknown = keywords.keys() - CallKeywords.__annotations__.keys()
        if unknown:
            known = ", ".join(CallKeywords.__annotations__)
            raise InputError(
                f"no such option: {', '.join(sorted(unknown))}", field=min(unknown), cure=f"known: {known}"
            )
        changes: dict[str, object] = {}
        for key, value in keywords.items():
            name = {"delay": "delay_seconds", "timeout": "timeout_seconds"}.get(key, key)
            changes[name] = None if value is None else _check(key, value)
        changed = replace(self, **changes)  # type: ignore[arg-type]
        if changed.delay_seconds is not None and changed.at is not None:
            raise InputError("both delay and at", field="at", cure="give one of them")
        if changed.concurrency_policy is not None and changed.concurrency_key is None:
            raise InputError(
                "concurrency_policy: without a key", field="concurrency_policy", cure="give concurrency_key as well"
            )
        return changed

    def due(self, now: int) -> int | None:
        """When the job may start, µs, given the server's clock; None: at once."""
        if self.at is not None:
            return round(self.at.timestamp() * 1_000_000)
        if self.delay_seconds is not None and self.delay_seconds > 0:
            return now + round(self.delay_seconds * 1_000_000)
        return None

    def call(self, now: int, *, trace: str | None, labels: Mapping[str, str] | None = None) -> Call:
        """What goes into the record; `labels` are the declaration's, under the call's own."""
        merged = {**(labels or {}), **(self.labels or {})}
        return Call(
            user=self.user,
            labels=merged or None,
            trace=trace,
            max_retries=self.max_retries,
            timeout_seconds=self.timeout_seconds,
            start_by=self._deadline(now),
        )

    def _deadline(self, now: int) -> int | None:
        if self.start_by is None:
            return None
        if isinstance(self.start_by, datetime):
            return round(self.start_by.timestamp() * 1_000_000)
        return (self.due(now) or now) + round(self.start_by.total_seconds() * 1_000_000)


def band_of(priority: Band | int) -> Band:
    """The band of a priority: itself, or high above 0, normal at 0, low below."""
    if isinstance(priority, int) and not isinstance(priority, bool):
        return "high" if priority > 0 else "low" if priority < 0 else "normal"
    if priority not in BANDS:
        raise InputError(f"priority: {priority!r}", field="priority", cure="high, normal, low or an integer")
    return priority


def parse_time(value: datetime, *, field: str) -> datetime:
    """Refuse a datetime without a zone: nobody can tell which moment it means."""
    if not isinstance(value, datetime):
        raise InputError(f"{field}: {type(value).__name__} is no datetime", field=field)
    if value.utcoffset() is None:
        raise InputError(
            f"{field}: {value.isoformat()} has no time zone",
            field=field,
            cure="datetime.now(UTC) + …, or tzinfo=ZoneInfo(…)",
        )
    return value


def seconds_of(value: float | timedelta, *, field: str) -> float:
    """Seconds of a number or a timedelta; refused are negative ones, and what is no number."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= MAX_SECONDS:
        raise InputError(
            f"{field}: {value!r}",
            field=field,
            cure="0 to a hundred years, in seconds or as a timedelta",
        )
    return float(seconds)


def _check(key: str, value: object) -> object:
    match key:
        case "id":
            return parse_job_id(value, field="id")  # type: ignore[arg-type]
        case "priority":
            return band_of(value)  # type: ignore[arg-type]
        case "delay":
            return seconds_of(value, field=key)  # type: ignore[arg-type]
        case "timeout":
            return _check_timeout(value)
        case "at":
            return parse_time(value, field=key)  # type: ignore[arg-type]
        case "start_by":
            return value if isinstance(value, timedelta) else parse_time(value, field=key)  # type: ignore[arg-type]
        case "max_retries":
            return _check_count(value, field=key)
        case "labels":
            return _check_labels(value)
        case "concurrency_key":
            return _check_key(value)
        case "concurrency_policy":
            return _check_policy(value)
        case _:
            if not isinstance(value, str):
                raise InputError(f"{key}: {value!r:.80} is no text", field=key)
    return value


def _check_timeout(value: object) -> float:
    seconds = seconds_of(value, field="timeout")  # type: ignore[arg-type]
    if seconds == 0:
        raise InputError("timeout: 0 leaves no time", field="timeout", cure="leave it out for the Job's own")
    return seconds


def _check_count(value: object, *, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"{field}: {value!r}", field=field, cure="a whole number, not less than 0")
    return value


def _check_key(key: object) -> str:
    """Any text that the ledger can write and a person can read; not empty, for that is a mistake of the caller's."""
    if not isinstance(key, str) or not 1 <= len(key) <= MAX_KEY_CHARACTERS or not key.isprintable():
        raise InputError(
            f"concurrency_key: {key!r:.80}",
            field="concurrency_key",
            cure=f"a text of 1 to {MAX_KEY_CHARACTERS} printable characters",
        )
    return key


def _check_policy(policy: object) -> object:
    from jetmill.client.concurrency import POLICIES

    if policy not in POLICIES:
        known = ", ".join(POLICIES)
        raise InputError(f"concurrency_policy: {policy!r:.80}", field="concurrency_policy", cure=f"known: {known}")
    return policy


def _check_labels(labels: object) -> Mapping[str, str]:
    if not isinstance(labels, Mapping):
        raise InputError("labels: no mapping", field="labels", cure="texts to texts")
    for key, value in labels.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise InputError(f"labels: {key!r:.40} or its value is no text", field=f"labels.{key}")
    return labels
