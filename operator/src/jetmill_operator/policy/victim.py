"""Who leaves when fewer workers are wanted. Pure.

A worker that has a job in hand is never taken away. Under load all may have one at any moment (fifty slots are hardly
ever all free), so those that shall leave are first told to take nothing more, and leave once they have nothing in hand:

```
 takes jobs ──too many──▶ asked to drain ──nothing in hand──▶ victim ──▶ gone
      ▲                         │
      └── more are wanted again ┘
```
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from jetmill.protocol.record import Presence


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker as its presence shows it."""

    worker: str
    """Its id."""
    busy: int = 0
    """Jobs in hand."""
    idle_since: float | None = None
    """Since when it was seen with nothing in hand, in seconds of a monotonic clock; None: it has something."""
    draining: bool = False
    """It takes nothing more."""


def note_idle(known: Mapping[str, float], presences: Iterable[Presence], *, time: float) -> dict[str, float]:
    """Note since when each worker has been seen idle; who is gone or busy is forgotten."""
    return {one.worker: known.get(one.worker, time) for one in presences if not one.busy}


def build_workers(presences: Iterable[Presence], idle_since: Mapping[str, float]) -> list[WorkerSeen]:
    """Build what the choices need from presences and what `note_idle` noted; who ends already is no choice."""
    return [
        WorkerSeen(one.worker, one.busy, None if one.busy else idle_since.get(one.worker), one.draining)
        for one in presences
        if not one.stopping
    ]


def choose_victims(workers: Iterable[WorkerSeen], count: int) -> list[str]:
    """Choose at most `count` workers to take away, never one with a job in hand: those that drain already first, then
    the longest idle. Fewer where fewer are idle.
    """
    idle = [worker for worker in workers if not worker.busy]
    return [worker.worker for worker in sorted(idle, key=_by_idleness)[: max(count, 0)]]


def choose_drains(workers: Iterable[WorkerSeen], count: int) -> list[str]:
    """Choose the `count` workers that shall take nothing more: those that drain already first, then the idle, the
    longest first, then those with the least in hand. Whoever drains and is not among them may go on. `workers` are
    those that are to be counted: not those whose pod is on its way out.
    """
    return [worker.worker for worker in sorted(workers, key=_by_load)[: max(count, 0)]]


def _by_idleness(worker: WorkerSeen) -> tuple[bool, float, str]:
    since = worker.idle_since
    return (not worker.draining, float("inf") if since is None else since, worker.worker)


def _by_load(worker: WorkerSeen) -> tuple[bool, int, float, str]:
    draining, since, name = _by_idleness(worker)
    return (draining, worker.busy, since, name)


@dataclass(frozen=True, slots=True)
class DrainPlan:
    """What to tell workers now, and who may go."""

    ask: tuple[str, ...] = ()
    """To be told to take nothing more; told at each look anew, for a worker that hears nothing goes on."""
    undo: tuple[str, ...] = ()
    """To be told to go on: they were asked, and fewer shall leave now."""
    victims: tuple[str, ...] = ()
    """Those of the asked that drain and have nothing in hand."""


def plan_drains(workers: Sequence[WorkerSeen], surplus: int, *, asked: Collection[str]) -> DrainPlan:
    """Plan a step of scaling in. `surplus`: how many more are asked for than are wanted; `asked`: who was told to drain
    before, and who therefore may be a victim: another's drain (a signal, a recycling) says nothing about our pods.
    """
    chosen = choose_drains(workers, surplus)
    ready = [one for one in workers if one.draining and one.worker in asked and one.worker in chosen]
    return DrainPlan(
        ask=tuple(chosen),
        undo=tuple(one.worker for one in workers if one.worker in asked and one.worker not in chosen),
        victims=tuple(choose_victims(ready, surplus)),
    )
