"""The port `Queue` on a world's queues: deliveries by callback on a later turn, demand that outlives its consumer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from jetmill.bus.memory.band import Message
from jetmill.bus.memory.link import MemoryLink
from jetmill.bus.ports import Delivery, Depth, Flow
from jetmill.errors import BusError
from jetmill.protocol.hint import Hint
from jetmill.protocol.record import Band


class MemoryDelivery:
    """The port `Delivery`; everything is copied, for the message goes on to others."""

    __slots__ = ("_epoch", "_message", "_pull", "band", "body", "deliveries", "id", "job", "seq", "time", "token")

    def __init__(self, message: Message, pull: MemoryPull) -> None:
        hint = message.hint
        self.id = hint.id
        self.job = hint.job
        self.band: Band = hint.band
        self.body = hint.body
        self.seq = hint.seq
        self.time = message.time
        self.deliveries = message.deliveries
        self.token = f"{hint.job}.{hint.band}.{message.seq}"
        self._message = message
        self._epoch = message.band.epoch
        self._pull = pull

    def ack(self) -> None:
        """See the port."""
        if self._counts():
            self._pull.remove(self._message)

    def nak(self, delay_seconds: float = 0.0) -> None:
        """See the port."""
        if not self._counts():
            return
        band = self._message.band
        if delay_seconds > 0:
            band.rest(self._message, delay_seconds)
        else:
            band.back(self._message)

    def _counts(self) -> bool:
        band = self._message.band
        return not self._pull.closed and band.epoch == self._epoch and self._message.seq in band.pending


class MemoryPull:
    """The port `Pull`."""

    def __init__(self, link: MemoryLink, job: str, band: Band, on_delivery: Callable[[Delivery], None]) -> None:
        self._link = link
        self._world = link.world
        self._job = job
        self._band: Band = band
        self._on_delivery = on_delivery
        self._stopped = False
        self.loop = link.loop
        self.outstanding = 0
        self._forget = link.on_close(self._leave)

    @property
    def closed(self) -> bool:
        """The link is closed: what its deliveries say is not heard."""
        return self._link.closed

    def want(self, count: int) -> None:
        """See the port."""
        if self._stopped or count <= 0:
            return
        if self.outstanding == 0:
            self._world.demand(self._job, self._band).append(self)
        self.outstanding += count
        queue = self._world.queues.get(self._job)
        if queue is not None:
            queue.bands[self._band].pump_later()

    def renew(self) -> None:
        """See the port; here whoever waits is always known."""

    def stop(self) -> None:
        """See the port."""
        self._forget()

    def _leave(self) -> None:
        self._stopped = True
        if self.outstanding:
            self._world.demand(self._job, self._band).remove(self)
        self.outstanding = 0

    def deliver(self, message: Message) -> None:
        """Hand a message over; for the band."""
        self._on_delivery(MemoryDelivery(message, self))

    def remove(self, message: Message) -> None:
        """A delivery was acked."""
        queue = self._world.queues.get(self._job)
        if queue is not None:
            queue.remove(message)


class MemoryQueue:
    """The port `Queue`."""

    def __init__(self, link: MemoryLink) -> None:
        self._link = link
        self._world = link.world

    def publish(self, hint: Hint) -> asyncio.Future[None]:
        """See the port."""
        if self._link.closed:
            return self._link.refuse()
        return self._world.write(self._link.future(), "hint", lambda: self._put(hint))

    def _put(self, hint: Hint) -> None:
        queue = self._world.queues.get(hint.job)
        if queue is None:
            raise BusError(f"no stream takes hints of Job {hint.job}", code=503, cure="admin.apply_job() first")
        queue.put(hint)

    def pull(self, job: str, band: Band, on_delivery: Callable[[Delivery], None]) -> MemoryPull:
        """See the port."""
        self._link.check()
        return MemoryPull(self._link, job, band, on_delivery)

    def working(self, token: str) -> None:
        """See the port."""
        job, _, number = token.split(".")
        queue = self._world.queues.get(job)
        message = None if queue is None or self._link.closed else queue.messages.get(int(number))
        if message is not None:
            message.band.extend(message)

    async def last_seq(self, job: str) -> int:
        """See the port."""
        self._link.check()
        seq = self._world.queue(job).last_seq
        await self._link.turn()
        return seq

    async def purge(self, job: str, job_id: str, *, up_to: int) -> None:
        """See the port."""
        self._link.check()
        self._world.queue(job).purge(job_id, up_to=up_to)
        await self._link.turn()

    async def hinted(self, job: str) -> set[str]:
        """See the port."""
        self._link.check()
        ids = self._world.queue(job).hinted()
        await self._link.turn()
        return ids

    async def depth(self, job: str) -> Depth:
        """See the port."""
        self._link.check()
        depth = self._world.queue(job).depth()
        await self._link.turn()
        return depth

    async def flow(self, job: str) -> Flow:
        """See the port."""
        self._link.check()
        flow = self._world.queue(job).flow()
        await self._link.turn()
        return flow

    async def tails(self) -> dict[str, int]:
        """See the port."""
        self._link.check()
        tails = {job: queue.last_seq for job, queue in self._world.queues.items()}
        await self._link.turn()
        return tails
