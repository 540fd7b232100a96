"""From events to jobs: what a Job's `spec.triggers` name enqueues a job of it.

The job's id follows from the Job and the event, so an event that is routed again, by whomever, is the same job, for as
long as that is kept. What the Job's schema refuses is enqueued all the same, and fails as `invalid_payload`: there it
is seen, and can be tried again. A Job is never triggered by what its own jobs tell, which would never end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import structlog

from jetmill.bus.ports import Bus, EventMessage
from jetmill.client.handling import make_trigger_id
from jetmill.errors import BusError, CodecError, InputError
from jetmill.ledger.submit import Submission, submit
from jetmill.protocol.event import Event, EventPattern, decode_event, parse_pattern
from jetmill.protocol.record import Call, JobSettings, TriggerSettings
from jetmill.protocol.transition import make_job_source
from jetmill_operator.dispatch.expression import Expression, compile_expression
from jetmill_operator.dispatch.pursuit import Pursuit

WINDOW = 100
"""Jobs that are enqueued at once."""
BY = "dispatcher:trigger"
log = structlog.get_logger("jetmill.dispatcher")


@dataclass(frozen=True, slots=True)
class Trigger:
    """One line of `spec.triggers`, ready to be asked."""

    pattern: EventPattern
    expression: Expression | None
    passes_data: bool

    def wants(self, event: Event) -> bool:
        """Tell whether an event enqueues a job."""
        if not self.pattern.matches(event.type):
            return False
        return self.expression is None or self.expression.matches({"event": event.document})

    def build_payload(self, event: Event) -> bytes:
        """What the job is called with."""
        return msgspec.json.encode(event.data if self.passes_data else {"event": event.document})


class TriggerRouter:
    """The work `triggers`; `enqueued` counts the jobs that it made."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._triggers: dict[str, tuple[Trigger, ...]] = {}
        self.enqueued = 0
        self._old_failures = 0
        self.unreadable = 0
        """Events that were none."""
        self.pursuit = Pursuit(bus, "triggers", self.take)

    @property
    def filter_failures(self) -> int:
        """How often a filter could not be asked of an event; those of triggers that have gone count too."""
        return self._old_failures + sum(map(count_failures, self._triggers.values()))

    def counts(self) -> Mapping[str, int]:
        """For Prometheus."""
        return {
            "jobs_triggered": self.enqueued,
            "events_unreadable": self.unreadable,
            "filter_failures": self.filter_failures,
        }

    async def run(self) -> None:
        """Route until cancelled; BusError."""
        stop = await self._bus.admin.watch_settings(self._note)
        try:
            await self.pursuit.run()
        finally:
            stop()

    def _note(self, job: str, settings: JobSettings | None) -> None:
        self._old_failures += count_failures(self._triggers.pop(job, ()))
        triggers = () if settings is None else build_triggers(settings)
        if triggers:
            self._triggers[job] = triggers

    async def take(self, messages: Sequence[EventMessage]) -> None:
        """Enqueue what a list of events triggers; BusError: some may be, all may be routed again."""
        wanted: list[tuple[str, Trigger, Event]] = []
        for message in messages:
            if self._is_wanted(message):
                event = self._read(message)
                if event is not None:
                    wanted += self._find(event)
        for first in range(0, len(wanted), WINDOW):
            await asyncio.gather(*(self._enqueue(*one) for one in wanted[first : first + WINDOW]))

    def _is_wanted(self, message: EventMessage) -> bool:
        """Tell by the type alone; nearly all events end here."""
        return any(
            trigger.pattern.matches(message.type) for triggers in self._triggers.values() for trigger in triggers
        )

    def _read(self, message: EventMessage) -> Event | None:
        try:
            return decode_event(message.data, seq=message.seq)
        except CodecError as err:
            self.unreadable += 1
            log.warning("event_unreadable", type=message.type, seq=message.seq, error=str(err))
            return None

    def _find(self, event: Event) -> list[tuple[str, Trigger, Event]]:
        """Each Job that the event triggers, once, by the first of its triggers that wants it."""
        found = []
        for job, triggers in self._triggers.items():
            if event.source == make_job_source(self._bus.subjects.namespace, job):
                continue
            trigger = next((one for one in triggers if one.wants(event)), None)
            if trigger is not None:
                found.append((job, trigger, event))
        return found

    async def _enqueue(self, job: str, trigger: Trigger, event: Event) -> None:
        trace = event.extensions.get("traceparent")
        submission = Submission(
            job=job,
            payload=trigger.build_payload(event),
            id=make_trigger_id(job, event),
            call=Call(user=event.user, labels={"event": event.type}, trace=trace if isinstance(trace, str) else None),
        )
        try:
            submitted = await submit(self._bus, submission, by=BY)
        except (InputError, CodecError) as err:
            log.error("event_not_routed", job=job, event_id=event.id, type=event.type, error=str(err))
            return
        except BusError as err:
            assert submission.id is not None
            if await self._bus.ledger.read(submission.id) is None:
                raise
            log.warning("job_without_hint", job=job, job_id=submission.id, error=str(err))
            return  # it is accepted; the keeper puts its hint once its queue is back
        if submitted.created:
            self.enqueued += 1
            self._bus.signals.wake(job)
            log.debug("job_triggered", job=job, job_id=submitted.id, event_id=event.id, type=event.type)


def count_failures(triggers: Sequence[Trigger]) -> int:
    """How often the filters of a Job could not be asked."""
    return sum(trigger.expression.failures for trigger in triggers if trigger.expression is not None)


def build_triggers(settings: JobSettings) -> tuple[Trigger, ...]:
    """Make the triggers of a Job; one that cannot be (another version wrote it) is said and left out."""
    found = []
    for trigger in settings.triggers:
        try:
            found.append(_build(trigger))
        except InputError as err:
            log.error("trigger_unusable", job=settings.job, pattern=trigger.event, error=str(err))
    return tuple(found)


def _build(trigger: TriggerSettings) -> Trigger:
    return Trigger(
        pattern=parse_pattern(trigger.event),
        expression=None if trigger.expression is None else compile_expression(trigger.expression),
        passes_data=trigger.payload == "data",
    )
