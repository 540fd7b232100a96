"""The client: enqueue, ask, wait, and act on jobs, over one connection to one namespace.

`Client()` takes its settings from the environment and connects at the first call; `async with` closes it. Given a
bus (tests, an operator), it uses that one and leaves it open. It belongs to the event loop that it was first used on;
`SyncClient` serves code that has none.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, Unpack

import msgspec

from jetmill.bus.connect import connect
from jetmill.bus.ports import Bus, TraceLine
from jetmill.client.catalog import Catalog
from jetmill.client.declaration import JobHandler, Registry, default_registry
from jetmill.client.desk import EventDesk, EventKeywords, Start, SubscriptionOptions, make_event, start_subscription
from jetmill.client.follow import follow_many, follow_to_end, not_found, stream_transitions
from jetmill.client.handle import JobHandle
from jetmill.client.handling import Pattern, bind_handler, read_patterns, read_retry
from jetmill.client.local import Stop, start_local_worker
from jetmill.client.option import CallKeywords, CallOptions, parse_time, seconds_of
from jetmill.client.settings import ClientSettings, settings_from_env
from jetmill.client.status import (
    JobStats,
    JobStatus,
    JobSummary,
    JobTable,
    Transition,
    build_status,
    build_transition,
)
from jetmill.client.submission import Item, Payload, Submitter, Target, find_target
from jetmill.errors import InputError, JetmillError, JobFailedError, NotFoundError
from jetmill.ledger.cancel import cancel
from jetmill.ledger.reopen import discard, reschedule, retry
from jetmill.ledger.schedule import trigger
from jetmill.ledger.submit import Submitted
from jetmill.protocol.codec import encode_value
from jetmill.protocol.event import Event, encode_event
from jetmill.protocol.letter import encode_letter
from jetmill.protocol.name import parse_job_id, parse_label
from jetmill.protocol.record import Entry, JobSettings, PayloadRef, Presence
from jetmill.protocol.retry import RetryPolicy
from jetmill.protocol.state import OPEN, Reason, State
from jetmill.protocol.subject import Subjects

if TYPE_CHECKING:
    from types import TracebackType

    from jetmill.client.event import BaseEvent
    from jetmill.client.subscription import Subscription


class Client:
    """Everything that a program can ask of Jetmill, by coroutines. See `jetmill.errors` for what each may raise."""

    def __init__(
        self,
        settings: ClientSettings | None = None,
        *,
        bus: Bus | None = None,
        registry: Registry = default_registry,
        by: str | None = None,
    ) -> None:
        if settings is None:
            settings = ClientSettings(namespace=bus.subjects.namespace) if bus is not None else settings_from_env()
        self.settings = settings
        self.registry = registry
        self.by = by or settings.actor
        """Who acts, as records show it; a gateway names the person."""
        self._bus = bus
        self._owns_bus = bus is None
        self._catalog: Catalog | None = None
        self._submitter: Submitter | None = None
        self._stop_worker: Stop | None = None
        self._lock = asyncio.Lock()
        self._closed = False

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self) -> Bus:
        """Connect now instead of at the first call; idempotent."""
        if self._bus is not None and self._submitter is not None:
            return self._bus
        async with self._lock:
            if self._closed:
                raise JetmillError("this client is closed", cure="make another one")
            if self._bus is None:
                self._bus = await connect(self.settings.bus_options())
            if self._submitter is None:
                self._catalog = Catalog(
                    self._bus.admin,
                    registry=self.registry,
                    namespace=self._bus.subjects.namespace,
                    declares=not self._bus.link.threaded,
                )
                self._submitter = Submitter(self._bus, self._catalog, by=self.by)
                if not self._bus.link.threaded:
                    await self._bus.admin.apply_namespace()
        return self._bus

    async def close(self) -> None:
        """Leave; what was accepted stays accepted. Idempotent."""
        async with self._lock:
            self._closed = True
            stop, self._stop_worker = self._stop_worker, None
            if stop is not None:
                await stop()
            if self._catalog is not None:
                self._catalog.close()
            if self._bus is not None and self._owns_bus:
                await self._bus.link.close()

    # --- enqueue

    async def enqueue(
        self, job: str | JobHandler[..., Any], payload: Payload = None, /, **options: Unpack[CallKeywords]
    ) -> JobHandle:
        """Enqueue one call; it is accepted once this returns.

        `payload` maps argument names to values (or is an encoded JSON object). The same `id` again is the same job:
        after NoAnswerError, call again with the id. `delay` and `timeout` are seconds or timedeltas.
        """
        target = find_target(job, self.registry)
        await self.connect()
        return await self._enqueue(target, target.encode(payload), CallOptions().updated(**options))

    async def submit(self, handler: JobHandler[..., Any], payload: bytes, *, options: CallOptions) -> JobHandle:
        """Enqueue an encoded payload of a handler: what `handler.enqueue` does."""
        return await self._enqueue(Target(handler.name, handler), payload, options)

    async def enqueue_many(
        self,
        job: str | JobHandler[..., Any],
        calls: Iterable[Payload | Item],
        *,
        options: CallOptions | None = None,
    ) -> list[JobHandle | JetmillError]:
        """Enqueue many calls in one go: one handle or error for each, in order; an Item has options of its own."""
        await self.connect()
        assert self._submitter is not None
        target = find_target(job, self.registry)
        answers = await self._submitter.submit_many(target, calls, options or CallOptions())
        await self._run_locally()
        if target.filters():
            return [await self._handle(target, one) if isinstance(one, Submitted) else one for one in answers]
        return [self._make_handle(target, one) if isinstance(one, Submitted) else one for one in answers]

    async def _enqueue(self, target: Target, payload: bytes, options: CallOptions) -> JobHandle:
        await self.connect()
        assert self._submitter is not None
        submitted = await self._submitter.submit(target, payload, options)
        await self._run_locally()
        return await self._handle(target, submitted)

    def _make_handle(self, target: Target, submitted: Submitted) -> JobHandle:
        return JobHandle(self, id=submitted.id, job=target.name, created=submitted.created)

    async def _handle(self, target: Target, submitted: Submitted) -> JobHandle:
        handle = self._make_handle(target, submitted)
        for one in target.filters():
            waiting = one.on_created(handle)
            if waiting is not None:
                await waiting
        return handle

    async def _run_locally(self) -> None:
        """On a memory bus of our own: see that somebody runs the jobs, and what listens to events."""
        if self._stop_worker is not None or not (self._owns_bus and self.settings.is_memory and self.settings.run_jobs):
            return
        async with self._lock:
            if self._stop_worker is None and not self._closed:
                self._stop_worker = await start_local_worker(self.settings.bus_options(), self.registry)

    # --- ask

    async def status(self, job_id: str) -> JobStatus:
        """All that the ledger knows of a job; JobNotFoundError."""
        bus = await self.connect()
        chain = await bus.ledger.read_chain(parse_job_id(job_id))
        if not chain:
            raise not_found(job_id)
        return build_status(chain, namespace=bus.subjects.namespace)

    async def payload(self, job_id: str) -> Any:
        """The payload of a job, fetched from the object store if it is large."""
        status = await self.status(job_id)
        return status.payload if status.payload_ref is None else await self._fetch(status.payload_ref)

    async def result(self, job_id: str, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - as asyncio.wait_for
        """Wait for the result of a job (JSON's types). JobFailedError if it ended otherwise, TimeoutError."""
        record = (await self._wait(job_id, timeout)).record
        if record.state is not State.SUCCEEDED:
            said = f": {record.error.type}: {record.error.message}" if record.error else ""
            why = f" ({record.reason})" if record.reason else ""
            raise JobFailedError(
                f"job {job_id} of {record.job} is {record.state}{why}{said}", state=record.state, reason=record.reason
            )
        if record.result_ref is not None:
            return await self._fetch(record.result_ref)
        return None if record.result is None else msgspec.json.decode(record.result)

    async def wait(self, job_id: str, timeout: float | None = None) -> Transition:  # noqa: ASYNC109 - the same
        """Wait until a job is done with, whichever way; TimeoutError."""
        return build_transition(await self._wait(job_id, timeout))

    async def wait_many(
        self,
        job_ids: Iterable[str],
        timeout: float | None = None,  # noqa: ASYNC109 - the same
        *,
        on_final: Callable[[Transition], None] | None = None,
    ) -> list[Transition]:
        """Wait until all are done with, in the order given; `on_final` hears of each as it ends. TimeoutError."""
        bus = await self.connect()
        ids = [parse_job_id(job_id) for job_id in job_ids]
        async with asyncio.timeout(timeout):
            ended = await follow_many(bus.ledger, ids, on_final=on_final)
        return [build_transition(ended[job_id]) for job_id in ids]

    async def stream(
        self, *, start: int | None = None, job: str | None = None, job_id: str | None = None
    ) -> AsyncGenerator[Transition]:
        """Transitions as they happen, from sequence `start` (None: from now) on, without an end.

        To go on after a break, start at the last transition's `seq` + 1: nothing is skipped or repeated.
        """
        bus = await self.connect()
        async for transition in stream_transitions(bus.ledger, start=start, job=job, job_id=job_id):
            yield transition

    async def jobs(self) -> list[JobSettings]:
        """The Jobs that are declared in the namespace, by name; not those of Webhooks' deliveries."""
        await self.connect()
        assert self._catalog is not None
        return [settings for settings in await self._catalog.all() if settings.webhook is None]

    async def stats(self, job: str | None = None) -> list[JobStats]:
        """What waits and runs of each Job (or of one), and who works on it; of deliveries only if `job` is theirs."""
        bus = await self.connect()
        workers = await self.workers()
        assert self._catalog is not None
        declared = await self._catalog.all()
        wanted = [one for one in declared if (one.webhook is None if job is None else one.job == job)]
        return [await _count(bus, settings, workers) for settings in wanted]

    async def workers(self) -> list[Presence]:
        """The worker processes that live."""
        bus = await self.connect()
        try:
            return await bus.presence.all()
        except NotFoundError:
            return []

    async def logs(self, job_id: str, *, live: bool = False, kind: str = "log") -> AsyncGenerator[TraceLine]:
        """The log lines (or, by `kind`, the `progress` reports) of a job; with `live`, also those to come."""
        bus = await self.connect()
        async for lines in bus.events.traces(parse_job_id(job_id), kind=kind, live=live):
            for line in lines:
                yield line

    # --- act

    async def cancel(self, job_id: str) -> Transition:
        """Cancel a job, waiting or running; idempotent. What stands then: `cancelled`, `cancelling`, or its end."""
        return build_transition(await cancel(await self.connect(), parse_job_id(job_id), by=self.by))

    async def retry(self, job_id: str) -> Transition:
        """Enqueue a finished job once more, at attempt 1, or let one that waits to be retried be so now; JobStateError
        if it waits for its first attempt, runs, or was given up.
        """
        bus = await self.connect()
        transition = build_transition(await retry(bus, parse_job_id(job_id), by=self.by))
        bus.signals.wake(transition.job)
        return transition

    async def discard(self, job_id: str) -> Transition:
        """Give up a failed job for good; JobStateError if it has not failed."""
        return build_transition(await discard(await self.connect(), parse_job_id(job_id), by=self.by))

    async def reschedule(
        self, job_id: str, *, at: datetime | None = None, delay: float | timedelta | None = None
    ) -> Transition:
        """Move a scheduled job, or the next attempt of one that is retried, to another time; JobStateError if it waits
        for no time.
        """
        bus = await self.connect()
        if (at is None) == (delay is None):
            raise InputError("reschedule wants at or delay", field="at", cure="give one of them")
        if at is not None:
            due = round(parse_time(at, field="at").timestamp() * 1_000_000)
        else:
            due = bus.link.now() + round(seconds_of(delay or 0, field="delay") * 1_000_000)
        return build_transition(await reschedule(bus, parse_job_id(job_id), due=due, by=self.by))

    # --- tell people

    async def trigger(
        self,
        name: str,
        payload: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,  # noqa: A002 - the option's name everywhere
    ) -> JobHandle:
        """Enqueue a job of a ScheduledJob now, beside its slots; UnknownScheduleError."""
        bus = await self.connect()
        data = None if payload is None else encode_value(dict(payload))
        submitted = await trigger(bus, parse_label(name, field="name"), by=self.by, job_id=id, payload=data)
        job = await bus.ledger.read(submitted.id)
        return JobHandle(self, id=submitted.id, job="" if job is None else job.record.job, created=submitted.created)

    async def broadcast(self, topic: str, message: Any) -> None:
        """Send a message (JSON's types) to everyone who listens to a topic at any gateway, now; nothing is kept.

        `topic` is one to eight labels joined by dots. InputError for a message that is no JSON or over 64 KiB;
        DisconnectedError: it was not sent.
        """
        bus = await self.connect()
        bus.messages.broadcast(topic, self._encode_message(message, now=bus.link.now()))
        await bus.link.room()

    async def send_to_user(self, user: str, message: Any) -> None:
        """Send a message to one user, as gateways know him, at every screen that he has open; else as `broadcast`."""
        bus = await self.connect()
        bus.messages.send_to_user(user, self._encode_message(message, now=bus.link.now()))
        await bus.link.room()

    def _encode_message(self, message: Any, *, now: int) -> bytes:
        return encode_letter(message, by=self.by, time=now, random_bits=random.getrandbits(80))

    # --- events

    async def publish(
        self, event: str | BaseEvent | Event, data: Any = None, /, **attributes: Unpack[EventKeywords]
    ) -> str:
        """Publish an event, given by its class, or by its type and data (JSON's types); its id, once it is stored.

        `id`, `subject`, `source`, `user`, `time` and `extensions` are attributes of the CloudEvent. The same id again
        within two minutes is stored once, so after NoAnswerError publish again with the id. InputError says what can be
        no event: its type is one to eight labels joined by dots, its size at most 256 KiB.
        """
        bus = await self.connect()
        made = make_event(event, data, attributes, namespace=bus.subjects.namespace, now=bus.link.now())
        await bus.events.publish(made.type, encode_event(made), event_id=made.id)
        if self.registry.event_handlers():
            await self._run_locally()
        return made.id

    async def subscribe(
        self,
        pattern: Pattern | Iterable[Pattern],
        handler: Callable[..., Any],
        *,
        durable: str | None = None,
        start: Start = "new",
        retry: RetryPolicy | int | None = None,
        concurrency: int = 1,
    ) -> Subscription:
        """Hand events to a function from now on: `await client.subscribe("doc.*", tell)`; `stop()` ends it.

        `durable` names a subscription that the bus keeps: it goes on where it was, shares its events with whoever else
        subscribes under the name, tries again by `retry`, and what fails for good is a dead letter (`client.events`).
        `start` counts when a durable one is made: `new`, `all`, a sequence, a time, or how long ago. `concurrency` is a
        durable one's.
        """
        bus = await self.connect()
        return await start_subscription(
            bus,
            read_patterns(pattern),
            bind_handler(handler),
            options=SubscriptionOptions(durable=durable, start=start, retry=read_retry(retry), concurrency=concurrency),
        )

    @property
    def events(self) -> EventDesk:
        """Events that were: to read again, and what became of subscriptions."""
        return EventDesk(self.connect)

    @property
    def subjects(self) -> Subjects:
        """Where everything of the namespace lies."""
        return Subjects(self.settings.namespace, prefix=self.settings.prefix)

    async def list(
        self,
        *,
        job: str | None = None,
        state: str | Iterable[str] | None = None,
        reason: str | Iterable[str] | None = None,
        since: datetime | timedelta | None = None,
        limit: int | None = 100,
    ) -> list[JobSummary]:
        """Jobs by their last change, the newest first. Reads the whole ledger: for people, not for hot paths.

        Deliveries of Webhooks are left out, unless `job` is theirs; slots that a schedule withdrew, unless `reason` is
        `withdrawn`. `state` is one state, several, or `open`; `since` a time or how long ago.
        """
        bus = await self.connect()
        table = JobTable()
        last = await bus.ledger.last_seq()
        if last:
            async for entries in bus.ledger.follow(until=last):
                table.add(entries)
        return table.select(
            job=job,
            states=_parse_states(state),
            reasons=_parse_reasons(reason),
            since=_parse_since(since, bus.link.now()),
            limit=limit,
        )

    async def _wait(self, job_id: str, timeout: float | None) -> Entry:  # noqa: ASYNC109 - the same
        bus = await self.connect()
        async with asyncio.timeout(timeout):
            return await follow_to_end(bus.ledger, parse_job_id(job_id))

    async def _fetch(self, ref: PayloadRef) -> Any:
        bus = await self.connect()
        return msgspec.json.decode(await bus.payloads.get(ref.name))


async def _count(bus: Bus, settings: JobSettings, workers: list[Presence]) -> JobStats:
    try:
        depth = await bus.queue.depth(settings.job)
        ready, in_flight, delayed = depth.ready, depth.in_flight, depth.delayed
    except NotFoundError:
        ready = in_flight = delayed = 0
    serving = [presence for presence in workers if settings.job in presence.jobs]
    return JobStats(
        job=settings.job,
        ready=ready,
        in_flight=in_flight,
        delayed=delayed,
        workers=len(serving),
        slots=sum(presence.slots for presence in serving),
        busy=sum(presence.busy for presence in serving),
        suspended=settings.suspend,
    )


def _parse_states(state: str | Iterable[str] | None) -> frozenset[State] | None:
    if state is None:
        return None
    named = [state] if isinstance(state, str) else list(state)
    states: set[State] = set()
    for name in named:
        if name == "open":
            states |= OPEN
            continue
        try:
            states.add(State(name))
        except ValueError as err:
            known = ", ".join([*State, "open"])
            raise InputError(f"no state {name!r}", field="state", cure=f"known: {known}") from err
    return frozenset(states)


def _parse_reasons(reason: str | Iterable[str] | None) -> frozenset[Reason]:
    named = [] if reason is None else [reason] if isinstance(reason, str) else list(reason)
    unknown = [name for name in named if name not in list(Reason)]
    if unknown:
        raise InputError(f"no reason {unknown[0]!r}", field="reason", cure=f"known: {', '.join(Reason)}")
    return frozenset(Reason(name) for name in named)


def _parse_since(since: datetime | timedelta | None, now: int) -> int | None:
    if since is None:
        return None
    if isinstance(since, timedelta):
        return now - round(since.total_seconds() * 1_000_000)
    return round(parse_time(since, field="since").astimezone(UTC).timestamp() * 1_000_000)
