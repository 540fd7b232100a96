"""The worker of one namespace's deliveries, and who keeps its endpoints' state: begun with the first Webhook.

Each Webhook has slots of its own, so none waits for another. What its endpoint may be sent follows from its note and is
put to the worker as a cap: nothing while the circuit is open or the endpoint is disabled, one at a time half open.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
import structlog

from jetmill.bus.ports import Bus
from jetmill.client.settings import ClientSettings
from jetmill.errors import BusError, CodecError, JetmillError, RefusedError
from jetmill.protocol.delivery import EndpointState, decode_endpoint, name_note
from jetmill.protocol.event import Event, encode_event, write_time
from jetmill.worker.resource import Resources
from jetmill.worker.service import Service, StopReason
from jetmill.worker.settings import WorkerSettings
from jetmill_operator.dispatch.delivery import Attempts, Deliverer, Handlers
from jetmill_operator.dispatch.hook import Hook, Hooks
from jetmill_operator.dispatch.secret import Secrets
from jetmill_operator.policy.endpoint import Phase, Seen, begin_state, find_phase, fold

ROUND_SECONDS = 2.0
"""How often what was seen is said, and what others saw is read."""
PRESENCE_SECONDS = 10.0
"""How often the other dispatchers are counted."""
TELL_SECONDS = 110.0
"""For so long whoever learns that an endpoint is disabled publishes it; the server keeps one of them (two minutes)."""
_TRIES = 5

log = structlog.get_logger("jetmill.dispatcher")


@dataclass(frozen=True, slots=True)
class DeskOptions:
    """How a desk runs."""

    connection: ClientSettings
    """Of the heartbeat's own connection, to the namespace."""
    grace_seconds: float
    pod: str = ""
    round_seconds: float = ROUND_SECONDS
    attempts: Attempts = field(default_factory=Counter)
    """Counts what is sent, for the whole process."""


class Desk:
    """The work `deliveries`."""

    def __init__(self, bus: Bus, hooks: Hooks, secrets: Secrets, options: DeskOptions) -> None:
        self._bus = bus
        self._hooks = hooks
        self._options = options
        self._turned = asyncio.Event()
        self._dispatchers = 1
        self._counted = 0.0
        self._deliverer = Deliverer(
            hooks,
            secrets,
            namespace=bus.subjects.namespace,
            share=lambda: 1 / self._dispatchers,
            on_turn=self._turn,
            attempts=options.attempts,
        )
        self.service: Service | None = None
        """The worker, while there is one."""

    async def run(self) -> None:
        """Wait for the first Webhook, then deliver until cancelled; what is under way is settled."""
        await self._hooks.came.wait()
        service = Service(
            WorkerSettings(
                connection=self._options.connection, grace_seconds=self._options.grace_seconds, pod=self._options.pod
            ),
            self._bus,
            registry=Handlers(self._deliverer),
            resources=Resources(None),
            exit_stalled=lambda: None,
            rule=lambda settings: settings.webhook is not None,
        )
        self.service = service
        try:
            await self._round(service)
            await service.start()
            await self._keep(service)
        finally:
            self.service = None
            service.stop(StopReason.CLOSED)
            await service.drain(grace_seconds=self._options.grace_seconds)
            await service.close()
            with contextlib.suppress(JetmillError):
                await self._say_all()

    def _turn(self, _hook: Hook) -> None:
        """Something happened that must not wait for the next round."""
        self._turned.set()

    async def _keep(self, service: Service) -> None:
        while True:
            self._turned.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._decide_pause()):
                    await self._turned.wait()
            await self._round(service)

    def _decide_pause(self) -> float:
        """A hundred endpoints a round."""
        return self._options.round_seconds * max(1.0, len(self._hooks.all()) / 100)

    async def _round(self, service: Service) -> None:
        await self._hooks.tidy()
        try:
            await self._count_dispatchers()
            await self._say_all()
        except BusError as err:
            log.warning("endpoints_not_kept", namespace=self._bus.subjects.namespace, error=str(err))
        now = self._bus.link.now()
        for hook in self._hooks.all():
            service.cap(hook.job, self._decide_cap(hook, now))

    def _decide_cap(self, hook: Hook, now: int) -> int | None:
        phase = Phase.CLOSED if hook.state is None else find_phase(hook.state, now)
        if phase in (Phase.OPEN, Phase.DISABLED) or time.monotonic() < hook.paused_until:
            return 0
        if phase is Phase.HALF_OPEN:
            return 1
        limit = hook.settings.concurrency
        return None if limit is None else max(1, math.ceil(limit / self._dispatchers))

    async def _count_dispatchers(self) -> None:
        if time.monotonic() - self._counted < PRESENCE_SECONDS:
            return
        self._counted = time.monotonic()
        jobs = {hook.job for hook in self._hooks.all()}
        present = await self._bus.presence.all()
        self._dispatchers = max(1, sum(not jobs.isdisjoint(one.jobs) for one in present if not one.stopping))

    async def _say_all(self) -> None:
        hooks = self._hooks.all()
        for start in range(0, len(hooks), 20):
            await asyncio.gather(*(self._say(hook) for hook in hooks[start : start + 20]))

    async def _say(self, hook: Hook) -> None:
        """Add what was seen of an endpoint to its note, and learn what it says."""
        seen, hook.seen = hook.seen, Seen()
        try:
            state = await add_to_note(self._bus, hook, seen)
        except BusError:
            _put_back(hook, seen)
            raise
        if state.disabled and not (hook.state and hook.state.disabled_time == state.disabled_time):
            await tell_disabled(self._bus, hook, state)
        hook.state = state


