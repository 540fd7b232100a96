"""Keeps as many workers as each Job wants: one loop over all crews.

Each round reads presence once and each queue once, lets `scaling` decide and each crew go a step. A round comes every
half second, and at once when somebody enqueues (the wake signal) or a worker ends. While NATS is away nothing is known
and so nothing changes, but for workers that crashed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import replace

from jetmill.bus.ports import Bus, Depth
from jetmill.errors import JetmillError
from jetmill.protocol.record import Presence
from jetmill_operator.api.job import Job
from jetmill_operator.dev.crew import Crew, Launch
from jetmill_operator.dev.scaling import Seen, decide_replicas
from jetmill_operator.dev.screen import Screen

ROUND_SECONDS = 0.5
DEFAULT_SLOTS = 50
"""Jobs at once in a worker that nobody told otherwise."""


class Supervisor:
    """The crews of all Jobs of one namespace."""

    def __init__(self, bus: Bus, launch: Launch, screen: Screen) -> None:
        self.crews: dict[str, Crew] = {}
        self._bus = bus
        self._launch = replace(launch, on_exit=self.poke)
        self._screen = screen
        self._leaving: list[Crew] = []
        self._poked = asyncio.Event()
        self._unsubscribe = bus.signals.on_wake(self._wake)

    def poke(self) -> None:
        """Begin the next round now."""
        self._poked.set()

    def apply(self, job: Job) -> bool:
        """Take a Job, new or changed; tell whether running workers are replaced for it."""
        crew = self.crews.get(job.name)
        self.poke()
        if crew is not None:
            return crew.apply(job)
        self._screen.reserve(job.name)
        self.crews[job.name] = Crew(job, self._launch, self._screen)
        return False

    async def remove(self, name: str) -> None:
        """Let the workers of a Job finish what they have in hand, and wait until they are gone."""
        crew = self.crews.pop(name, None)
        if crew is not None:
            self._leaving.append(crew)
            crew.leave()
            await crew.wait()
            self._leaving.remove(crew)

    def roll(self, name: str) -> None:
        """Replace the workers of a Job, one at a time."""
        self.crews[name].roll()
        self.poke()

    async def run(self) -> None:
        """Go round after round until cancelled."""
        while True:
            self._poked.clear()
            await self._go_round()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ROUND_SECONDS):
                    await self._poked.wait()

    async def stop(self, *, grace_seconds: float, hurry: asyncio.Event) -> None:
        """Let all workers drain; after `grace_seconds`, or on `hurry`, make them give back what they have; then kill.

        Each further `hurry` goes one step on.
        """
        self._unsubscribe()
        crews = [*self.crews.values(), *self._leaving]
        gone = asyncio.create_task(_wait_all(crews))
        for press, seconds in ((Crew.leave, grace_seconds), (Crew.leave, 5.0), (Crew.kill, 10.0)):
            for crew in crews:
                press(crew)
            hurried = asyncio.create_task(hurry.wait())
            await asyncio.wait([gone, hurried], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            hurried.cancel()
            hurry.clear()
            if gone.done():
                return
        await gone

    def _wake(self, job: str) -> None:
        crew = self.crews.get(job)
        if crew is not None and not crew.woken:
            crew.woken = True
            if not crew.serving:
                self.poke()

    async def _go_round(self) -> None:
        seen = await self._observe_workers()
        for crew in list(self.crews.values()):
            woken, crew.woken = crew.woken, False
            depth = await self._observe_depth(crew.job.name)
            observed = _summarize(crew, seen, depth=depth, woken=woken)
            decision = decide_replicas(
                crew.job.spec.scaling,
                observed,
                now=time.monotonic(),
                fewer_since=crew.fewer_since,
                suspended=crew.job.spec.suspend,
            )
            crew.fewer_since = decision.fewer_since
            await crew.settle(decision.replicas, seen)

    async def _observe_workers(self) -> dict[int, Presence]:
        try:
            return {presence.pid: presence for presence in await self._bus.presence.all()}
        except JetmillError:
            return {}

    async def _observe_depth(self, job: str) -> Depth | None:
        try:
            return await self._bus.queue.depth(job)
        except JetmillError:
            return None


async def _wait_all(crews: list[Crew]) -> None:
    await asyncio.gather(*(crew.wait() for crew in crews))


def _summarize(crew: Crew, seen: Mapping[int, Presence], *, depth: Depth | None, woken: bool) -> Seen:
    """What was seen of a crew; the pace is kept when nobody is there to tell it."""
    present = [seen[worker.pid] for worker in crew.serving if worker.pid in seen]
    paces = [presence.service_seconds for presence in present if presence.service_seconds > 0]
    if paces:
        crew.service_seconds = sum(paces) / len(paces)
    slots = crew.job.spec.worker.concurrency or (present[0].slots if present else DEFAULT_SLOTS)
    return Seen(workers=len(crew.serving), depth=depth, slots=slots, service_seconds=crew.service_seconds, woken=woken)
