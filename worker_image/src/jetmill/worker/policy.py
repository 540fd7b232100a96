"""What counts for one job: the call's option, else the Job's manifest, else the decorator, else the default. Pure."""

from __future__ import annotations

from typing import Literal

from jetmill.client.declaration import JobOptions
from jetmill.protocol.record import Call, JobSettings
from jetmill.protocol.retry import RetryPolicy

DEFAULT_TIMEOUT_SECONDS = 300.0
DEFAULT_CONCURRENCY = 50
DEFAULT_RETRY = RetryPolicy()
Kind = Literal["async", "thread", "process", "command"]


def decide_timeout_seconds(call: Call, settings: JobSettings, declared: JobOptions) -> float:
    """How long one attempt may run."""
    for seconds in (call.timeout_seconds, settings.timeout_seconds, declared.timeout_seconds):
        if seconds is not None:
            return seconds
    return DEFAULT_TIMEOUT_SECONDS


def decide_max_retries(call: Call, settings: JobSettings, declared: JobOptions) -> int:
    """How many attempts may follow the first."""
    for retries in (call.max_retries, settings.max_retries, declared.max_retries):
        if retries is not None:
            return retries
    return declared.retry.max_retries if declared.retry else DEFAULT_RETRY.max_retries


def decide_retry_policy(call: Call, settings: JobSettings, declared: JobOptions) -> RetryPolicy:
    """The retry policy, each number by itself."""
    base = declared.retry or DEFAULT_RETRY
    return RetryPolicy(
        max_retries=decide_max_retries(call, settings, declared),
        initial_delay_seconds=_first(settings.initial_delay_seconds, base.initial_delay_seconds),
        factor=_first(settings.factor, base.factor),
        max_delay_seconds=_first(settings.max_delay_seconds, base.max_delay_seconds),
        jitter=base.jitter if settings.jitter is None else settings.jitter,
    )


def decide_kind(settings: JobSettings, declared: JobOptions, *, is_async: bool) -> Kind:
    """Where the handler runs; `auto` is the loop for `async def` and a thread for `def`.

    An `async def` that is told to run on a thread stays on the loop: a thread has no loop to run it on.
    """
    if settings.command is not None:
        return "command"
    wanted = settings.executor if settings.executor not in (None, "auto") else declared.executor
    if wanted == "process":
        return "process"
    return "async" if is_async else "thread"


def _first(value: float | None, default: float) -> float:
    return default if value is None else value
