"""What can go wrong on a real bus, on demand: for tests that drive a world through crashes, lapses and lost replies.

Faults of writes are armed beforehand and hit the next writes of their kind, in order, one each. The others happen
at once. Nothing here is random: a property test draws what it wants.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from jetmill.errors import BusError, NoAnswerError

if TYPE_CHECKING:
    from jetmill.bus.memory.world import MemoryWorld

Write = Literal["append", "holder", "plan", "hint"]


class Fault(NamedTuple):
    """What happens to one write: whether and when it lands, and what its caller is told."""

    lands: bool
    after_seconds: float
    error: BusError


class Faults:
    """The faults of one world: `world.faults`."""

    def __init__(self, world: MemoryWorld) -> None:
        self._world = world
        self._armed: dict[Write, deque[Fault]] = {write: deque() for write in get_args(Write)}
        self.full = False
        """The ledger is full: appends raise BusError 10077 and store nothing, as long as this is true."""

    def drop_answer(self, write: Write = "append") -> None:
        """The next such write lands, but its caller gets NoAnswerError."""
        self._armed[write].append(Fault(lands=True, after_seconds=0.0, error=NoAnswerError("the answer was lost")))

    def drop_request(self, write: Write = "append") -> None:
        """The next such write does not land; its caller gets NoAnswerError."""
        self._armed[write].append(Fault(lands=False, after_seconds=0.0, error=NoAnswerError("the request was lost")))

    def delay(self, seconds: float, write: Write = "append") -> None:
        """The next such write lands `seconds` later, if it still may then; its caller gets NoAnswerError now."""
        self._armed[write].append(Fault(lands=True, after_seconds=seconds, error=NoAnswerError("the request is late")))

    def fail(self, error: BusError, write: Write = "append") -> None:
        """The next such write does not land; its caller gets `error`."""
        self._armed[write].append(Fault(lands=False, after_seconds=0.0, error=error))

    def take(self, write: Write) -> Fault | None:
        """The fault that hits a write; for the adapter."""
        armed = self._armed[write]
        return armed.popleft() if armed else None

    def clear(self) -> None:
        """Disarm all."""
        for armed in self._armed.values():
            armed.clear()
        self.full = False

    def duplicate(self, job: str, job_id: str) -> int:
        """Store each ready hint of the job a second time (the original may be in hand); returns how many."""
        return self._world.queue(job).duplicate(job_id)

    def lapse(self, job: str, job_id: str | None = None) -> int:
        """Let deliveries in hand (of one job, or all of a Job) lapse now, to be delivered again; returns how many."""
        return self._world.queue(job).lapse(job_id)

    def lapse_presence(self, worker: str) -> None:
        """Let a worker's presence run out now."""
        self._world.presence.pop(worker, None)

    def forget_deliveries(self) -> None:
        """What a killed single server forgets: who holds what, and the delivery counts. Everything in hand is delivered
        again as if for the first time, and acks of the deliveries before do nothing.
        """
        for queue in self._world.queues.values():
            queue.forget_deliveries()

    def lose_hints(self, job: str, job_id: str) -> None:
        """Remove every hint of the job, ready, in hand and delayed."""
        queue = self._world.queue(job)
        queue.purge(job_id, up_to=queue.last_seq + 1)
