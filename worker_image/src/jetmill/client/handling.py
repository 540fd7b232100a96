"""`@on` and `on_event`: functions that events are handed to, declared like jobs and run by a worker.

A handler's first parameter says what it wants: an event class gets its fields checked, `Event` (or no annotation) the
event as it came, `dict` the whole CloudEvent.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from jetmill.client.declaration import JobHandler, Registry, default_registry
from jetmill.errors import ConfigError, InvalidNameError
from jetmill.protocol.codec import encode_value
from jetmill.protocol.event import Event, EventPattern, parse_pattern
from jetmill.protocol.identity import id_from_key
from jetmill.protocol.name import MAX_SUBSCRIPTION_CHARACTERS, parse_subscription
from jetmill.protocol.retry import RetryPolicy

if typing.TYPE_CHECKING:
    from jetmill.client.client import Client
    from jetmill.client.event import BaseEvent

Handler = Callable[..., Any]
Pattern: typing.TypeAlias = "str | type[BaseEvent]"
F = TypeVar("F", bound=Handler)
H = TypeVar("H", bound=JobHandler[..., Any])


def read_patterns(pattern: Pattern | typing.Iterable[Pattern]) -> tuple[EventPattern, ...]:
    """`"doc.*"`, an event class, or several; InvalidNameError, ConfigError."""
    if isinstance(pattern, str):
        return (parse_pattern(pattern),)
    if is_event_class(pattern):
        return (parse_pattern(_need_type(pattern)),)
    assert not isinstance(pattern, type)
    found = tuple(one for given in pattern for one in read_patterns(given))
    if not found:
        raise ConfigError("there is no pattern", cure='name one: "doc.*"')
    return found


def is_event_class(value: Any) -> typing.TypeGuard[type[BaseEvent]]:
    """Tell whether it is a class of events (a BaseEvent, which this module does not load)."""
    return isinstance(value, type) and getattr(value, "__jetmill_event__", False)


def _need_type(event: type[BaseEvent]) -> str:
    if not event.type:
        cure = f'class {event.__name__}(BaseEvent, type="order.placed")'
        raise ConfigError(f"{event.__name__} has no type", cure=cure)
    return event.type


def bind_handler(handler: Handler) -> Callable[[Event], Awaitable[Any]]:
    """Make a coroutine function of a handler: what it wants is made of the event, a plain function runs on a thread."""
    convert = _find_conversion(handler)
    is_async = inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004

    async def handle(event: Event) -> Any:
        value = convert(event)
        return await (handler(value) if is_async else asyncio.to_thread(handler, value))

    return handle


def _find_conversion(handler: Handler) -> Callable[[Event], Any]:
    name = getattr(handler, "__qualname__", repr(handler))
    try:
        parameters = list(inspect.signature(handler).parameters.values())
    except (TypeError, ValueError):
        return lambda event: event
    wanted = [one for one in parameters if one.default is one.empty and one.kind is not one.VAR_KEYWORD]
    if not parameters or len(wanted) > 1:
        raise ConfigError(f"{name}: an event's handler has one parameter, the event")
    try:
        hint = typing.get_type_hints(handler).get(parameters[0].name, Event)
    except (NameError, TypeError, AttributeError):
        hint = Event
    if is_event_class(hint):
        return hint.from_event
    if hint is dict or typing.get_origin(hint) is dict:
        return lambda event: event.document
    return lambda event: event


@dataclass(frozen=True, slots=True)
class EventHandler:
    """A declared handler of events: a durable subscription of this name, run by every worker that knows it."""

    name: str
    patterns: tuple[EventPattern, ...]
    function: Handler
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    concurrency: int = 10
    """Events at once in one worker."""
    job: JobHandler[..., Any] | None = None
    """The job that is enqueued for each event for which `function` says yes."""

    @property
    def origin(self) -> str:
        """Where the function is defined."""
        return f"{self.function.__module__}:{self.function.__qualname__}"


def on(
    pattern: Pattern | typing.Iterable[Pattern],
    *,
    name: str | None = None,
    retry: RetryPolicy | int | None = None,
    concurrency: int = 10,
    registry: Registry = default_registry,
) -> Callable[[F], F]:
    """Have a worker call the function for each event of a pattern, at least once: `@on("doc.*")`.

    `name` is the subscription's, by default the function's module and name: under it the bus keeps how far it is, so
    give one before you move the function. `retry` is a RetryPolicy or the number of retries before an event is a dead
    letter.
    """

    def decorate(function: F) -> F:
        chosen = _name_of(function) if name is None else parse_subscription(name, field="name")
        bind_handler(function)  # a handler that cannot be is found out where it is declared
        registry.add_event_handler(
            EventHandler(
                name=chosen,
                patterns=read_patterns(pattern),
                function=function,
                retry=read_retry(retry),
                concurrency=concurrency,
            )
        )
        return function

    return decorate


def on_event(
    pattern: Pattern | typing.Iterable[Pattern],
    *,
    when: Callable[[Event], bool] | None = None,
    registry: Registry = default_registry,
) -> Callable[[H], H]:
    """Enqueue a job for each event of a pattern: put it above `@job`. The job gets the event as its argument `event`.

    The job's id is made of the event's, so an event that comes again enqueues nothing more. A worker of the application
    listens; declared as `spec.triggers` of the Job, the dispatcher does, whether a worker runs or not.
    """

    def decorate(handler: H) -> H:
        registry.add_event_handler(
            EventHandler(
                name=f"trigger-{handler.name}"[:MAX_SUBSCRIPTION_CHARACTERS].rstrip("-"),
                patterns=read_patterns(pattern),
                function=when or _always,
                job=handler,
            )
        )
        return handler

    return decorate


def _always(event: Event) -> bool:  # noqa: ARG001 - an event's handler has one parameter
    return True


def build_handle(declared: EventHandler, client: Client) -> Callable[[Event], Awaitable[Any]]:
    """What a worker does with an event: calls the handler, or enqueues its job by this client."""
    call = bind_handler(declared.function)
    job = declared.job
    if job is None:
        return call

    async def enqueue(event: Event) -> None:
        if await call(event):
            payload = encode_value({"event": event.document})
            await client.enqueue(job, payload, id=make_trigger_id(job.name, event), user=event.user)

    return enqueue


def make_trigger_id(job: str, event: Event) -> str:
    """The id of the one job that an event enqueues of a Job."""
    return id_from_key("trigger", job, event.source, event.id)


def read_retry(retry: RetryPolicy | int | None) -> RetryPolicy:
    """The policy that is meant by a policy, a number of retries, or nothing."""
    if retry is None:
        return RetryPolicy()
    return RetryPolicy(max_retries=retry) if isinstance(retry, int) else retry


def _name_of(function: Handler) -> str:
    text = f"{function.__module__}-{function.__qualname__}".lower().replace("<locals>", "")
    name = re.sub(r"[^a-z0-9]+", "-", text).strip("-")[-MAX_SUBSCRIPTION_CHARACTERS:].lstrip("-")
    try:
        return parse_subscription(name)
    except InvalidNameError as err:
        raise ConfigError(f"{function!r} needs a name", cure='name it: @on("doc.*", name="…")') from err
