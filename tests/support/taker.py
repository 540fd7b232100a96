"""Takes deliveries from a band and keeps them, so that a test can wait for each."""

from __future__ import annotations

import asyncio

from factories import JOB
from jetmill.bus.ports import Bus, Delivery
from jetmill.protocol.record import Band
from support.wait import soon


class Taker:
    """A pull whose deliveries lie in `taken`; `next()` waits for one more."""

    def __init__(self, bus: Bus, job: str = JOB, band: Band = "normal", *, want: int = 0, ack: bool = False) -> None:
        self.taken: list[Delivery] = []
        self._waiting: asyncio.Queue[Delivery] = asyncio.Queue()
        self._ack = ack
        self.pull = bus.queue.pull(job, band, self._take)
        if want:
            self.pull.want(want)

    def _take(self, delivery: Delivery) -> None:
        self.taken.append(delivery)
        self._waiting.put_nowait(delivery)
        if self._ack:
            delivery.ack()

    async def next(self) -> Delivery:
        """The next delivery that was not asked for here yet."""
        return await soon(self._waiting.get())

    async def several(self, count: int) -> list[Delivery]:
        """The next few."""
        return [await self.next() for _ in range(count)]

    @property
    def ids(self) -> list[str]:
        """Whose hints came so far."""
        return [delivery.id for delivery in self.taken]
