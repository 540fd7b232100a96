"""A fleet of workers in simulated time: jobs come, wait, run; a scaler looks now and then and is obeyed.

Deterministic (seeded), discrete events, no clock. It models what the decisions depend on: a worker takes a while to
start, has slots, takes jobs by turns with the others; who shall leave is told to drain and goes when it has nothing in
hand. It does not model the variance of a scheduler or of an API server: a fixture, no promise of speed.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import count

from jetmill_operator.policy.demand import Scaling, Seen
from jetmill_operator.policy.scaling import Decision, ScalerState, decide_replicas
from jetmill_operator.policy.victim import DrainPlan, WorkerSeen, plan_drains

LOOK_SECONDS = 2.0
LOOK_AT_ZERO_SECONDS = 1.0


@dataclass(frozen=True)
class Course:
    """What happens."""

    arrivals: tuple[float, ...]
    """When each job comes, in order."""
    seconds: float = 900.0
    service_seconds: float = 2.0
    start_seconds: float = 3.0
    seed: int = 1
    blind: tuple[float, float] = (0.0, 0.0)
    """From when to when the queue cannot be read."""


@dataclass
class Report:
    """What came of it."""

    waits: list[float] = field(default_factory=list)
    """From arrival to start, of each job that was begun, in the order in which they came."""
    steps: list[tuple[float, int, Decision]] = field(default_factory=list)
    """Each change of how many are asked for: when, how many, why."""
    decisions: list[tuple[float, Decision]] = field(default_factory=list)
    pod_seconds: float = 0.0
    peak: int = 0
    killed: int = 0
    """Jobs whose worker was taken away."""
    finished: int = 0

    def wait(self, quantile: float) -> float:
        """The wait that this part of the jobs stayed below."""
        ordered = sorted(self.waits)
        return ordered[min(int(quantile * len(ordered)), len(ordered) - 1)]


@dataclass(eq=False)
class _Pod:
    name: str
    born: float
    slots: int
    ready: bool = False
    draining: bool = False
    gone: bool = False
    busy: int = 0
    finished: int = 0
    service_seconds: float = 0.0
    idle_since: float | None = None


class Fleet:
    """One Job's workers."""

    def __init__(self, scaling: Scaling, course: Course) -> None:
        self.report = Report()
        self.pods: list[_Pod] = []
        self._scaling = scaling
        self._course = course
        self._random = random.Random(course.seed)
        self._state = ScalerState()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._names = count()
        self._now = 0.0
        self._queue: deque[float] = deque()
        self._free: deque[_Pod] = deque()
        self._arrived = 0

    def run(self) -> Report:
        """Run the whole course."""
        self._at(0.0, self._look)
        for time in self._course.arrivals:
            self._at(time, self._arrive)
        while self._events and self._events[0][0] <= self._course.seconds:
            self._now, _, happen = heapq.heappop(self._events)
            happen()
        self._now = self._course.seconds
        self.report.pod_seconds += sum(self._now - pod.born for pod in self.pods)
        return self.report

    def _at(self, time: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time, next(self._order), happen))

    def _arrive(self) -> None:
        self._arrived += 1
        self._queue.append(self._now)
        self._serve()
        if not self.pods:
            self._at(self._now, self._wake)

    def _serve(self) -> None:
        while self._queue and self._free:
            pod = self._free.popleft()
            if pod.draining or pod.gone:
                continue
            self.report.waits.append(self._now - self._queue.popleft())
            pod.busy += 1
            pod.idle_since = None
            seconds = self._random.expovariate(1 / self._course.service_seconds)
            self._at(self._now + seconds, lambda pod=pod, seconds=seconds: self._finish(pod, seconds))  # type: ignore[misc]

    def _finish(self, pod: _Pod, seconds: float) -> None:
        pod.busy -= 1
        self.report.killed += pod.gone
        self.report.finished += 1
        pod.finished += 1
        pod.service_seconds += max(0.05, 1 / pod.finished) * (seconds - pod.service_seconds)
        if not pod.busy:
            pod.idle_since = self._now
        if not pod.draining:
            self._free.append(pod)
            self._serve()
        elif not pod.busy:
            self._scale()

    def _start(self, pod: _Pod) -> None:
        if not pod.gone:
            pod.ready = True
            pod.idle_since = self._now
            self._free.extend([pod] * pod.slots if not pod.draining else [])
            self._serve()

    def _wake(self) -> None:
        if not self.pods:
            self._scale()

    def _look(self) -> None:
        self._scale()
        self._at(self._now + (LOOK_SECONDS if self.pods else LOOK_AT_ZERO_SECONDS), self._look)

    def _scale(self) -> None:
        decision = decide_replicas(self._scaling, self._state, self._see())
        self._state = decision.state
        before = len(self.pods)
        self.report.decisions.append((self._now, decision))
        for _ in range(decision.replicas - before):
            pod = _Pod(f"w{next(self._names):04}", self._now, self._scaling.concurrency)
            self.pods.append(pod)
            self._at(self._now + self._course.start_seconds, lambda pod=pod: self._start(pod))  # type: ignore[misc]
        self._drain(before - decision.replicas)
        if len(self.pods) != before:
            self.report.steps.append((self._now, len(self.pods), decision))
            self.report.peak = max(self.report.peak, len(self.pods))

    def _drain(self, surplus: int) -> None:
        """Tell who shall leave, let the others go on, and take away who has nothing in hand."""
        pods = {pod.name: pod for pod in self.pods}
        asked = [pod.name for pod in self.pods if pod.draining]
        for name in self._plan(surplus, asked).undo:
            pods[name].draining = False
            self._free.extend([pods[name]] * (pods[name].slots - pods[name].busy if pods[name].ready else 0))
        asked = list(self._plan(surplus, asked).ask)
        for name in asked:
            pods[name].draining = True
        for name in self._plan(surplus, asked).victims:
            self._take_away(pods[name])
        self._serve()

    def _plan(self, surplus: int, asked: list[str]) -> DrainPlan:
        workers = [WorkerSeen(pod.name, pod.busy, pod.idle_since, pod.draining) for pod in self.pods]
        return plan_drains(workers, surplus, asked=asked)

    def _take_away(self, pod: _Pod) -> None:
        self.pods.remove(pod)
        pod.gone = True
        self.report.killed += pod.busy
        self.report.pod_seconds += self._now - pod.born

    def _see(self) -> Seen:
        begin, end = self._course.blind
        told = [pod.service_seconds for pod in self.pods if pod.finished]
        seen = Seen(
            time=self._now,
            replicas=len(self.pods),
            ready=sum(pod.ready for pod in self.pods),
            pending=len(self._queue),
            in_flight=sum(pod.busy for pod in self.pods),
            arrivals=(self._arrived,),
            service_seconds=sum(told) / len(told) if told else 0.0,
        )
        if begin <= self._now < end:
            return replace(seen, valid=False, pending=0, in_flight=0, arrivals=(), service_seconds=0.0)
        return seen


def simulate(scaling: Scaling, course: Course) -> Report:
    """Run a course to its end."""
    return Fleet(scaling, course).run()


def draw_arrivals(*phases: tuple[float, float, float], seed: int = 7) -> tuple[float, ...]:
    """Draw when jobs come: in each phase (from, to, per second) one after another at random (a Poisson process)."""
    dice = random.Random(seed)
    return tuple(time for phase in phases for time in _draw_phase(dice, *phase))


def _draw_phase(dice: random.Random, begin: float, end: float, per_second: float) -> Iterable[float]:
    time = begin + dice.expovariate(per_second)
    while time < end:
        yield time
        time += dice.expovariate(per_second)
