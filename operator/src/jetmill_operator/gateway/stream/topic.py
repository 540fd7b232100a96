"""Topics: what one can subscribe to, as texts and as values.

A topic's text (`jobs:send-email`) is also the key under which subscribers are found, so there is one text for each.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from jetmill.errors import InputError
from jetmill.protocol.name import parse_event_type, parse_job_id, parse_job_name, parse_user
from jetmill.protocol.record import Entry
from jetmill.protocol.state import State


class Kind(StrEnum):
    """What stands before the colon."""

    NAMESPACE = "namespace"
    """Every transition of every job."""
    JOBS = "jobs"
    """The transitions of one Job's jobs."""
    STATE = "state"
    """The transitions into one state."""
    JOB = "job"
    """The transitions of one job."""
    LOG = "log"
    """The log lines of one job."""
    PROGRESS = "progress"
    """The progress reports of one job."""
    EVENT = "event"
    """The application's events of a type, of all below one (`doc.*`), or all (`*`)."""
    WORKERS = "workers"
    """Who works: the whole table, at each change."""
    QUEUES = "queues"
    """What waits: the whole table, at each change."""
    TOPIC = "topic"
    """What is broadcast to a topic of the application."""
    USER = "user"
    """What is sent to the user himself."""


LEDGER = frozenset({Kind.NAMESPACE, Kind.JOBS, Kind.STATE, Kind.JOB})
TRACE = frozenset({Kind.LOG, Kind.PROGRESS})
TABLE = frozenset({Kind.WORKERS, Kind.QUEUES})
MESSAGE = frozenset({Kind.TOPIC, Kind.USER})
_NAMELESS = frozenset({Kind.NAMESPACE, Kind.WORKERS, Kind.QUEUES})


class Topic(NamedTuple):
    """A parsed topic; `str()` gives its text."""

    kind: Kind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else str(self.kind)


def parse_topic(text: str, *, user: str | None = None) -> Topic:
    """Parse a topic's text; InputError. A bare `user` is `user` himself; who has no name has no such topic."""
    head, colon, name = text.partition(":")
    try:
        kind = Kind(head)
    except ValueError:
        known = ", ".join(Kind)
        raise InputError(f"topic: there is none of kind {head!r:.80}", field="topic", cure=f"known: {known}") from None
    if kind is Kind.USER and not colon:
        if user is None:
            raise InputError("topic: you have no name here", field="topic", cure="log in")
        return Topic(kind, user)
    if kind in _NAMELESS:
        if colon:
            raise InputError(f"topic: {kind} takes no name", field="topic", cure=f"write {kind}")
        return Topic(kind)
    return Topic(kind, _parse_name(kind, name))


def _parse_name(kind: Kind, name: str) -> str:
    match kind:
        case Kind.JOBS:
            return parse_job_name(name, field="topic")
        case Kind.JOB | Kind.LOG | Kind.PROGRESS:
            return parse_job_id(name, field="topic")
        case Kind.EVENT:
            if name != "*":
                parse_event_type(name.removesuffix(".*"), field="topic")
            return name
        case Kind.TOPIC:
            return parse_event_type(name, field="topic")
        case Kind.USER:
            return parse_user(name, field="topic")
        case _:
            if name not in set(State):
                cure = f"known: {', '.join(State)}"
                raise InputError(f"topic: no state {name!r:.80}", field="topic", cure=cure)
            return name


def find_record_topics(entry: Entry) -> tuple[str, ...]:
    """The topics that a record of the ledger belongs to."""
    return (f"job:{entry.id}", f"jobs:{entry.record.job}", f"state:{entry.record.state}", "namespace")


def find_event_topics(event_type: str) -> tuple[str, ...]:
    """The topics that an event belongs to: its type, `.*` below each of its labels, and all."""
    labels = event_type.split(".")
    below = [f"event:{'.'.join(labels[:count])}.*" for count in range(1, len(labels))]
    return (f"event:{event_type}", *below, "event:*")
