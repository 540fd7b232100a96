"""What the autoscaler sees of a Job on the bus: its queue and its workers, by the ports alone.

The queue's numbers come from the consumers' leader and are exact; presences are renewed every third of a lease (and
when a worker drains), so what they say is in hand may be that old. Therefore the two are not added: what is in the
queue is all there is, and presences only say which part of it is in hand. A job whose worker has died is delivered
and not acked, and in nobody's hand: it waits like one that was never delivered, and wakes workers from zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jetmill.bus.ports import Bus, Flow
from jetmill.errors import JetmillError, NotFoundError
from jetmill.protocol.record import Presence
from jetmill_operator.policy.demand import Seen


@dataclass(frozen=True, slots=True)
class QueueSeen:
    """One look at a Job's queue and workers."""

    job: str
    flow: Flow | None = None
    """None: it could not be read."""
    workers: tuple[Presence, ...] = ()
    """Those that serve the Job and have not been told to end."""
    fault: str = ""
    """Why it could not be read, for a person."""
    missing: bool = False
    """There is no such queue: it has to be made, whoever is asked."""

    @property
    def busy(self) -> int:
        """Jobs that the workers say they have in hand."""
        return sum(worker.busy for worker in self.workers)

    @property
    def slots(self) -> int:
        """Jobs at once in one worker, as the workers say; 0: nobody is there to say it."""
        return max((worker.slots for worker in self.workers), default=0)

    @property
    def service_seconds(self) -> float:
        """How long a job runs, by the workers that know; 0: none does."""
        told = [worker.service_seconds for worker in self.workers if worker.service_seconds > 0]
        return sum(told) / len(told) if told else 0.0


async def observe_queue(bus: Bus, job: str, *, presences: Sequence[Presence] | None = None) -> QueueSeen:
    """Observe a Job. `presences`: all of the namespace, where they were read already for many Jobs; None reads them.
    Never raises a JetmillError: what could not be read is said in `fault`.
    """
    try:
        flow = await bus.queue.flow(job)
        if presences is None:
            presences = await bus.presence.all()
    except NotFoundError as err:
        return QueueSeen(job, fault=str(err), missing=True)
    except JetmillError as err:
        return QueueSeen(job, fault=str(err))
    serving = (one for one in presences if job in one.jobs and not one.stopping)
    return QueueSeen(job, flow, tuple(serving))


def build_seen(queue: QueueSeen, *, time: float, replicas: int, ready: int, unschedulable: int = 0) -> Seen:
    """Build what `decide_replicas` looks at. `time`: seconds of a monotonic clock; `replicas`: workers that were asked
    for; `ready`: those that the cluster calls ready; `unschedulable`: pods that it has had no room for, for a while.
    """
    if queue.flow is None:
        return Seen(time=time, replicas=replicas, valid=False)
    serving = sum(not worker.draining for worker in queue.workers)
    flow = queue.flow
    in_queue = flow.ready + flow.in_flight
    in_flight = min(queue.busy if queue.workers else _guess_busy(flow, ready=ready), in_queue)
    return Seen(
        time=time,
        replicas=replicas,
        ready=max(ready, min(serving, replicas)),  # presence is sooner than a readiness probe
        unschedulable=unschedulable,
        pending=in_queue - in_flight,
        in_flight=in_flight,
        arrivals=(flow.stored, flow.offered),
        service_seconds=queue.service_seconds,
    )


def _guess_busy(flow: Flow, *, ready: int) -> int:
    """Without any presence: what was delivered is in the hands of whoever is ready, if anybody is."""
    return flow.in_flight if ready else 0
