"""The streams, consumers and buckets of a namespace, as JetStream wants them told: pure, compared with what is there.

A stream is changed only where it differs in what is said here; whatever else an administrator set on it stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jetmill.protocol.event import EventPattern
from jetmill.protocol.record import JobSettings
from jetmill.protocol.subject import BANDS, Subjects

Config = dict[str, Any]

_SECOND = 1_000_000_000
_DAY = 86_400 * _SECOND
ACK_WINDOW = 1_000_000
"""Deliveries in hand at once; no limit on concurrency, that is the workers' slots."""
KEPT_EVENTS = 250_000
"""Of each type: many of one (every transition of every job is an event) must not push out the few of another."""
SUBSCRIPTION_SECONDS = 30
"""For how long an event may be in hand without a word."""
SUBSCRIPTION_PREFIX = "sub-"
"""Of the consumers that are durable subscriptions."""
_BY_CREATION = frozenset({"persist_mode"})
FAR_FUTURE = "9999-01-01T00:00:00Z"


def build_namespace(subjects: Subjects, *, replicas: int) -> list[Config]:
    """All streams of a namespace but the queues; buckets are streams too."""
    root = subjects.root
    return [
        _stream(
            subjects.ledger_stream,
            [f"{root}.{kind}.*" for kind in ("job", "hold", "plan", "delivery")],
            replicas=replicas,
            allow_atomic=True,
            discard="new",  # at a limit that somebody set, the writer gets an error and no job is lost
            max_age=0,
            max_msgs_per_subject=-1,
        ),
        _stream(
            subjects.events_stream,
            [f"{root}.event.>", subjects.dead("*", "*"), subjects.again("*", "*")],
            replicas=replicas,
            max_age=7 * _DAY,
            max_msgs_per_subject=KEPT_EVENTS,
            allow_atomic=True,
            duplicate_window=120 * _SECOND,
        ),
        _stream(
            subjects.trace_stream,
            [f"{root}.progress.*", f"{root}.log.*"],
            replicas=replicas,
            max_age=_DAY,
            max_msgs_per_subject=1000,
        ),
        _bucket(subjects.jobs_bucket, replicas=replicas),
        _bucket(subjects.workers_bucket, replicas=replicas, allow_msg_ttl=True),
        _bucket(subjects.notes_bucket, replicas=replicas),
        _stream(
            f"OBJ_{subjects.payloads_bucket}",
            [f"$O.{subjects.payloads_bucket}.{part}.>" for part in ("C", "M")],
            replicas=replicas,
            discard="new",
            allow_rollup_hdrs=True,
        ),
    ]


def build_queue(subjects: Subjects, job: str, *, replicas: int) -> Config:
    """The work queue of a Job. No limits: schedules refuse `discard: new`, and `old` would drop jobs.

    A single server writes hints down without waiting for the disk (ADR 6): what a crash takes, the keeper puts back.
    """
    grouping: Config = {"persist_mode": "async"} if replicas == 1 else {"allow_atomic": True}
    return _stream(
        subjects.queue_stream(job),
        [f"{subjects.root}.q.{job}.*.*", subjects.delayed(job, "*")],
        replicas=replicas,
        retention="workqueue",
        allow_msg_schedules=True,
        allow_msg_ttl=True,
        **grouping,
    )


def build_consumers(subjects: Subjects, settings: JobSettings) -> list[Config]:
    """One durable consumer for each band."""
    return [
        {
            "durable_name": band,
            "name": band,
            "filter_subject": subjects.queue_filter(settings.job, band),
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "replay_policy": "instant",
            "ack_wait": round(settings.lease_seconds * _SECOND),
            "max_deliver": -1,
            "max_ack_pending": ACK_WINDOW,
            "max_waiting": 4096,
        }
        for band in BANDS
    ]


def build_subscription(subjects: Subjects, name: str, patterns: Sequence[EventPattern], *, start: int) -> Config:
    """The durable consumer of a subscription. Filters must not overlap: what another one takes is left out."""
    kept = [one for one in patterns if not any(other != one and other.covers(one) for other in patterns)]
    filters = sorted({subjects.event_prefix + one.subject for one in kept})
    consumer = SUBSCRIPTION_PREFIX + name
    return {
        "durable_name": consumer,
        "name": consumer,
        "filter_subjects": [*filters, subjects.again(name, "*")],
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": max(1, start),
        "ack_policy": "explicit",
        "replay_policy": "instant",
        "ack_wait": SUBSCRIPTION_SECONDS * _SECOND,
        "max_deliver": -1,
        "max_ack_pending": 1_000,
        "max_waiting": 512,
        "metadata": {"patterns": ",".join(one.text for one in patterns)},
    }


def find_changes(wanted: Config, there: Config) -> Config:
    """What of `wanted` is not so in `there`; fields that the server leaves out are its zero values.

    A stream keeps its way of grouping writes from its creation: it cannot be changed.
    """
    return {
        name: value
        for name, value in wanted.items()
        if name not in _BY_CREATION and there.get(name, _zero(value)) != value
    }


def find_obstacle(wanted: Config, there: Config) -> tuple[str, str] | None:
    """What forbids to make a stream that is `there` like `wanted`, and the cure."""
    if set(there.get("subjects") or []).isdisjoint(wanted["subjects"]) or there.get("retention") != wanted["retention"]:
        taken = ", ".join(there.get("subjects") or []) or "nothing"
        return f"is not ours: it takes {taken}", "rename or remove it, or choose another prefix"
    if wanted["num_replicas"] > 1 and there.get("persist_mode") == "async":
        return (
            "was made for a single server and cannot have replicas",
            f"`nats stream rm {wanted['name']}`: it is made anew, and the keeper puts its hints back",
        )
    return None


def _zero(value: Any) -> Any:
    return type(value)()


def _stream(name: str, subjects: list[str], *, replicas: int, **more: Any) -> Config:
    return {
        "name": name,
        "subjects": subjects,
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "num_replicas": replicas,
        "allow_direct": True,
        **more,
    }


def _bucket(name: str, *, replicas: int, **more: Any) -> Config:
    return _stream(
        f"KV_{name}",
        [f"$KV.{name}.>"],
        replicas=replicas,
        max_msgs_per_subject=1,
        discard="new",
        allow_rollup_hdrs=True,
        **more,
    )
