"""What a dispatcher does for one namespace, and in which namespaces it does so.

```
 find namespaces ─▶ a new one: open its bus, begin every work ─▶ a work ends or fails: again, after a pause that grows
        ▲            one that has gone: end its works                                   │
        └────────────────────────── every 5 s ◀────────────────────────────────────────┘
```

A work is anything with `run()`: it goes on until it is cancelled, may end by an error at any moment and is begun anew,
and settles what it has in hand before its cancellation is over. None of them needs a leader: two dispatchers do the
same work twice without harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Protocol, runtime_checkable

import structlog

from jetmill.bus.ports import Bus
from jetmill.errors import JetmillError, NotFoundError

LOOK_SECONDS = 5.0
"""How often namespaces that came or went are looked for."""
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
"""Between the end of a work and its next beginning: doubled each time, until one lasts for longer than the longest."""

log = structlog.get_logger("jetmill.dispatcher")


class Work(Protocol):
    """One thing to do in one namespace."""

    async def run(self) -> None:
        """Go on until cancelled."""
        ...


@runtime_checkable
class Counting(Protocol):
    """A work that counts something, for Prometheus."""

    def counts(self) -> Mapping[str, int]:
        """By the names of `jetmill_operator.dispatch.health.COUNTERS`."""
        ...


Hire = Callable[[Bus], Mapping[str, Work]]
"""Makes the works of a namespace, by name; called once for each namespace that comes."""
FindNamespaces = Callable[[], Awaitable[set[str]]]


class Branches:
    """Runs the works of every namespace."""

    def __init__(
        self,
        open_bus: Callable[[str], Bus],
        find: FindNamespaces,
        hire: Hire,
        *,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        self._open_bus = open_bus
        self._find = find
        self._hire = hire
        self._pause_seconds = pause_seconds
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}
        self._works: dict[str, Mapping[str, Work]] = {}

    @property
    def namespaces(self) -> list[str]:
        """Where something is done now."""
        return sorted(self._tasks)

    def counts(self) -> Iterator[tuple[str, str, int]]:
        """What the works of each namespace have counted: namespace, name, how often. Begins anew with a namespace."""
        for namespace, works in tuple(self._works.items()):
            for work in works.values():
                if isinstance(work, Counting):
                    for name, count in work.counts().items():
                        yield namespace, name, count

    async def run(self, *, look_seconds: float = LOOK_SECONDS) -> None:
        """Work until cancelled; then every work has settled what it had."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(look_seconds)
        finally:
            await self._end(set(self._tasks))

    async def _look(self) -> None:
        try:
            wanted = await self._find()
        except JetmillError as err:
            log.warning("namespaces_not_found", error=str(err))
            return
        await self._end(self._tasks.keys() - wanted)
        for namespace in sorted(wanted - self._tasks.keys()):
            works = self._works[namespace] = self._hire(self._open_bus(namespace))
            log.info("namespace_opened", namespace=namespace, works=sorted(works))
            self._tasks[namespace] = [
                asyncio.create_task(self._keep(work, name, namespace), name=f"{name} of {namespace}")
                for name, work in works.items()
            ]

    async def _end(self, namespaces: set[str]) -> None:
        tasks = [task for namespace in namespaces for task in self._tasks.pop(namespace)]
        for namespace in namespaces:
            self._works.pop(namespace, None)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, work: Work, name: str, namespace: str) -> None:
        loop = asyncio.get_running_loop()
        pause = self._pause_seconds
        while True:
            began = loop.time()
            try:
                await work.run()
            except NotFoundError:
                log.debug("work_waits", work=name, namespace=namespace)  # for the streams of a namespace yet to come
            except JetmillError as err:
                log.warning("work_failed", work=name, namespace=namespace, error=str(err))
            except Exception as err:
                log.exception("work_failed", work=name, namespace=namespace, error=str(err))
            if loop.time() - began > LONGEST_PAUSE_SECONDS:
                pause = self._pause_seconds
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
