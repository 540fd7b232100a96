"""The sign of life: presence and `+WPI`, from a thread with its own connection.

A handler that blocks the loop blocks everything on it; a heartbeat there would let the lease lapse, and the job would
run twice. So the thread has a loop and a connection of its own, and reads what the worker has in hand without a
lock (copying a set holds the GIL). In memory all share one loop, so there it is a task.

It is also the watchdog of the loop: an `async def` that never gives it back would never time out, for timeouts fire on
that loop. When a due timer has waited for longer than anybody may, the process ends; its jobs are taken over, and the
one that did it is poison after its crash budget.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from jetmill.bus.ports import Bus, Connect
from jetmill.errors import BusError
from jetmill.protocol.record import Presence
from jetmill.worker.log import get_logger

STALL_SECONDS = 30.0
"""How late a timer may be before the loop counts as lost."""
EXIT_STALLED = 71
log = get_logger()


@dataclass(frozen=True, slots=True)
class Vitals:
    """How the heartbeat sees its worker; every call comes from the heartbeat's thread."""

    presence: Callable[[], Presence]
    tokens: Callable[[], list[str]]
    """Of every delivery in hand, claimed or held."""
    interval_seconds: Callable[[], float]
    """A third of the shortest lease served."""
    ttl_seconds: Callable[[], float]
    """The longest lease served."""
    late_seconds: Callable[[], float]
    """How late the loop's timers are."""
    stalled: Callable[[], None]
    """The loop is lost; does not return in a process of its own."""


class Heartbeat:
    """Presence is there when `start` returns, and gone when `stop` does."""

    def __init__(self, bus: Bus, connect: Connect, vitals: Vitals) -> None:
        self._bus = bus
        self._connect = connect
        self._vitals = vitals
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._thread_loop: asyncio.AbstractEventLoop | None = None
        self._lost = False
        self.beat_time = 0.0
        """When presence was last renewed, seconds since the epoch."""

    async def start(self) -> None:
        """Say that the worker lives, then keep saying so; BusError if it cannot be said the first time."""
        await self._bus.presence.put(self._vitals.presence(), ttl_seconds=self._vitals.ttl_seconds())
        self.beat_time = time.time()
        if self._bus.link.threaded:
            ready = asyncio.get_running_loop().create_future()
            self._thread = threading.Thread(
                target=self._run_thread,
                args=(asyncio.get_running_loop(), ready),
                name="jetmill-heartbeat",
                daemon=True,
            )
            self._thread.start()
            await ready
        else:
            self._task = asyncio.create_task(self._beat_in_task())

    async def stop(self) -> None:
        """Stop, and take presence away."""
        thread, loop = self._thread, self._thread_loop
        if self._task is not None:
            self._stopping.set()
            await self._task
        elif thread is not None and loop is not None:
            with suppress(RuntimeError):  # its loop may end between any question and this
                loop.call_soon_threadsafe(self._stopping.set)
            await asyncio.to_thread(thread.join)
        try:
            await self._bus.presence.remove(self._vitals.presence().worker)
        except BusError as err:
            log.warning("heartbeat_lost", error=str(err))  # it lapses by itself

    def poke(self) -> None:
        """Beat now: something changed that others should see."""
        if self._thread_loop is not None:
            with suppress(RuntimeError):  # the thread has ended
                self._thread_loop.call_soon_threadsafe(self._wake.set)
        elif self._task is not None:
            self._wake.set()

    def _run_thread(self, main: asyncio.AbstractEventLoop, ready: asyncio.Future[None]) -> None:
        try:
            asyncio.run(self._live_in_thread(main, ready))
        except Exception as err:  # noqa: BLE001 - the edge: whatever it is, nobody renews the leases any more
            self._fail(err)
            with suppress(RuntimeError):  # the worker's loop has ended
                main.call_soon_threadsafe(_resolve, ready)

    async def _beat_in_task(self) -> None:
        try:
            await self._beat_for_ever(self._bus, self._stopping)
        except Exception as err:  # noqa: BLE001 - the same
            self._fail(err)

    def _fail(self, err: Exception) -> None:
        """A worker without a sign of life loses its jobs to others while it runs them: it has to end as if stalled."""
        log.error("heartbeat_failed", exc_info=err)
        self._vitals.stalled()

    async def _live_in_thread(self, main: asyncio.AbstractEventLoop, ready: asyncio.Future[None]) -> None:
        self._thread_loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()
        main.call_soon_threadsafe(_resolve, ready)
        bus = await self._connect_patiently()
        if bus is None:
            return
        try:
            await self._beat_for_ever(bus, self._stopping)
        finally:
            await bus.link.close()

    async def _connect_patiently(self) -> Bus | None:
        while not self._stopping.is_set():
            try:
                return await self._connect()
            except BusError as err:
                self._note_lost(err)
                await self._pause(1.0)
        return None

    async def _beat_for_ever(self, bus: Bus, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            await self._beat(bus)
            await self._pause(self._vitals.interval_seconds())
            if self._vitals.late_seconds() > STALL_SECONDS:
                log.error("worker_stalled", late_seconds=round(self._vitals.late_seconds(), 1))
                self._vitals.stalled()

    async def _beat(self, bus: Bus) -> None:
        for token in self._vitals.tokens():
            bus.queue.working(token)
        try:
            await bus.presence.put(self._vitals.presence(), ttl_seconds=self._vitals.ttl_seconds())
        except BusError as err:
            self._note_lost(err)
            return
        self.beat_time = time.time()
        if self._lost:
            self._lost = False
            log.info("heartbeat_regained")

    def _note_lost(self, err: BusError) -> None:
        if not self._lost:
            self._lost = True
            log.warning("heartbeat_lost", error=str(err))

    async def _pause(self, seconds: float) -> None:
        """Wait, unless it is to stop or to beat now."""
        stopping = asyncio.ensure_future(self._stopping.wait())
        waking = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait((stopping, waking), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            waking.cancel()
            self._wake.clear()


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