async def add_to_note(bus: Bus, hook: Hook, seen: Seen) -> EndpointState:
    """Fold what was seen into the note of an endpoint, by compare-and-set, and give what it says now; BusError."""
    key, uid, generation = name_note(hook.name), hook.settings.uid, hook.settings.generation
    for _ in range(_TRIES):
        note = await bus.notes.read(key)
        there = None if note is None else _decode(note.data, hook.name)
        state = begin_state(there, uid=uid, generation=generation)
        if seen:
            now, limit = bus.link.now(), hook.webhook.disable_after_seconds
            state = fold(state, seen, now=now, disable_after_seconds=limit)
        if state == there:
            return state
        try:
            await bus.notes.write(key, msgspec.json.encode(state), expected=0 if note is None else note.seq)
        except RefusedError:
            continue
        _tell_turn(hook, there, state)
        return state
    raise BusError(f"the note {key} moves too fast", cure="it is tried again")


async def tell_disabled(bus: Bus, hook: Hook, state: EndpointState) -> None:
    """Publish `webhook.disabled` if that is news; BusError."""
    if bus.link.now() - state.disabled_time > TELL_SECONDS * 1_000_000:
        return
    event = build_disabled_event(hook.name, state, namespace=bus.subjects.namespace)
    await bus.events.publish(event.type, encode_event(event), event_id=event.id)


def build_disabled_event(webhook: str, state: EndpointState, *, namespace: str) -> Event:
    """Make the event of an endpoint that was disabled; the same whoever makes it."""
    data = {"webhook": webhook, "reason": state.disabled}
    if state.failing_since is not None:
        data["failingSince"] = write_time(_time_of(state.failing_since))
    return Event(
        id=f"{state.uid}-disabled-{state.disabled_time}",
        type="webhook.disabled",
        source=f"/jetmill/{namespace}/webhook/{webhook}",
        subject=webhook,
        time=_time_of(state.disabled_time),
        data=data,
    )


def _time_of(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1_000_000, tz=UTC)


def _tell_turn(hook: Hook, before: EndpointState | None, state: EndpointState) -> None:
    if state.disabled and not (before and before.disabled):
        log.warning("webhook_disabled", webhook=hook.name, reason=state.disabled)
    elif state.opens and not (before and before.opens):
        log.warning("circuit_opened", webhook=hook.name)
    elif before is not None and before.opens and not state.opens:
        log.info("circuit_closed", webhook=hook.name)


def _decode(data: bytes, webhook: str) -> EndpointState | None:
    try:
        return decode_endpoint(data)
    except CodecError as err:
        log.error("endpoint_unreadable", webhook=webhook, error=str(err))
        return None


def _put_back(hook: Hook, seen: Seen) -> None:
    """What could not be said is said next time, before what came since."""
    later, hook.seen = hook.seen, seen
    seen.delivered += later.delivered
    seen.failed += later.failed
    seen.filter_errors += later.filter_errors
    seen.gone = seen.gone or later.gone
    seen.tripped = seen.tripped or later.tripped
    seen.failing_since = later.failing_since if later.delivered else seen.failing_since or later.failing_since
    seen.last = later.last or seen.last
