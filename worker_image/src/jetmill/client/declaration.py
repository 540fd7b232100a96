"""`@job`: a function becomes a handler that can be called, enqueued and found by its name.

Declaring is cheap and connects to nothing: the signature is looked at, the annotations are read at the first payload.
Names of Jobs are unique in a registry; every process has one, and tests or plug-ins can have their own.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

from jetmill.client.binding import Binding
from jetmill.client.option import CallKeywords, CallOptions, band_of
from jetmill.client.schedule import Schedule
from jetmill.errors import ConfigError, InvalidNameError, JetmillError
from jetmill.protocol.name import parse_job_name
from jetmill.protocol.record import Band, JobSettings
from jetmill.protocol.retry import RetryPolicy

if TYPE_CHECKING:
    from jetmill.client.filter import Filter
    from jetmill.client.handle import JobHandle
    from jetmill.client.handling import EventHandler
    from jetmill.client.submission import Item, Payload
    from jetmill.client.sync import SyncJobHandle

P = ParamSpec("P")
R = TypeVar("R")
Executor = Literal["auto", "async", "thread", "process"]


class JobKeywords(TypedDict, total=False):
    """What `@job` takes."""

    retry: RetryPolicy | int | None
    max_retries: int | None
    timeout_seconds: float | None
    executor: Executor
    priority: Band | int
    retry_on: Iterable[type[BaseException]]
    discard_on: Iterable[type[BaseException]]
    filters: Iterable[Filter]
    on_failure: Callable[..., Any] | None
    labels: Mapping[str, str]
    schedule: Schedule | str
    registry: Registry


@dataclass(frozen=True, slots=True)
class JobOptions:
    """What a declaration says; None: not said, so that the default counts. The Job's manifest outranks it."""

    retry: RetryPolicy | None = None
    """The whole policy, where one was given."""
    max_retries: int | None = None
    timeout_seconds: float | None = None
    executor: Executor = "auto"
    priority: Band = "normal"
    retry_on: tuple[type[BaseException], ...] = ()
    """Only these are tried again; empty: all are."""
    discard_on: tuple[type[BaseException], ...] = ()
    """These fail the job at once."""
    filters: tuple[Filter, ...] = ()
    on_failure: Callable[..., Any] | None = None
    """Called with the job's context and error once the job has failed for good."""
    labels: Mapping[str, str] | None = None
    schedule: Schedule | None = None
    """When it is run by itself, once that is declared: `jetmill dev` does so, and `jetmill schedule export`."""


