"""What became of a Webhook's deliveries, and what a person does about them: for the command line and the gateway.

A delivery is a job, so all of it is in the ledger: its event is the payload, each attempt's log a record's value.
Sending one again is a person's retry; recovering a stretch of time routes its events again, whose deliveries have the
ids that they had.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from jetmill.bus.ports import Bus, EventMessage
from jetmill.client.client import Client
from jetmill.errors import CodecError, JobNotFoundError, JobStateError, NotFoundError, RefusedError
from jetmill.protocol.delivery import AttemptLog, EndpointState, decode_endpoint, decode_log, name_note
from jetmill.protocol.identity import id_from_key
from jetmill.protocol.name import DELIVERIES, is_delivery, name_deliveries, parse_job_id
from jetmill.protocol.record import Entry, JobSettings, Record, WebhookSettings
from jetmill.protocol.state import State
from jetmill_operator.dispatch.event import EVENT_LABEL, Attributes, Seen, decode_attributes
from jetmill_operator.dispatch.hook import Hook
from jetmill_operator.dispatch.router import build_item
from jetmill_operator.policy.endpoint import begin_state, enable

if TYPE_CHECKING:
    from jetmill_operator.dispatch.courier import Courier

TEST_TYPE = "webhook.test"
BATCH = 200
_TRIES = 10


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery, as far as the ledger has it."""

    id: str
    webhook: str
    state: State
    reason: str | None
    attempt: int
    """Of the last enqueueing: how many attempts there were, or are with the one under way."""
    time: int
    """µs, when it was enqueued."""
    due: int | None
    """µs: when the next attempt is; None: now, or never."""
    event: Attributes | None
    """None: it is too large to be in the ledger, or has gone."""
    body: str | None
    """The event as it is sent."""
    attempts: list[AttemptLog] = field(default_factory=list)
    """Oldest first, those of earlier enqueueings too."""


@dataclass(slots=True)
class Recovered:
    """What a recovery found."""

    events: int = 0
    """That the Webhook wants, in that time."""
    created: int = 0
    """Had no delivery, and have one now."""
    reopened: int = 0
    """Had one that failed, which is sent again."""
    left: int = 0
    """Were delivered, or wait to be."""


async def read_webhook(bus: Bus, name: str) -> tuple[JobSettings, WebhookSettings]:
    """What is declared of a Webhook; NotFoundError, InvalidNameError."""
    settings = await bus.admin.settings(name_deliveries(name))
    if settings is None or settings.webhook is None:
        raise NotFoundError(f"there is no Webhook {name}", cure="see `kubectl get jmwh`, or `jetmill webhook list`")
    return settings, settings.webhook


async def list_webhooks(bus: Bus) -> list[tuple[JobSettings, EndpointState | None]]:
    """Every Webhook with how its endpoint fares, by name."""
    found = [settings for settings in await bus.admin.all_settings() if settings.webhook is not None]
    return [(settings, await read_state(bus, settings)) for settings in found]


async def read_state(bus: Bus, settings: JobSettings) -> EndpointState | None:
    """How the endpoint of a Webhook fares; None: nothing is known of it."""
    note = await bus.notes.read(name_note(settings.job.removeprefix(DELIVERIES)))
    state = None if note is None else decode_endpoint(note.data)
    return None if state is None or state.uid != settings.uid else state


async def read_delivery(bus: Bus, delivery_id: str, *, webhook: str | None = None) -> Delivery:
    """One delivery with its attempts; JobNotFoundError if there is none (of that Webhook)."""
    chain = await bus.ledger.read_chain(parse_job_id(delivery_id))
    job = chain[-1].record.job if chain else ""
    if not is_delivery(job) or (webhook is not None and job != name_deliveries(webhook)):
        raise JobNotFoundError(f"there is no delivery {delivery_id:.80}", cure="its retention may be over")
    return await _build_delivery(bus, chain)


async def _build_delivery(bus: Bus, chain: Sequence[Entry]) -> Delivery:
    last, body = chain[-1], await _read_body(bus, chain[0].record)
    return Delivery(
        id=last.id,
        webhook=last.record.job.removeprefix(DELIVERIES),
        state=last.record.state,
        reason=last.record.reason,
        attempt=last.record.attempt,
        time=chain[0].time,
        due=last.record.due if last.record.waiting else None,
        event=None if body is None else _read_attributes(body),
        body=body,
        attempts=[log for entry in chain if (log := _read_log(entry.record)) is not None],
    )


