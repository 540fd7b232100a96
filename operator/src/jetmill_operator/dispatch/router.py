"""From events to deliveries: every event becomes one job for each Webhook that wants it.

The job's id follows from the Webhook and the event, so an event that is routed again, by whomever, is the same
delivery. A Webhook that has just come may have been declared before an event that this process had routed already: the
last events are looked at again for it, so that whatever is published after `Ready` is sent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import structlog

from jetmill.bus.ports import Bus, EventMessage
from jetmill.client.client import Client
from jetmill.client.submission import Item
from jetmill.errors import BusError, CodecError, UnknownJobError
from jetmill.protocol.identity import id_from_key
from jetmill_operator.dispatch.delivery import encode_payload
from jetmill_operator.dispatch.event import EVENT_LABEL, Seen
from jetmill_operator.dispatch.hook import Hook, Hooks
from jetmill_operator.dispatch.pursuit import Pursuit

RECENT_SECONDS = 30.0
RECENT = 2_000
"""So many events are looked at again, none older than that."""

log = structlog.get_logger("jetmill.dispatcher")


class WebhookRouter:
    """The work `webhooks`."""

    def __init__(self, bus: Bus, hooks: Hooks) -> None:
        self._bus = bus
        self._hooks = hooks
        self._client = Client(bus=bus, by="dispatcher")
        self.recent: deque[Seen] = deque(maxlen=RECENT)
        """Events that were routed here lately."""
        self._late: set[asyncio.Task[None]] = set()
        self.unreadable = 0
        """Events that were none."""
        self.pursuit = Pursuit(bus, "webhooks", self.take)

    async def run(self) -> None:
        """Route until cancelled."""
        stop = await self._hooks.watch(self._bus.admin)
        self._hooks.on_new = self._look_back
        try:
            await self.pursuit.run()
        finally:
            self._hooks.on_new = None
            stop()
            for task in self._late:
                task.cancel()
            await asyncio.gather(*self._late, return_exceptions=True)
            await self._client.close()

    async def take(self, messages: Sequence[EventMessage]) -> None:
        """Route a list of events; BusError: some may have been, all may be routed again."""
        events = [event for event in map(self._read, messages) if event is not None]
        self.recent.extend(events)
        if events:
            await asyncio.gather(*(self._route(hook, events) for hook in self._hooks.all()))

    def _read(self, message: EventMessage) -> Seen | None:
        try:
            return Seen(message)
        except CodecError as err:
            self.unreadable += 1
            log.warning("event_unreadable", type=message.type, seq=message.seq, error=str(err))
            return None

    async def _route(self, hook: Hook, events: Sequence[Seen]) -> None:
        now = self._bus.link.now()
        wanted = [event for event in events if hook.wants(event, now=now)]
        if not wanted:
            return
        for answer in await self._client.enqueue_many(hook.job, [build_item(hook, event) for event in wanted]):
            if isinstance(answer, UnknownJobError):
                return  # the Webhook has gone meanwhile
            if isinstance(answer, BusError):
                raise answer
            if isinstance(answer, Exception):
                log.error("event_not_routed", webhook=hook.name, error=str(answer))

    def _look_back(self, hook: Hook) -> None:
        oldest = self._bus.link.now() - round(RECENT_SECONDS * 1_000_000)
        events = [event for event in self.recent if event.message.time >= max(oldest, hook.webhook.since)]
        if events:
            task = asyncio.create_task(self._route_late(hook, events))
            self._late.add(task)
            task.add_done_callback(self._late.discard)

    async def _route_late(self, hook: Hook, events: Sequence[Seen]) -> None:
        try:
            await self._route(hook, events)
        except BusError as err:
            log.warning("event_not_routed", webhook=hook.name, error=str(err))


def build_item(hook: Hook, event: Seen) -> Item:
    """The delivery of an event."""
    attributes = event.attributes
    item_id = id_from_key("webhook", hook.settings.uid, attributes.source, attributes.id)
    payload, labels = encode_payload(event.message.data), {EVENT_LABEL: attributes.type}
    if hook.webhook.serial == "subject" and attributes.subject:
        key = f"{hook.job}:{attributes.subject}"[:256]
        return Item(payload, id=item_id, labels=labels, concurrency_key=key)
    return Item(payload, id=item_id, labels=labels)