class JobHandler(Generic[P, R]):
    """A declared function. Called, it is the function itself; `enqueue` leaves the call to a worker."""

    def __init__(self, function: Callable[..., R], *, name: str, options: JobOptions) -> None:
        self.function = function
        self.name = parse_job_name(name, field="name of the job")
        self.declared = options
        self.binding = Binding(function, name=name)
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        """Call the function here and now, as if it had never been decorated."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<job {self.name}: {self.origin}>"

    @property
    def origin(self) -> str:
        """Where the function is defined, `module:function`."""
        return f"{self.function.__module__}:{self.function.__qualname__}"

    @property
    def is_async(self) -> bool:
        """It is an `async def`."""
        return inspect.iscoroutinefunction(self.function)

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """Enqueue a call by the process's client; the job is accepted once this returns.

        InvalidPayloadError names an argument that does not fit; any BusError may be answered by the same call again if
        an id was given by `options(id=…)`.
        """
        return await BoundJob(self, CallOptions()).enqueue(*args, **kwargs)

    async def enqueue_many(self, calls: Iterable[Payload | Item]) -> list[JobHandle | JetmillError]:
        """Enqueue many calls, each given by its arguments; a handle or an error for each, in order."""
        return await BoundJob(self, CallOptions()).enqueue_many(calls)

    def enqueue_sync(self, *args: P.args, **kwargs: P.kwargs) -> SyncJobHandle:
        """As `enqueue`, for code without an event loop; never call it on a loop."""
        return BoundJob(self, CallOptions()).enqueue_sync(*args, **kwargs)

    def options(self, **keywords: Unpack[CallKeywords]) -> BoundJob[P, R]:
        """The same handler with options for the calls to come: `send.options(delay=60, id="x").enqueue(to="a")`."""
        return BoundJob(self, CallOptions().updated(**keywords))

    def settings(self) -> JobSettings:
        """What the declaration amounts to where there is no manifest (memory, tests)."""
        declared = self.declared
        policy = declared.retry
        return JobSettings(
            job=self.name,
            executor=declared.executor,
            timeout_seconds=declared.timeout_seconds,
            max_retries=declared.max_retries,
            initial_delay_seconds=policy.initial_delay_seconds if policy else None,
            factor=policy.factor if policy else None,
            max_delay_seconds=policy.max_delay_seconds if policy else None,
            jitter=policy.jitter if policy else None,
        )


@dataclass(frozen=True, slots=True)
class BoundJob(Generic[P, R]):
    """A handler with options for its calls."""

    handler: JobHandler[P, R]
    call_options: CallOptions

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle:
        """Enqueue one call with these options."""
        from jetmill.client.ambient import get_client

        payload = self.handler.binding.encode(args, kwargs)
        return await (await get_client()).submit(self.handler, payload, options=self.call_options)

    async def enqueue_many(self, calls: Iterable[Payload | Item]) -> list[JobHandle | JetmillError]:
        """Enqueue many calls with these options, each given by its arguments."""
        from jetmill.client.ambient import get_client

        return await (await get_client()).enqueue_many(self.handler, calls, options=self.call_options)

    def enqueue_sync(self, *args: P.args, **kwargs: P.kwargs) -> SyncJobHandle:
        """As `enqueue`, for code without an event loop."""
        from jetmill.client.ambient import get_sync_client

        payload = self.handler.binding.encode(args, kwargs)
        return get_sync_client().submit(self.handler, payload, options=self.call_options)

    def options(self, **keywords: Unpack[CallKeywords]) -> BoundJob[P, R]:
        """More options, over those that there are."""
        return replace(self, call_options=self.call_options.updated(**keywords))


class Registry:
    """Handlers by the name of their Job."""

    def __init__(self) -> None:
        self._handlers: dict[str, JobHandler[..., Any]] = {}
        self._event_handlers: dict[str, EventHandler] = {}

    def add(self, handler: JobHandler[..., Any]) -> None:
        """Take a handler in; ConfigError if another function has its name. A reloaded module replaces its own."""
        there = self._handlers.get(handler.name)
        if there is not None and not _is_same(there.function, handler.function):
            raise ConfigError(
                f"job {handler.name!r} is declared twice: by {there.origin} and by {handler.origin}",
                cure='give one of them another name: @job("…")',
            )
        self._handlers[handler.name] = handler

    def get(self, name: str) -> JobHandler[..., Any] | None:
        """The handler of a Job."""
        return self._handlers.get(name)

    def add_event_handler(self, handler: EventHandler) -> None:
        """Take a handler of events in; ConfigError if another function has its name."""
        there = self._event_handlers.get(handler.name)
        same = there is None or there.origin == handler.origin or _is_same(there.function, handler.function)
        if there is not None and not (same and there.job is handler.job):
            raise ConfigError(
                f"the subscription {handler.name!r} is declared twice: by {there.origin} and by {handler.origin}",
                cure='give one of them another name: @on("doc.*", name="…")',
            )
        self._event_handlers[handler.name] = handler

    def event_handlers(self) -> list[EventHandler]:
        """What `@on` and `on_event` declared, by name."""
        return [self._event_handlers[name] for name in sorted(self._event_handlers)]

    def names(self) -> list[str]:
        """The Jobs that are declared, sorted."""
        return sorted(self._handlers)

    def remove(self, name: str) -> None:
        """Forget a handler; one that is not there is no error."""
        self._handlers.pop(name, None)

    def __iter__(self) -> Iterator[JobHandler[..., Any]]:
        return iter(list(self._handlers.values()))

    def __len__(self) -> int:
        return len(self._handlers)

    def __contains__(self, name: object) -> bool:
        return name in self._handlers


default_registry = Registry()
"""What `@job` declares into, unless it is told `registry=`."""


class _Injected(Protocol):
    """What is injected by its type, as JobContext is."""

    __jetmill_inject__: bool


C = TypeVar("C", bound=_Injected)


class Decorator(Protocol):
    """What `@job(...)` returns. A first parameter that is injected is none of the caller's arguments."""

    @overload
    def __call__(self, function: Callable[Concatenate[C, P], R], /) -> JobHandler[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> JobHandler[P, R]: ...


@overload
def job(name: Callable[Concatenate[C, P], R], /) -> JobHandler[P, R]: ...
@overload
def job(name: Callable[P, R], /) -> JobHandler[P, R]: ...
@overload
def job(name: str | None = None, **keywords: Unpack[JobKeywords]) -> Decorator: ...
def job(name: Any = None, **keywords: Unpack[JobKeywords]) -> Any:
    """Declare a function as the handler of a Job: `@job`, `@job("send-email")`, `@job(max_retries=5)`.

    Without a name it is the function's, with `-` for `_`. `retry` is a RetryPolicy or the number of retries;
    `timeout_seconds` is for one attempt; `priority` is high, normal, low or an integer (over 0: high, under 0: low).
    `schedule`, a cron expression or a Schedule, says when it is run by itself, once that is declared.
    """
    if callable(name):
        return _declare(name, None, {})

    def decorate(function: Callable[P, R]) -> JobHandler[P, R]:
        return _declare(function, name, keywords)

    return decorate


def _declare(function: Callable[P, R], name: str | None, keywords: JobKeywords) -> JobHandler[P, R]:
    registry = keywords.get("registry", default_registry)
    handler: JobHandler[P, R] = JobHandler(
        function, name=_name_of(function) if name is None else name, options=_build_options(keywords)
    )
    registry.add(handler)
    return handler


def _build_options(keywords: JobKeywords) -> JobOptions:
    retry = keywords.get("retry")
    policy = retry if isinstance(retry, RetryPolicy) else None
    limit = keywords.get("max_retries")
    if limit is None and retry is not None:
        limit = retry.max_retries if isinstance(retry, RetryPolicy) else retry
    if limit is not None and limit < 0:
        raise ConfigError(f"max_retries: {limit} is less than 0", cure="0 allows one attempt and no more")
    timeout = keywords.get("timeout_seconds")
    if timeout is not None and timeout <= 0:
        raise ConfigError(f"timeout_seconds: {timeout:g} leaves no time", cure="leave it out for the Job's own")
    schedule = keywords.get("schedule")
    return JobOptions(
        retry=policy,
        max_retries=limit,
        timeout_seconds=timeout,
        executor=keywords.get("executor", "auto"),
        priority=band_of(keywords.get("priority", "normal")),
        retry_on=tuple(keywords.get("retry_on", ())),
        discard_on=tuple(keywords.get("discard_on", ())),
        filters=tuple(keywords.get("filters", ())),
        on_failure=keywords.get("on_failure"),
        labels=keywords.get("labels"),
        schedule=Schedule(schedule) if isinstance(schedule, str) else schedule,
    )


def _name_of(function: Callable[..., Any]) -> str:
    name: str = function.__name__.replace("_", "-").lower()
    try:
        return parse_job_name(name)
    except InvalidNameError as err:
        raise InvalidNameError(
            f"{function.__qualname__}: its name cannot be a Job's", field="name", cure='name it: @job("…")'
        ) from err


def _is_same(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Tell whether both are the same function, though its module may have been loaded twice (`__main__`, a reload)."""
    if one.__qualname__ != other.__qualname__:
        return False
    if one.__module__ == other.__module__ and "<locals>" not in one.__qualname__:
        return True
    codes = [getattr(inspect.unwrap(function), "__code__", None) for function in (one, other)]
    return (
        codes[0] is not None
        and codes[1] is not None
        and codes[0].co_filename == codes[1].co_filename
        and (codes[0].co_firstlineno == codes[1].co_firstlineno)
    )
