"""One Job as this worker serves it: its manifest, its handler, and what follows from both.

Made anew whenever the manifest changes; a job keeps the one that it started with.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import cache, cached_property
from typing import Any

import msgspec

from jetmill.client.declaration import JobHandler, JobOptions, Registry
from jetmill.client.filter import Filter, global_filters
from jetmill.errors import ConfigError, JetmillError
from jetmill.protocol.record import Call, JobSettings, Record
from jetmill.protocol.retry import RetryPolicy
from jetmill.worker.discovery import check_importable, load_handler
from jetmill.worker.policy import (
    DEFAULT_CONCURRENCY,
    Kind,
    decide_kind,
    decide_max_retries,
    decide_retry_policy,
    decide_timeout_seconds,
)
from jetmill.worker.resource import Resources

_NO_CALL = Call()
_NO_OPTIONS = JobOptions()


class Served:
    """A Job with its handler; `missing` says why there is none, `kept` why it is not that of the manifest."""

    def __init__(
        self, settings: JobSettings, handler: JobHandler[..., Any] | None, *, missing: str = "", kept: str = ""
    ) -> None:
        self.job = settings.job
        self.settings = settings
        self.handler = handler
        self.declared = handler.declared if handler is not None else _NO_OPTIONS
        self.missing = missing
        self.kept = kept
        self.function: Callable[..., Any] = handler.function if handler is not None else _no_handler
        self.kind: Kind = decide_kind(settings, self.declared, is_async=handler is not None and handler.is_async)
        self._policy = decide_retry_policy(_NO_CALL, settings, self.declared)
        self.default_timeout_seconds = decide_timeout_seconds(_NO_CALL, settings, self.declared)

    @property
    def lease_seconds(self) -> float:
        """How long a delivery is ours without a sign of life."""
        return self.settings.lease_seconds

    @cached_property
    def injects(self) -> bool:
        """The handler asks for its context or for resources."""
        return self.handler is not None and bool(self.handler.binding.injections)

    @cached_property
    def is_plain(self) -> bool:
        """The handler is a coroutine function that wants nothing but its payload."""
        return self.kind == "async" and self.handler is not None and not self.injects

    @property
    def filters(self) -> tuple[Filter, ...]:
        """Those of every job, then this Job's own."""
        return global_filters() + self.declared.filters

    @property
    def on_failure(self) -> Callable[..., Any] | None:
        """What the application wants called when a job has failed for good."""
        return self.declared.on_failure

    def max_retries(self, record: Record) -> int:
        """The limit in force for a job whose call stands in `record`."""
        call = record.call
        return self._policy.max_retries if call is None else decide_max_retries(call, self.settings, self.declared)

    def policy(self, call: Call) -> RetryPolicy:
        """The retry policy for a call."""
        return self._policy if call.max_retries is None else decide_retry_policy(call, self.settings, self.declared)

    def timeout_seconds(self, call: Call) -> float:
        """How long one attempt may run."""
        return self.default_timeout_seconds if call.timeout_seconds is None else call.timeout_seconds

    def limit(self, slots: int) -> int:
        """How many of this Job may run at once in a worker of so many slots."""
        if self.settings.concurrency is not None:
            return self.settings.concurrency
        return min(slots, os.cpu_count() or 1) if self.kind == "process" else slots


def _no_handler() -> None:
    raise AssertionError("a Job without a handler was run")


def build_served(job: str, settings: JobSettings | None, registry: Registry, resources: Resources) -> Served:
    """Find the handler of a Job: its manifest's `handler`, else what was declared under its name."""
    settings = settings or JobSettings(job=job)
    if settings.command is not None:
        return Served(settings, None)
    try:
        handler = load_handler(settings.handler, job=job) if settings.handler else registry.get(job)
        if handler is None:
            known = ", ".join(registry.names()) or "none"
            return Served(settings, None, missing=f"no handler of that name is declared here; known: {known}")
        handler.binding.prepare()
        served = Served(settings, handler)
        if served.kind == "process":
            check_importable(handler)
        else:
            resources.check(handler.binding.injections)
    except (ConfigError, JetmillError) as err:
        return Served(settings, None, missing=str(err))
    return served


def keep_handler(before: Served, wanted: Served) -> Served:
    """The manifest of `wanted`, which names what is not known here, on what served the Job before.

    In a rollout the manifest changes before the last of the old workers has gone: until then it runs what it has.
    """
    was = before.settings
    settings = msgspec.structs.replace(wanted.settings, handler=was.handler, command=was.command, executor=was.executor)
    return Served(settings, before.handler, kept=wanted.missing)


def decide_slots(concurrency: int | None, served: list[Served]) -> int:
    """How many jobs at once: as told, else the largest that a Job declares, 50 where one declares nothing."""
    if concurrency is not None:
        return concurrency
    return max((one.settings.concurrency or DEFAULT_CONCURRENCY for one in served), default=DEFAULT_CONCURRENCY)


def sum_slots(served: Iterable[Served]) -> int:
    """How many jobs at once where no Job may wait for a slot that another one has taken."""
    return max(1, sum(one.settings.concurrency or DEFAULT_CONCURRENCY for one in served))


@cache
def unknown_delay_seconds(deliveries: int) -> float:
    """How long a job whose handler is unknown is left alone, growing from 1 to 60 s."""
    return float(min(60, 2 ** min(max(deliveries - 1, 0), 6)))
