"""`Client` over REST: the same methods, with the same meaning and the same errors, for those who cannot reach NATS.

What differs: who acts is who the token says, so `user` is not given; a job's payload and result have rights of their
own and are fetched by `payload` and `result`, never as a part of `status`; and the list is the gateway's, a moment
behind the ledger, but never behind what this client wrote. It belongs to the event loop that it was first used on.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, Unpack

import msgspec

from jetmill.bus.ports import TraceLine
from jetmill.client.declaration import JobHandler, Registry, default_registry
from jetmill.client.desk import EventKeywords, Start, find_start, make_event
from jetmill.client.filter import Creation
from jetmill.client.handle import JobHandle
from jetmill.client.handling import Pattern, bind_handler, read_patterns, read_retry
from jetmill.client.option import CallKeywords, CallOptions, parse_time, seconds_of
from jetmill.client.schedule import ScheduleOptions, build_spec
from jetmill.client.status import JobStats, JobStatus, JobSummary, Transition
from jetmill.client.submission import Item, Payload, Target, find_target, run_filters
from jetmill.client.subscription import LiveSubscription, Subscription
from jetmill.errors import (
    InputError,
    JetmillError,
    JobFailedError,
    NoAnswerError,
    PayloadTooLargeError,
    UnknownJobError,
)
from jetmill.http import wire
from jetmill.http.call import Caller, Params
from jetmill.http.desk import HttpEventDesk
from jetmill.http.event import HttpFeed
from jetmill.http.follow import follow_topic
from jetmill.http.settings import HttpSettings, settings_from_env
from jetmill.protocol.event import Event, encode_event
from jetmill.protocol.identity import make_id
from jetmill.protocol.name import parse_job_id, parse_label
from jetmill.protocol.record import JobSettings, Presence
from jetmill.protocol.retry import RetryPolicy
from jetmill.protocol.state import State

if TYPE_CHECKING:
    from types import TracebackType

    from jetmill.client.event import BaseEvent

MAX_BULK = 1_000
MAX_BYTES = 900_000
"""Of one request with many calls; a gateway takes 1 MiB."""
_PAGE = 200
_LONGEST_WAIT_SECONDS = 30
_WAITERS = 16
_SENT = ("type", "id", "source", "subject", "time", "data")


class HttpClient:
    """What a program can ask of a gateway, by coroutines. See `jetmill.errors` for what each may raise."""

    def __init__(
        self, settings: HttpSettings | None = None, *, registry: Registry = default_registry, **given: Any
    ) -> None:
        self.settings = settings or settings_from_env(**given)
        self.registry = registry
        self._caller = Caller(self.settings)
        self._seq = 0
        """The newest sequence of the ledger that this client was told."""
        self._subscriptions: list[Subscription] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave; what was accepted stays accepted, and subscriptions end. Idempotent."""
        for subscription in self._subscriptions:
            await subscription.stop()
        self._subscriptions.clear()
        await self._caller.close()

    # --- enqueue

    async def enqueue(
        self, job: str | JobHandler[..., Any], payload: Payload = None, /, **options: Unpack[CallKeywords]
    ) -> JobHandle:
        """Enqueue one call; it is accepted once this returns. See `Client.enqueue`."""
        target = find_target(job, self.registry)
        return await self._enqueue(target, target.encode(payload), CallOptions().updated(**options))

    async def submit(self, handler: JobHandler[..., Any], payload: bytes, *, options: CallOptions) -> JobHandle:
        """Enqueue an encoded payload of a handler."""
        return await self._enqueue(Target(handler.name, handler), payload, options)

    async def enqueue_many(
        self, job: str | JobHandler[..., Any], calls: Iterable[Payload | Item], *, options: CallOptions | None = None
    ) -> list[JobHandle | JetmillError]:
        """Enqueue many calls: one handle or error for each, in order; an Item has options of its own."""
        target = find_target(job, self.registry)
        answers: list[JobHandle | JetmillError] = []
        batch: list[tuple[int, dict[str, Any]]] = []
        size = 0
        for index, item in enumerate(calls):
            try:
                body = await self._draft_item(target, item, options or CallOptions())
            except JetmillError as err:
                answers.append(err)
                continue
            weight = len(body["payload"]) + 512
            if batch and (len(batch) >= MAX_BULK or size + weight > MAX_BYTES):
                await self._send_batch(target, batch, answers)
                batch, size = [], 0
            answers.append(JobHandle(self, id=body["id"], job=target.name, created=True))
            batch.append((index, body))
            size += weight
        if batch:
            await self._send_batch(target, batch, answers)
        for answer in answers:
            if isinstance(answer, JobHandle):
                await _tell(target, answer)
        return answers

    async def _draft_item(self, target: Target, item: Payload | Item, options: CallOptions) -> dict[str, Any]:
        payload: Any = item
        if isinstance(item, Item):
            options, payload = item.options or options, item.payload
        return await self._draft(target, target.encode(payload), options)

    async def _draft(self, target: Target, payload: bytes, options: CallOptions) -> dict[str, Any]:
        filters = target.filters()
        if filters:
            creation = Creation(job=target.name, payload=payload, options=options)
            await run_filters(filters, creation)
            payload, options = creation.payload, creation.options
        job_id = options.id or make_id(time.time_ns() // 1_000_000, random.getrandbits(80))
        return wire.build_call(target, payload, options, job_id=job_id)

    async def _enqueue(self, target: Target, payload: bytes, options: CallOptions) -> JobHandle:
        # Its id is made here, so that it can be sent again when nobody knows whether it came.
        body = await self._draft(target, payload, options)
        answer = await self._caller.ask("POST", "jobs", body=body)
        self._note(answer.seq)
        created = answer.status == 201 or options.id is None
        handle = JobHandle(self, id=str(answer.body["id"]), job=target.name, created=created)
        await _tell(target, handle)
        return handle

    async def _send_batch(
        self,
        target: Target,
        batch: list[tuple[int, dict[str, Any]]],
        answers: list[JobHandle | JetmillError],
    ) -> None:
        try:
            answer = await self._caller.ask("POST", "jobs/bulk", body={"jobs": [body for _, body in batch]})
        except PayloadTooLargeError as err:
            if len(batch) == 1:
                answers[batch[0][0]] = err
                return
            for one in batch:  # one of them is too large by itself
                await self._send_batch(target, [one], answers)
            return
        for (index, body), item in zip(batch, answer.body["items"], strict=True):
            problem = item.get("problem")
            if problem is not None:
                error = wire.build_error(problem, status=int(problem.get("status", 0)), what="POST jobs/bulk")
                if isinstance(error, UnknownJobError):
                    raise error  # so it is for all of them
                answers[index] = error
                continue
            answers[index] = JobHandle(self, id=body["id"], job=target.name, created=bool(item.get("created")))

    # --- ask

    async def status(self, job_id: str) -> JobStatus:
        """What the ledger knows of a job but its payload and its result; JobNotFoundError."""
        name = parse_job_id(job_id)
        job, history = await asyncio.gather(self._get(f"jobs/{name}"), self._get(f"jobs/{name}/history"))
        return wire.build_status(job, history.get("items", []))

    async def payload(self, job_id: str) -> Any:
        """The payload of a job; takes the right `get jobs/payload`."""
        return (await self._get(f"jobs/{parse_job_id(job_id)}/payload")).get("payload")

    async def result(self, job_id: str, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - as Client has it
        """Wait for the result of a job (JSON's types). JobFailedError if it ended otherwise, TimeoutError."""
        end = await self.wait(job_id, timeout)
        if end.state is not State.SUCCEEDED:
            said = f": {end.error.type}: {end.error.message}" if end.error else ""
            why = f" ({end.reason})" if end.reason else ""
            raise JobFailedError(
                f"job {job_id} of {end.job} is {end.state}{why}{said}", state=end.state, reason=end.reason
            )
        return (await self._get(f"jobs/{job_id}/result")).get("result")

    async def wait(self, job_id: str, timeout: float | None = None) -> Transition:  # noqa: ASYNC109 - the same
        """Wait until a job is done with, whichever way; TimeoutError."""
        name = parse_job_id(job_id)
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        async with asyncio.timeout(timeout):
            while True:
                left = _LONGEST_WAIT_SECONDS if end is None else math.ceil(end - loop.time())
                prefer = {"Prefer": f"wait={max(1, min(_LONGEST_WAIT_SECONDS, left))}"}
                await self._caller.ask("GET", f"jobs/{name}", headers=prefer)
                last = wire.build_transition((await self._get(f"jobs/{name}/history"))["items"][-1])
                if last.final:
                    return last

    async def wait_many(
        self,
        job_ids: Iterable[str],
        timeout: float | None = None,  # noqa: ASYNC109 - the same
        *,
        on_final: Callable[[Transition], None] | None = None,
    ) -> list[Transition]:
        """Wait until all are done with, in the order given, sixteen at a time; see `Client.wait_many`."""
        ids = [parse_job_id(job_id) for job_id in job_ids]
        turns = asyncio.Semaphore(_WAITERS)

        async def wait_for(job_id: str) -> Transition:
            async with turns:
                ended = await self.wait(job_id)
            if on_final is not None:
                on_final(ended)
            return ended

        async with asyncio.timeout(timeout), asyncio.TaskGroup() as group:
            tasks = {job_id: group.create_task(wait_for(job_id)) for job_id in dict.fromkeys(ids)}
        return [tasks[job_id].result() for job_id in ids]

    async def stream(
        self, *, start: int | None = None, job: str | None = None, job_id: str | None = None
    ) -> AsyncGenerator[Transition]:
        """Transitions as they happen, from sequence `start` (None: from now) on, without an end; a connection that
        breaks is taken up again. NoAnswerError if some were missed for good: begin again at another sequence.
        """
        topic = f"job:{parse_job_id(job_id)}" if job_id is not None else f"jobs:{job}" if job else "namespace"
        after = None if start is None else max(0, start - 1)
        async with aclosing(follow_topic(self._caller, topic, after=after)) as items:
            async for item in items:
                if job is None or item["job"] == job:
                    yield wire.build_transition(item)

    async def jobs(self) -> list[JobSettings]:
        """The Jobs that are declared in the namespace, by name; not those of Webhooks' deliveries."""
        return [wire.build_settings(one) for one in (await self._get("settings")).get("items", [])]

    async def stats(self, job: str | None = None) -> list[JobStats]:
        """What waits and runs of each Job (or of one), and who works on it."""
        params = {} if job is None else {"job": job}
        return [wire.build_stats(one) for one in (await self._get("queues", params)).get("items", [])]

    async def workers(self) -> list[Presence]:
        """The worker processes that live."""
        return [wire.build_presence(one) for one in (await self._get("workers")).get("items", [])]

    async def logs(self, job_id: str, *, live: bool = False, kind: str = "log") -> AsyncGenerator[TraceLine]:
        """The log lines (or, by `kind`, the `progress` reports) of a job; with `live`, also those to come."""
        name = parse_job_id(job_id)
        if not live:
            for one in (await self._get(f"jobs/{name}/logs", {"kind": kind})).get("items", []):
                yield wire.build_line(one, job_id=name, kind=kind, data=one.get("data"))
            return
        async with aclosing(follow_topic(self._caller, f"{kind}:{name}", after=0)) as items:
            async for item in items:
                yield wire.build_line(item, job_id=name, kind=kind, data=item.get(kind))

    async def list(
        self,
        *,
        job: str | None = None,
        state: str | Iterable[str] | None = None,
        reason: str | Iterable[str] | None = None,
        since: datetime | timedelta | None = None,
        limit: int | None = 100,
    ) -> list[JobSummary]:
        """Jobs by their last change, the newest first; what this client wrote is in it.

        What is left out unless it is asked for: see `Client.list`. `state` is one state, several, or `open`; `since` a
        time or how long ago.
        """
        params: dict[str, Any] = {
            "job": job,
            "state": [state] if isinstance(state, str) else None if state is None else list(state),
            "reason": [reason] if isinstance(reason, str) else None if reason is None else list(reason),
            "updatedAfter": _read_since(since),
            "sort": "-updated",
            "after": self._seq or None,
        }
        found: list[JobSummary] = []
        while limit is None or len(found) < limit:
            params["limit"] = _PAGE if limit is None else min(_PAGE, limit - len(found))
            page = await self._get("jobs", params)
            found += [wire.build_summary(one) for one in page["items"]]
            params["cursor"] = page.get("nextCursor")
            if params["cursor"] is None:
                break
        return found

    # --- act

    async def cancel(self, job_id: str) -> Transition:
        """Cancel a job, waiting or running; idempotent. What stands then: `cancelled`, `cancelling`, or its end."""
        return await self._act(job_id, "cancel")

    async def retry(self, job_id: str) -> Transition:
        """Enqueue a finished job once more, at attempt 1; JobStateError if it is not finished, or given up."""
        return await self._act(job_id, "retry", repeats=False)

    async def discard(self, job_id: str) -> Transition:
        """Give up a failed job for good; JobStateError if it has not failed."""
        return await self._act(job_id, "discard")

    async def reschedule(
        self, job_id: str, *, at: datetime | None = None, delay: float | timedelta | None = None
    ) -> Transition:
        """Move a scheduled job to another time; JobStateError if it is not scheduled."""
        if (at is None) == (delay is None):
            raise InputError("reschedule wants at or delay", field="at", cure="give one of them")
        body = (
            {"delaySeconds": seconds_of(delay or 0, field="delay")}
            if at is None
            else {"at": parse_time(at, field="at")}
        )
        return await self._act(job_id, "reschedule", body=body)

    # --- schedules

    async def schedule(
        self,
        job: str | JobHandler[..., Any],
        *,
        cron: str | None = None,
        every: str | timedelta | None = None,
        name: str | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> str:
        """Have a ScheduledJob be there, made or changed to be as this says; its name (the Job's, if none is given).

        To be called whenever the program starts: the same again changes nothing. One that a person declared is left
        alone: InputError, as for what cannot be a schedule.
        """
        target = find_target(job, self.registry)
        chosen = parse_label(name or target.name, field="name")
        spec = build_spec(cron=cron, every=every, options=options)
        await self._caller.ask("PUT", f"schedules/{chosen}", body={"spec": {"jobRef": {"name": target.name}, **spec}})
        return chosen

    async def unschedule(self, name: str) -> None:
        """Remove a schedule that a program made: what is planned is withdrawn, what runs goes on. Idempotent."""
        await self._caller.ask("DELETE", f"schedules/{parse_label(name, field='name')}")

    async def trigger(
        self,
        name: str,
        payload: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,  # noqa: A002 - the option's name everywhere
    ) -> JobHandle:
        """Enqueue a job of a schedule now, beside its slots; InputError for a schedule that is not there."""
        job_id = id or make_id(time.time_ns() // 1_000_000, random.getrandbits(80))
        body = {"id": job_id} if payload is None else {"id": job_id, "payload": payload}
        answer = await self._caller.ask("POST", f"schedules/{parse_label(name, field='name')}/trigger", body=body)
        self._note(answer.seq)
        created = answer.status == 201 or id is None
        return JobHandle(self, id=str(answer.body["id"]), job=str(answer.body["job"]), created=created)

    # --- tell people

    async def broadcast(self, topic: str, message: Any) -> None:
        """Send a message (JSON's types) to everyone who listens to a topic at any gateway, now; nothing is kept."""
        await self._caller.ask("POST", "stream/messages", body={"topic": topic, "message": message}, repeats=False)

    async def send_to_user(self, user: str, message: Any) -> None:
        """Send a message to one user, as gateways know him, at every screen that he has open."""
        await self._caller.ask("POST", "stream/messages", body={"user": user, "message": message}, repeats=False)

    # --- events

    async def publish(
        self, event: str | BaseEvent | Event, data: Any = None, /, **attributes: Unpack[EventKeywords]
    ) -> str:
        """Publish an event, as `Client.publish`; its `user` is who the token says. What Jetmill tells itself
        (`job.…`) is refused.
        """
        now = time.time_ns() // 1_000
        made = make_event(event, data, attributes, namespace=self.settings.namespace, now=now)
        document = msgspec.json.decode(encode_event(made))  # refuses here what can be no event
        left_out = set() if isinstance(event, Event) or attributes.get("source") else {"source"}
        if isinstance(event, str) and attributes.get("time") is None:
            left_out.add("time")  # the gateway's clock is NATS'
        body = {name: document[name] for name in _SENT if name in document and name not in left_out}
        body |= {"extensions": dict(made.extensions)} if made.extensions else {}
        return str((await self._caller.ask("POST", "events", body=body)).body["id"])

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
        """Hand events to a function from now on, as `Client.subscribe`, for as long as this client lives.

        InputError for a durable one: what it has handled is acknowledged to NATS, event by event.
        """
        if durable is not None or concurrency != 1:
            cure = "use Client, a Job's spec.triggers, or a Webhook"
            raise InputError("durable: no subscription can be kept over REST", field="durable", cure=cure)
        patterns, handle = read_patterns(pattern), bind_handler(handler)
        feed = HttpFeed(self._caller, patterns)
        first = await find_start(feed, start, now=time.time_ns() // 1_000)
        live = LiveSubscription(feed, handle, retry=read_retry(retry), start=first)
        self._subscriptions.append(live)
        live.begin()
        return live

    @property
    def events(self) -> HttpEventDesk:
        """Events that were: to read again, and what became of subscriptions."""
        return HttpEventDesk(self._caller)

    async def _act(self, job_id: str, verb: str, *, body: Any = None, repeats: bool = True) -> Transition:
        answer = await self._caller.ask("POST", f"jobs/{parse_job_id(job_id)}/{verb}", body=body, repeats=repeats)
        self._note(answer.seq)
        return wire.build_transition(answer.body)

    async def _get(self, path: str, params: Params | None = None) -> dict[str, Any]:
        body = (await self._caller.ask("GET", path, params=params)).body
        if not isinstance(body, dict):
            raise NoAnswerError(f"GET {path}: what answered is no gateway")
        return body

    def _note(self, seq: int) -> None:
        self._seq = max(self._seq, seq)


def _read_since(since: datetime | timedelta | None) -> datetime | None:
    if isinstance(since, timedelta):
        return datetime.now(UTC) - since
    return None if since is None else parse_time(since, field="since")


async def _tell(target: Target, handle: JobHandle) -> None:
    for one in target.filters():
        waiting = one.on_created(handle)
        if waiting is not None:
            await waiting