async def _read_body(bus: Bus, record: Record) -> str | None:
    raw = None if record.payload is None else bytes(record.payload)
    if raw is None and record.payload_ref is not None:
        try:
            raw = await bus.payloads.get(record.payload_ref.name)
        except NotFoundError:
            return None
    try:
        return None if raw is None else str(msgspec.json.decode(raw)["event"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        return None


def _read_attributes(body: str) -> Attributes | None:
    try:
        return decode_attributes(body.encode())
    except CodecError:
        return None


def _read_log(record: Record) -> AttemptLog | None:
    try:
        return None if record.result is None else decode_log(bytes(record.result))
    except CodecError:
        return None


async def redeliver(client: Client, delivery_id: str, *, webhook: str | None = None) -> None:
    """Send a delivery that is done with once more, or one that waits for its next attempt now, under its id;
    JobNotFoundError, JobStateError if it is under way.
    """
    await read_delivery(await client.connect(), delivery_id, webhook=webhook)
    await client.retry(delivery_id)


async def send_test(client: Client, name: str) -> str:
    """Send a `webhook.test` event to a Webhook alone, whatever it subscribes to; the id of the delivery."""
    bus = await client.connect()
    settings, _ = await read_webhook(bus, name)
    now = datetime.fromtimestamp(bus.link.now() / 1e6, tz=UTC)
    event = {
        "specversion": "1.0",
        "id": secrets.token_hex(16),
        "source": f"/jetmill/{bus.subjects.namespace}/webhooks/{name}",
        "type": TEST_TYPE,
        "time": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": {"webhook": name},
    }
    text = msgspec.json.encode(event).decode()
    handle = await client.enqueue(settings.job, {"event": text}, labels={EVENT_LABEL: TEST_TYPE})
    return handle.id


async def enable_webhook(bus: Bus, name: str) -> bool:
    """Let a Webhook that was disabled, or whose circuit is open, be sent to again; False: nothing kept it from it."""
    settings, _ = await read_webhook(bus, name)
    key = name_note(name)
    for _ in range(_TRIES):
        note = await bus.notes.read(key)
        there = None if note is None else decode_endpoint(note.data)
        state = enable(
            begin_state(there, uid=settings.uid, generation=settings.generation), generation=settings.generation
        )
        if there is not None and state == there:
            return False
        try:
            await bus.notes.write(key, msgspec.json.encode(state), expected=0 if note is None else note.seq)
        except RefusedError:
            continue
        return True
    raise RefusedError(f"the state of Webhook {name} moves too fast", cure="try again")


async def recover(client: Client, name: str, *, since: datetime, until: datetime | None = None) -> Recovered:
    """Route the events of a stretch of time to a Webhook again: those that have no delivery get one, those whose
    delivery failed are sent again, the others are left. Events that are not kept any more cannot be.
    """
    bus = await client.connect()
    settings, webhook = await read_webhook(bus, name)
    hook = Hook(settings, msgspec.structs.replace(webhook, since=0), _no_courier)
    end = bus.link.now() if until is None else round(until.timestamp() * 1e6)
    found, begin = Recovered(), round(since.timestamp() * 1e6)
    last = await bus.events.last_seq()
    if not last:
        return found
    batch: list[Seen] = []
    async for messages in bus.events.follow(start=1):
        asked = (_see(message) for message in messages if begin <= message.time <= end)
        batch += [event for event in asked if event is not None and hook.wants(event, now=end)]
        if len(batch) >= BATCH or messages[-1].seq >= last:
            await _recover_batch(client, hook, batch, found)
            batch = []
        if messages[-1].seq >= last:
            break
    return found


async def _recover_batch(client: Client, hook: Hook, events: Sequence[Seen], found: Recovered) -> None:
    found.events += len(events)
    answers = await client.enqueue_many(hook.job, [build_item(hook, event) for event in events]) if events else []
    for event, answer in zip(events, answers, strict=True):
        if isinstance(answer, Exception):
            raise answer
        if answer.created:
            found.created += 1
            continue
        job_id = id_from_key("webhook", hook.settings.uid, event.attributes.source, event.attributes.id)
        status = await client.status(job_id)
        if status.state is not State.FAILED:
            found.left += 1
            continue
        try:
            await client.retry(job_id)
        except JobStateError:
            found.left += 1  # somebody else was first
        else:
            found.reopened += 1


def _see(message: EventMessage) -> Seen | None:
    try:
        return Seen(message)
    except CodecError:
        return None


def _no_courier() -> Courier:
    raise AssertionError("nothing is sent from here")
