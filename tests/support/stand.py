"""A Job with workers that an autoscaler scales, all in memory: reconcilers and autoscaler as they are, a ReplicaSet and
workers that are played, and somebody who meddles between any two of their steps.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from factories import make_hint, make_presence
from jetmill.bus.memory import MemoryClock, MemoryWorld
from jetmill.bus.ports import Bus, PresenceBoard, Signals
from jetmill.errors import DisconnectedError
from jetmill.protocol.record import Presence
from jetmill_operator.cluster.errors import NotLeaderError
from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import DEPLOYMENT, EVENT, JOB, POD, Body, Key
from jetmill_operator.policy.crew import COST
from jetmill_operator.reconcile.bus import Buses
from jetmill_operator.reconcile.metric import Metrics
from jetmill_operator.reconcile.moment import Clock
from jetmill_operator.reconcile.scaler import Scaler
from jetmill_operator.reconcile.team import Team
from jetmill_operator.resources.deployment import WorkerLink
from support.declare import NAMESPACE, make_body
from support.replicaset import ReplicaSet
from support.site import Hands

BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)
KEY = Key("Job", NAMESPACE, "send-email")
CHILD = "send-email-worker"
Fault = Callable[["Stand"], Awaitable[None]]


class LoopClock(MemoryClock):
    """The bus's clock goes by the loop's time, which may be virtual."""

    def now(self) -> int:
        return self._base + self._moved + round(asyncio.get_running_loop().time() * 1_000_000)


class Meddler:
    """Counts the steps of whoever takes workers away, from the first mark on, and strikes before one of them."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.at: int | None = None
        self.fault: Callable[[], Awaitable[None]] | None = None
        self.presence_reads = 0
        self.dead = False
        """Whoever took them is no more: nothing that it does has an effect."""

    async def pass_by(self, step: str) -> None:
        if self.dead:
            await asyncio.Event().wait()
        if not self.steps and "mark" not in step:
            return
        self.steps.append(step)
        if self.at is not None and len(self.steps) == self.at + 1 and self.fault is not None:
            await self.fault()
            if self.dead:
                await asyncio.Event().wait()


class MeddledCluster(Hands):
    """The cluster, as the autoscaler reaches it."""

    def __init__(self, cluster: LocalCluster, meddler: Meddler) -> None:
        super().__init__(cluster)
        self._meddler = meddler
        self.leading = True

    async def get(self, kind: Any, namespace: str, name: str) -> Body | None:
        await self._meddler.pass_by(f"get {kind.name}")
        return await super().get(kind, namespace, name)

    async def list(self, kind: Any, **options: Any) -> list[Body]:
        await self._meddler.pass_by(f"list {kind.name}")
        return await super().list(kind, **options)

    async def apply(self, kind: Any, body: Body, **options: Any) -> Body:
        if options.get("subresource") == "scale":
            await self._meddler.pass_by("scale")
        self._require()
        return await super().apply(kind, body, **options)

    async def patch(self, kind: Any, namespace: str, name: str, patch: Body, **options: Any) -> Body:
        if kind == POD:
            marks = patch["metadata"]["annotations"][COST] is not None
            await self._meddler.pass_by(f"{'mark' if marks else 'clear'} {name}")
        self._require()
        return await super().patch(kind, namespace, name, patch, **options)

    def _require(self) -> None:
        if not self.leading:
            raise NotLeaderError("the lease has run out")


class MeddledPresence:
    """Presences, as the autoscaler reads them."""

    def __init__(self, board: PresenceBoard, meddler: Meddler) -> None:
        self._board = board
        self._meddler = meddler
        self.put = board.put
        self.remove = board.remove
        self.is_removed = board.is_removed

    async def get(self, worker: str) -> Presence | None:
        await self._meddler.pass_by("ask worker")
        return await self._board.get(worker)

    async def all(self) -> list[Presence]:
        self._meddler.presence_reads += 1
        await self._meddler.pass_by("all presences")
        return await self._board.all()


class LossySignals:
    """Pushes that may be lost."""

    def __init__(self, signals: Signals) -> None:
        self.lost = False
        self._signals = signals
        self.cancel, self.on_cancel = signals.cancel, signals.on_cancel
        self.wake, self.on_wake, self.on_drain = signals.wake, signals.on_wake, signals.on_drain

    def drain(self, worker: str) -> None:
        if not self.lost:
            self._signals.drain(worker)

    def undrain(self, worker: str) -> None:
        if not self.lost:
            self._signals.undrain(worker)


