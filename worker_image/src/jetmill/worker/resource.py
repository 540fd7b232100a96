"""Resources that handlers ask for by their annotations: made once per worker, or for each job.

A provider is a function, a coroutine function, or a generator (async or not) that yields the resource once and tears it
down afterwards. Its own parameters are filled the same way, so resources can build on one another. One that lives as
long as the worker is made at its first use, by one of all who wait for it, and torn down in reverse order in the end.
Handlers that ask for nothing cost nothing.
"""

from __future__ import annotations

import asyncio
import inspect
import typing
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

from jetmill.client.inject import Inject, Injection, find_inject, mark_injectable
from jetmill.errors import ConfigError
from jetmill.worker.context import JobContext

Provider = Callable[..., Any]


class Resources:
    """The resources of one worker process."""

    def __init__(self, provided: Mapping[Any, Inject | Provider] | None = None) -> None:
        self._provided: dict[Any, Inject] = {}
        for kind, provider in (provided or {}).items():
            self._provided[kind] = provider if isinstance(provider, Inject) else Inject(provider)
            if isinstance(kind, type):
                mark_injectable(kind)
        self._made: dict[Any, asyncio.Future[Any]] = {}
        self._stack = AsyncExitStack()

    def check(self, injections: tuple[Injection, ...]) -> None:
        """Raise ConfigError, naming the parameter, for a resource that nobody provides."""
        for injection in injections:
            if injection.type is JobContext or injection.optional:
                continue
            if self._find(injection.type, injection.mark) is None:
                raise ConfigError(
                    f"parameter {injection.parameter!r}: nobody provides {_name(injection.type)}",
                    cure="Worker(resources={Type: provider}) or Annotated[Type, Inject(provider)]",
                )

    async def fill(
        self, injections: tuple[Injection, ...], context: JobContext, stack: AsyncExitStack
    ) -> dict[str, Any]:
        """The arguments for the injected parameters; what is the job's own is torn down with `stack`."""
        arguments: dict[str, Any] = {}
        scope = _Scope(self, context, stack)
        for injection in injections:
            if injection.type is JobContext:
                arguments[injection.parameter] = context
                continue
            mark = self._find(injection.type, injection.mark)
            if mark is not None:
                arguments[injection.parameter] = await scope.get(injection.type, mark)
            elif not injection.optional:
                self.check((injection,))
        return arguments

    async def close(self) -> None:
        """Tear down what lives as long as the worker."""
        self._made.clear()
        await self._stack.aclose()

    async def shared(self, mark: Inject) -> Any:
        """One that lives as long as the worker: made by the first who asks, waited for by the others."""
        future = self._made.get(mark.provider)
        if future is None:
            future = self._made[mark.provider] = asyncio.get_running_loop().create_future()
            try:
                future.set_result(await self._make(mark, _Scope(self, None, self._stack), self._stack))
            except BaseException as err:
                del self._made[mark.provider]  # the next job may have more luck
                if isinstance(err, Exception):
                    future.set_exception(err)
                    future.exception()  # seen, if nobody else waits
                else:
                    future.cancel()
                raise
        return await asyncio.shield(future)

    def _find(self, kind: Any, mark: Inject) -> Inject | None:
        return mark if mark.provider is not None else self._provided.get(kind)

    async def _make(self, mark: Inject, scope: _Scope, stack: AsyncExitStack) -> Any:
        provider = mark.provider
        assert provider is not None
        arguments = {}
        for name, (kind, inner) in _parameters_of(provider).items():
            if kind is JobContext:
                arguments[name] = scope.context_for(provider)
                continue
            found = self._find(kind, inner)
            if found is None:
                raise ConfigError(f"{_name(provider)}: nobody provides {_name(kind)} for its parameter {name!r}")
            arguments[name] = await scope.get(kind, found)
        return await _call(provider, arguments, stack)


class _Scope:
    """What one job (or, without a context, the worker) has made so far."""

    def __init__(self, resources: Resources, context: JobContext | None, stack: AsyncExitStack) -> None:
        self._resources = resources
        self._context = context
        self._stack = stack
        self._made: dict[Any, Any] = {}

    async def get(self, kind: Any, mark: Inject) -> Any:
        if mark.scope == "worker":
            return await self._resources.shared(mark)
        if self._context is None:
            raise ConfigError(f"{_name(kind)} is made for each job, so nothing that lives longer can have it")
        if mark.provider not in self._made:
            self._made[mark.provider] = await self._resources._make(mark, self, self._stack)
        return self._made[mark.provider]

    def context_for(self, provider: Provider) -> JobContext:
        if self._context is None:
            raise ConfigError(f"{_name(provider)} is made once per worker, so it cannot have a JobContext")
        return self._context


async def _call(provider: Provider, arguments: dict[str, Any], stack: AsyncExitStack) -> Any:
    if inspect.isasyncgenfunction(provider):
        made: Callable[..., AsyncGenerator[Any]] = provider
        return await stack.enter_async_context(asynccontextmanager(made)(**arguments))
    if inspect.isgeneratorfunction(provider):
        yielded: Callable[..., Generator[Any]] = provider
        return stack.enter_context(contextmanager(yielded)(**arguments))
    value = provider(**arguments)
    return await value if inspect.isawaitable(value) else value


def _parameters_of(provider: Provider) -> dict[str, tuple[Any, Inject]]:
    target = provider.__init__ if isinstance(provider, type) else provider  # type: ignore[misc]
    hints = typing.get_type_hints(target, include_extras=True)
    found = {}
    for parameter in inspect.signature(provider).parameters.values():
        inject = find_inject(hints.get(parameter.name))
        if inject is None and parameter.default is inspect.Parameter.empty and hints.get(parameter.name) is not None:
            inject = (hints[parameter.name], Inject())
        if inject is not None:
            found[parameter.name] = inject
    return found


def _name(thing: Any) -> str:
    return getattr(thing, "__qualname__", None) or str(thing)
