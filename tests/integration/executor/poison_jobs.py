"""Handlers for child processes: they are found by `module:function`, as a manifest names them."""

from __future__ import annotations

import os
import signal
from typing import Annotated, Any

from jetmill.client.declaration import Registry, job
from jetmill.client.flow import NonRetryable
from jetmill.client.inject import Inject
from jetmill.worker.context import JobContext

REGISTRY = Registry()
once = {"registry": REGISTRY, "max_retries": 0, "executor": "process"}


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@job(**once)  # type: ignore[call-overload]
def pid() -> int:
    return os.getpid()


@job(**once)  # type: ignore[call-overload]
def exits() -> None:
    os._exit(3)


@job(**once)  # type: ignore[call-overload]
def kills_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@job(**once, timeout_seconds=1.0)  # type: ignore[call-overload]
def spins() -> None:
    while True:
        pass


@job(**once)  # type: ignore[call-overload]
def unpicklable() -> Any:
    return lambda: 1


@job(**once)  # type: ignore[call-overload]
def huge() -> str:
    return "x" * 100_000_000


@job(**once)  # type: ignore[call-overload]
def speechless() -> None:
    raise SpeechlessError


@job(**once)  # type: ignore[call-overload]
def quits() -> None:
    raise SystemExit(2)


@job(registry=REGISTRY, executor="process")
def useless() -> None:
    raise NonRetryable("no such user")


@job(registry=REGISTRY, executor="process", discard_on=(LookupError,))
def discarded() -> None:
    raise KeyError("gone")


def open_pool() -> str:
    return "open"


@job(registry=REGISTRY, executor="process")
def talks(ctx: JobContext, n: int, pool: Annotated[str, Inject(open_pool)]) -> dict[str, Any]:
    ctx.progress(0.5, "half")
    child = ctx.enqueue_sync("follow-up", {"n": n})
    return {"labels": dict(ctx.labels), "attempt": ctx.attempt, "pool": pool, "child": child}