class Worker:
    """Plays a worker: rests when it is asked to, for a minute, and never begins anything meanwhile."""

    _numbers = itertools.count(1)

    def __init__(self, bus: Bus, pod: str) -> None:
        self.pod = pod
        self.id = f"worker-{next(self._numbers)}"
        self.busy = 0
        self.resting = False
        self.alive = True
        self._bus = bus
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop = bus.signals.on_drain(self.id, drain=self._rest, undrain=self.resume)
        self._beat()

    def _beat(self) -> None:
        if self.alive:
            self._tell()
            asyncio.get_running_loop().call_later(10, self._beat)

    def begin(self) -> None:
        """Take a job, if it takes any."""
        if not self.resting:
            self.busy += 1
            self._tell()

    def finish(self) -> None:
        self.busy -= 1
        self._tell()

    def resume(self) -> None:
        if self.alive:
            self.resting = False
            self._tell()

    def crash(self) -> None:
        """It is gone without a word; what it had in hand is lost, whoever is taken away now."""
        self.alive = False
        self.busy = 0
        self._stop()

    def leave(self) -> None:
        """SIGTERM, with nothing in hand."""
        self.alive = False
        self._stop()
        self._later(self._bus.presence.remove(self.id))

    def _rest(self) -> None:
        self.resting = True
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(60, self.resume)
        self._tell()

    def _tell(self) -> None:
        said = make_presence(self.id, slots=4, busy=self.busy, draining=self.resting, pod=self.pod, service_seconds=2.0)
        self._later(self._bus.presence.put(said, ttl_seconds=30))

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Stand:
    """See above. `spec` is the Job's."""

    def __init__(self, **spec: Any) -> None:
        loop = asyncio.get_running_loop()
        self.clock = Clock(monotonic=loop.time, now=lambda: BEGIN + timedelta(seconds=loop.time()))
        self.world = MemoryWorld(NAMESPACE, clock=LoopClock(start=round(BEGIN.timestamp() * 1_000_000)))
        self.plain = self.world.connect()
        self.cluster = LocalCluster(now=self.clock.now)
        self.meddler = Meddler()
        self.hands = MeddledCluster(self.cluster, self.meddler)
        self.signals = LossySignals(self.plain.signals)
        self.queue = Queue(self.plain, self)
        self.connected = True
        self.workers: dict[str, Worker] = {}
        self.killed: list[str] = []
        """Pods that were taken away with a job in hand."""
        self.gone: list[str] = []
        self.replica_set = ReplicaSet(self.cluster, on_start=self._start_worker, on_stop=self._stop_worker)
        self.spec = spec
        self.scaler: Scaler | None = None
        self.team: Team
        self._tasks: set[asyncio.Task[Any]] = set()
        self._scaling: asyncio.Task[None] | None = None

    # What a trunk is

    connected_seconds = 0.0

    def open(self, namespace: str) -> Bus:
        assert namespace == NAMESPACE
        bus = self.world.connect()
        presence = MeddledPresence(bus.presence, self.meddler)
        return dataclasses.replace(bus, presence=presence, signals=self.signals, queue=self.queue, link=Link(self))

    async def close(self) -> None:
        return

    # Life

    async def begin(self, *, replicas: int = 0) -> None:
        """Declare the Job, and wait until it has so many workers; nothing scales yet."""
        await self.declare(KEY.name, **self.spec)
        await self.lead()
        self._spawn(self.replica_set.run())
        await self.until(self._is_handed_over)
        await self.scale(replicas)
        await self.until(lambda: len(self.workers) == replicas)

    async def lead(self) -> None:
        """What a process does that has become the leader, but for scaling."""
        buses = Buses(self, clock=self.clock)
        self.team = Team(
            self.cluster,
            buses,
            link=WorkerLink("nats://nats"),
            metrics=Metrics(),
            clock=self.clock,
            instance="operator-0",
        )
        await self.team.begin()
        self._unwatch = self.cluster.watch(self.team.notice)
        for kind in (JOB, DEPLOYMENT, POD):
            for body in await self.cluster.list(kind):
                self.team.notice(kind, "LISTED", body)
        self._spawn(self.team.queue.run())

    def start(self) -> None:
        """Begin to scale."""
        self.scaler = Scaler(dataclasses.replace(self.team.parts, cluster=self.hands), chance=lambda: 0.5)
        self._scaling = self._spawn(self.scaler.run())

    async def stop(self) -> None:
        """As at a graceful end."""
        assert self._scaling is not None
        self._scaling.cancel()
        await asyncio.wait([self._scaling])

    async def succeed(self) -> None:
        """The process is dead, as by SIGKILL; another one leads."""
        self.meddler.dead = True
        self._unwatch()
        self.meddler = Meddler()
        self.hands = MeddledCluster(self.cluster, self.meddler)
        await self.lead()
        self.start()

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        return task

    def _start_worker(self, pod: str) -> None:
        self.workers[pod] = Worker(self.plain, pod)

    def _stop_worker(self, pod: str) -> None:
        self.gone.append(pod)
        worker = self.workers.pop(pod, None)
        if worker is not None:
            if worker.busy:
                self.killed.append(pod)
            worker.leave()

    # What happens, and what is seen

    async def until(self, condition: Callable[[], Any], *, seconds: float = 900.0) -> None:
        """Wait for a condition, in the loop's time."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            answer = condition()
            if asyncio.iscoroutine(answer):
                answer = await answer
            if answer:
                return
            assert loop.time() < end, f"waited for {condition}: {await self.replicas()} {sorted(self.workers)}"
            await asyncio.sleep(0.25)

    async def enqueue(self, count: int = 1, *, wake: bool = True, **fields: Any) -> None:
        for _ in range(count):
            await self.plain.queue.publish(make_hint(**fields))
        if wake:
            self.plain.signals.wake(fields.get("job", KEY.name))

    async def scale(self, replicas: int, *, manager: str = "kubectl") -> None:
        """`kubectl scale`."""
        meta = {"name": CHILD, "namespace": NAMESPACE}
        scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": meta, "spec": {"replicas": replicas}}
        await self.cluster.apply(DEPLOYMENT, scale, manager=manager, subresource="scale")

    async def deployment(self) -> Body:
        body = await self.cluster.get(DEPLOYMENT, NAMESPACE, CHILD)
        assert body is not None
        return body

    async def replicas(self) -> int:
        return int((await self.deployment())["spec"]["replicas"])

    async def has(self, replicas: int) -> bool:
        return await self.replicas() == replicas

    async def marks(self) -> list[str]:
        pods = await self.cluster.list(POD)
        return [pod["metadata"]["name"] for pod in pods if COST in pod["metadata"].get("annotations", {})]

    async def roll(self) -> None:
        """The image is changed, and the rollout stands half-way."""
        template = {"metadata": {"annotations": {"edition": str(asyncio.get_running_loop().time())}}}
        await self.cluster.patch(DEPLOYMENT, NAMESPACE, CHILD, {"spec": {"template": template}}, manager="kubectl")

    async def status(self, name: str = KEY.name) -> Body:
        body = await self.cluster.get(JOB, NAMESPACE, name)
        assert body is not None
        found: Body = body.get("status", {})
        return found

    async def condition(self, kind: str) -> str:
        found = (await self.status()).get("conditions", [])
        return next((f"{one['status']} {one['reason']}" for one in found if one["type"] == kind), "")

    async def events(self) -> list[str]:
        return [f"{event['reason']}: {event['message']}" for event in await self.cluster.list(EVENT)]

    async def has_settings(self, job: str) -> bool:
        return await self.plain.admin.settings(job) is not None

    def listeners(self, kind: str) -> int:
        """How many listen to such pushes."""
        return len(self.world.signals._listeners[kind])

    @property
    def presence_reads(self) -> int:
        return self.meddler.presence_reads

    async def declare(self, name: str, **spec: Any) -> None:
        """One more Job."""
        body = make_body(name, **spec)
        meta = {"name": name, "namespace": NAMESPACE}
        await self.cluster.apply(JOB, {**body, "metadata": meta}, manager="kubectl")

    async def _is_handed_over(self) -> bool:
        body = await self.cluster.get(DEPLOYMENT, NAMESPACE, CHILD)
        owners = await self.cluster.owners(DEPLOYMENT, NAMESPACE, CHILD, ".spec.replicas")
        return body is not None and owners == {"jetmill-autoscaler"}


class Link:
    """A connection that may be away."""

    threaded = False

    def __init__(self, stand: Stand) -> None:
        self._stand = stand

    @property
    def connected(self) -> bool:
        return self._stand.connected

    connected_seconds = 3_600.0

    def now(self) -> int:
        return self._stand.world.clock.now()

    async def room(self) -> None:
        return

    async def flush(self) -> None:
        return

    async def close(self) -> None:
        return


class Queue:
    """A queue that counts who looks, and cannot be read while the connection is away."""

    def __init__(self, bus: Bus, stand: Stand) -> None:
        self.looks = 0
        self.lists = 0
        self._queue = bus.queue
        self._stand = stand

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    async def flow(self, job: str) -> Any:
        self._check()
        self.looks += 1
        return await self._queue.flow(job)

    async def tails(self) -> dict[str, int]:
        self._check()
        self.lists += 1
        return await self._queue.tails()

    def _check(self) -> None:
        if not self._stand.connected:
            raise DisconnectedError("NATS is away")


@contextlib.asynccontextmanager
async def open_stand(**spec: Any) -> AsyncIterator[Stand]:
    stand = Stand(**spec)
    try:
        yield stand
    finally:
        await stand.end()
