"""Which Jobs a worker serves now: those that it was told, and those whose manifests say that they ride on one of these,
or whatever else a rule takes.

Riders come and go while the worker runs, without a restart: their manifests are all that has to change. What was served
is remembered after it left, for its jobs in hand run on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from jetmill.client.declaration import Registry
from jetmill.protocol.record import JobSettings
from jetmill.worker.log import get_logger
from jetmill.worker.resource import Resources
from jetmill.worker.served import Served, build_served, decide_slots, keep_handler, sum_slots

DEFAULT_LEASE_SECONDS = 30.0
log = get_logger()


class Roster:
    """The Jobs of one worker; `jobs` and `served` may be read by another thread.

    `rule` tells which Jobs it serves besides those that are named; None: their riders.
    """

    def __init__(
        self,
        named: tuple[str, ...],
        registry: Registry,
        resources: Resources,
        *,
        rule: Callable[[JobSettings], bool] | None = None,
    ) -> None:
        self.named = named
        """Served in any case, be they declared or not."""
        self.jobs = named
        """Those, and the riders."""
        self.served: dict[str, Served] = {}
        self.rule = rule
        self._registry = registry
        self._resources = resources

    @property
    def missing(self) -> list[str]:
        """Those whose handler is not known here."""
        return [job for job in self.jobs if (served := self.served.get(job)) is not None and served.missing]

    def note(self, job: str, settings: JobSettings | None) -> bool:
        """Take notice of a manifest (None: it was removed); tell whether it is or was served here."""
        serves = job in self.jobs
        if job not in self.named and (settings is None or not self._takes(settings)):
            if serves:
                self.jobs = tuple(name for name in self.jobs if name != job)
                log.info("rider_left", job=job)
            return serves
        self._resolve(job, settings, self.served.get(job) if serves else None)
        if not serves:
            riders = sorted((*self.jobs[len(self.named) :], job))
            self.jobs = (*self.named, *riders)
            log.info("rider_came", job=job, carrier=settings.carrier if settings else None)
        return True

    def note_undeclared(self) -> None:
        """Serve by its defaults what was named and has no manifest."""
        for job in self.named:
            if job not in self.served:
                self._resolve(job, None, None)

    def slots(self, concurrency: int | None) -> int:
        """How many jobs at once; riders share what the others have, Jobs that a rule takes bring their own."""
        if self.rule is not None and concurrency is None:
            return sum_slots(self.served[job] for job in self.jobs)
        return decide_slots(concurrency, [self.served[job] for job in self.named])

    def lease_seconds(self, job: str) -> float:
        """How long a delivery of a Job is ours without a sign of life."""
        served = self.served.get(job)
        return served.lease_seconds if served is not None else DEFAULT_LEASE_SECONDS

    def leases(self, in_hand: Iterable[str] = ()) -> tuple[float, float]:
        """The shortest and the longest lease served, counting Jobs that have jobs `in_hand` and were left."""
        leases = [self.lease_seconds(job) for job in {*self.jobs, *in_hand}]
        return (min(leases), max(leases)) if leases else (DEFAULT_LEASE_SECONDS, DEFAULT_LEASE_SECONDS)

    def _takes(self, settings: JobSettings) -> bool:
        return settings.carrier in self.named if self.rule is None else self.rule(settings)

    def _resolve(self, job: str, settings: JobSettings | None, before: Served | None) -> None:
        served = build_served(job, settings, self._registry, self._resources)
        if served.missing and settings is not None and before is not None and _is_of_one(before.settings, settings):
            served = served if before.missing else keep_handler(before, served)
        if served.kept and (before is None or before.kept != served.kept):
            log.warning("handler_kept", job=job, error=served.kept)
        elif served.missing and (before is None or before.missing != served.missing):
            log.warning("handler_missing", job=job, error=served.missing)
        self.served[job] = served


def _is_of_one(one: JobSettings, other: JobSettings) -> bool:
    """Tell whether two manifests may be of one object: a Job made anew has nothing to do with the one before."""
    return not one.uid or not other.uid or one.uid == other.uid
