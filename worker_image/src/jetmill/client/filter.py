"""Filters: what an application does around every job, or around those of one Job.

`on_creating` and `on_created` run where a job is enqueued, the others in the worker. Each may be a plain method or a
coroutine. A filter that raises in `on_creating` stops the enqueueing with that error.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jetmill.client.option import CallOptions
from jetmill.protocol.outcome import Outcome

if TYPE_CHECKING:
    from jetmill.client.handle import JobHandle


@dataclass(slots=True)
class Creation:
    """A job that is about to be enqueued; a filter may change its payload and options."""

    job: str
    payload: bytes
    """An encoded JSON object."""
    options: CallOptions


class Filter:
    """Derive from it and override what you need."""

    def on_creating(self, creation: Creation) -> Awaitable[None] | None:
        """Before a job is enqueued; raise to refuse it."""

    def on_created(self, handle: JobHandle) -> Awaitable[None] | None:
        """After a job was accepted."""

    def on_performing(self, ctx: Any) -> Awaitable[None] | None:
        """Before the handler runs, `ctx` being its JobContext; what it raises counts as the handler's."""

    def on_performed(self, ctx: Any, outcome: Outcome) -> Awaitable[None] | None:
        """After the handler ran."""

    def on_state_election(self, ctx: Any, outcome: Outcome) -> Awaitable[Outcome] | Outcome:  # noqa: ARG002 - overridden
        """Elect the outcome that is recorded; return the given one to leave it. One that no record can hold (a result
        that is no JSON) is logged, and the one before stands.
        """
        return outcome


_filters: tuple[Filter, ...] = ()


def add_filter(one: Filter) -> Filter:
    """Let a filter see every job of this process from now on, after those that were added before."""
    global _filters  # noqa: PLW0603 - exchanged whole, so that who reads it has no need to copy
    _filters = (*_filters, one)
    return one


def remove_filter(one: Filter) -> None:
    """Take a filter away; one that is not there is no error."""
    global _filters  # noqa: PLW0603 - as above
    if one in _filters:
        at = _filters.index(one)
        _filters = _filters[:at] + _filters[at + 1 :]


def global_filters() -> tuple[Filter, ...]:
    """The filters that see every job, in order."""
    return _filters
