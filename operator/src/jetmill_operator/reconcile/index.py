"""Which Job rides on which: known from the watch, so that no reconcile lists all Jobs of its namespace.

It has to be whole before the first reconcile: a carrier that does not know its riders would roll its workers for
nothing. So the operator fills it from one LIST before it begins to watch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jetmill_operator.cluster.ports import JOB, SCHEDULED_JOB, Body, Key
from jetmill_operator.resources.deployment import TIMEOUT_SECONDS, Rider
from jetmill_operator.resources.plan import Carrier


@dataclass(frozen=True, slots=True)
class _Known:
    """What is kept of a Job; read leniently, for any Job can be in the cluster."""

    carrier: str | None
    timeout_seconds: float
    leaving: bool


class JobIndex:
    """All Jobs that the watch has told of."""

    def __init__(self) -> None:
        self.schedules = ScheduleIndex()
        self._jobs: dict[tuple[str, str], _Known] = {}
        self._riders: dict[tuple[str, str], set[str]] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def all(self) -> list[Key]:
        """Every Job."""
        return [Key(JOB.name, namespace, name) for namespace, name in sorted(self._jobs)]

    def namespaces(self) -> set[str]:
        """Those that have Jobs."""
        return {namespace for namespace, _ in self._jobs}

    def fill(self, bodies: Iterable[Body]) -> None:
        """Take all Jobs that a LIST gave."""
        for body in bodies:
            self.put(body["metadata"]["namespace"], body["metadata"]["name"], body)

    def put(self, namespace: str, name: str, body: Body | None) -> set[Key]:
        """Take note of a Job (None: gone); give the other Jobs that this concerns."""
        place = (namespace, name)
        before, after = self._jobs.get(place), None if body is None else _read(body)
        if before == after:
            return set()
        for known, add in ((before, False), (after, True)):
            if known is not None and known.carrier is not None:
                riders = self._riders.setdefault((namespace, known.carrier), set())
                (riders.add if add else riders.discard)(name)
        if after is None:
            self._jobs.pop(place, None)
        else:
            self._jobs[place] = after
        carriers = {known.carrier for known in (before, after) if known is not None and known.carrier is not None}
        concerned = {*carriers, *self._riders.get(place, ())} - {name}
        return {Key(JOB.name, namespace, other) for other in concerned}

    def has(self, namespace: str, name: str) -> bool:
        """Tell whether a Job is there, and not being deleted."""
        known = self._jobs.get((namespace, name))
        return known is not None and not known.leaving

    def riders_of(self, namespace: str, name: str) -> tuple[Rider, ...]:
        """The Jobs that ride on a Job's workers and are to stay, by name."""
        names = sorted(self._riders.get((namespace, name), ()))
        known = [(rider, self._jobs[namespace, rider]) for rider in names]
        return tuple(Rider(rider, job.timeout_seconds) for rider, job in known if not job.leaving)

    def carrier_of(self, namespace: str, carrier: str) -> Carrier:
        """What a Job that is named as a carrier is."""
        known = self._jobs.get((namespace, carrier))
        if known is None or known.leaving:
            return Carrier.MISSING
        return Carrier.PRESENT if known.carrier is None else Carrier.RIDES


class ScheduleIndex:
    """Which ScheduledJobs enqueue jobs of which Job, as far as the watch has told."""

    def __init__(self) -> None:
        self._job_of: dict[tuple[str, str], str] = {}
        self._schedules: dict[tuple[str, str], set[str]] = {}
        self._known: set[tuple[str, str]] = set()

    def put(self, namespace: str, name: str, body: Body | None) -> None:
        """Take note of a ScheduledJob (None: gone)."""
        place = (namespace, name)
        before = self._job_of.pop(place, None)
        self._known.discard(place)
        if before is not None:
            self._schedules[namespace, before].discard(name)
        if body is None:
            return
        self._known.add(place)
        job = _mapping(_mapping(body.get("spec")).get("jobRef")).get("name")
        if isinstance(job, str):
            self._job_of[place] = job
            self._schedules.setdefault((namespace, job), set()).add(name)

    def of(self, namespace: str, job: str) -> set[Key]:
        """The ScheduledJobs that enqueue jobs of a Job."""
        names = self._schedules.get((namespace, job), ())
        return {Key(SCHEDULED_JOB.name, namespace, name) for name in names}

    def all(self) -> list[Key]:
        """Every ScheduledJob."""
        return [Key(SCHEDULED_JOB.name, namespace, name) for namespace, name in sorted(self._known)]


def _read(body: Body) -> _Known:
    spec = _mapping(body.get("spec"))
    timeout = spec.get("timeoutSeconds")
    carrier = _mapping(_mapping(spec.get("worker")).get("from")).get("name")
    return _Known(
        carrier=carrier if isinstance(carrier, str) else None,
        timeout_seconds=float(timeout) if isinstance(timeout, (int, float)) and timeout > 0 else TIMEOUT_SECONDS,
        leaving="deletionTimestamp" in body["metadata"],
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
