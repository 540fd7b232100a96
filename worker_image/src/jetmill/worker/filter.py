"""Filters and `on_failure` around an attempt. One that raises is logged; only `on_performing` may end the attempt."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from jetmill.client.filter import Filter
from jetmill.protocol.outcome import Cancelled, Failed, Interrupted, Outcome, Retry, Succeeded
from jetmill.protocol.record import ErrorInfo
from jetmill.worker.context import JobContext
from jetmill.worker.log import get_logger

log = get_logger()


async def run_performing(filters: tuple[Filter, ...], context: JobContext) -> None:
    """Before the handler; what one raises is the attempt's."""
    for one in filters:
        waiting = one.on_performing(context)
        if waiting is not None:
            await waiting


async def run_performed(
    filters: tuple[Filter, ...], context: JobContext, outcome: Outcome, *, check: Callable[[Outcome], object]
) -> Outcome:
    """After the handler: `on_performed` of each, then `on_state_election` of each; the outcome to record.

    `check` raises for an elected outcome that no record can hold; then the one before stands.
    """
    for one in filters:
        try:
            waiting = one.on_performed(context, outcome)
            if waiting is not None:
                await waiting
        except Exception as err:  # noqa: BLE001 - an application's code; it must not lose the outcome
            _note(one, "on_performed", err)
    for one in filters:
        try:
            elected: Any = one.on_state_election(context, outcome)
            if inspect.isawaitable(elected):
                elected = await elected
            if isinstance(elected, Succeeded | Retry | Failed | Cancelled | Interrupted):
                if elected is not outcome:
                    check(elected)
                outcome = elected
            else:
                log.error("filter_failed", filter=type(one).__name__, method="on_state_election", error="no outcome")
        except Exception as err:  # noqa: BLE001 - as above
            _note(one, "on_state_election", err)
    return outcome


async def run_on_failure(callback: Callable[..., Any], context: JobContext, error: ErrorInfo) -> None:
    """Tell the application that a job has failed for good; a plain function is called on a thread."""
    try:
        if inspect.iscoroutinefunction(callback):
            await callback(context, error)
        else:
            value = await asyncio.to_thread(callback, context, error)
            if inspect.isawaitable(value):
                await value
    except Exception as err:  # noqa: BLE001 - as above: the record stands already
        log.error("filter_failed", method="on_failure", error=f"{type(err).__name__}: {err}")


def _note(one: Filter, method: str, err: Exception) -> None:
    log.error("filter_failed", filter=type(one).__name__, method=method, error=f"{type(err).__name__}: {err}")
