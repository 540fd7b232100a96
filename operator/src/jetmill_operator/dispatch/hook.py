"""The Webhooks of one namespace as a dispatcher serves them: what is declared, and what goes with it in here."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from jetmill.bus.ports import Admin
from jetmill.errors import CodecError
from jetmill.protocol.delivery import EndpointState
from jetmill.protocol.event import EventPattern
from jetmill.protocol.name import DELIVERIES
from jetmill.protocol.record import JobSettings, WebhookSettings
from jetmill_operator.dispatch.event import Seen as SeenEvent
from jetmill_operator.dispatch.expression import Expression, ExpressionError, compile_expression
from jetmill_operator.policy.endpoint import Phase, Seen, Window, find_phase

if TYPE_CHECKING:
    from jetmill_operator.dispatch.courier import Courier

FIND_SECONDS = 5.0

log = structlog.get_logger("jetmill.dispatcher")


class Bucket:
    """Requests of one endpoint, spaced out: whoever takes one waits for its turn."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = 0.0

    async def take(self, rate: float | None) -> None:
        """Wait for the next turn at `rate` requests a second; None: there is no limit."""
        if rate is None:
            return
        now = self._clock()
        turn = max(now, self._next)
        self._next = turn + 1 / rate
        if turn > now:
            await asyncio.sleep(turn - now)


class Hook:
    """One Webhook."""

    def __init__(self, settings: JobSettings, webhook: WebhookSettings, make_courier: Callable[[], Courier]) -> None:
        self.name = settings.job.removeprefix(DELIVERIES)
        self.settings = settings
        self.webhook = webhook
        self.expression: Expression | None = None
        self.seen = Seen()
        """Since it was last said."""
        self.window = Window()
        self.bucket = Bucket()
        self.state: EndpointState | None = None
        """As last read; None: not read yet."""
        self.paused_until = 0.0
        """Of the monotonic clock: the receiver asked to wait."""
        self.fault = ""
        """Why its filter cannot be asked; nothing is sent then."""
        self._make_courier = make_courier
        self._courier: Courier | None = None
        self._patterns: tuple[EventPattern, ...] = ()
        self.obey(settings, webhook)

    @property
    def job(self) -> str:
        """The Job of its deliveries."""
        return self.settings.job

    @property
    def courier(self) -> Courier:
        """Its connections."""
        if self._courier is None:
            self._courier = self._make_courier()
        return self._courier

    def obey(self, settings: JobSettings, webhook: WebhookSettings) -> None:
        """Go by what is declared now."""
        if self.expression is None or webhook.expression != self.webhook.expression:
            self.expression, self.fault = None, ""
            try:
                self.expression = None if webhook.expression is None else compile_expression(webhook.expression)
            except ExpressionError as err:
                self.fault = err.message
                log.warning("webhook_stalled", webhook=self.name, error=err.message)
        if settings.uid != self.settings.uid:
            self.seen, self.window, self.state = Seen(), Window(), None
        self.settings, self.webhook = settings, webhook
        self._patterns = tuple(map(EventPattern, webhook.events))

    def wants(self, event: SeenEvent, *, now: int) -> bool:
        """Tell whether an event is to be sent; what its filter cannot judge is counted, and is not."""
        webhook = self.webhook
        if event.message.time < webhook.since or not self._takes_type(event.attributes.type):
            return False
        if self.fault or (self.state is not None and find_phase(self.state, now) is Phase.DISABLED):
            return False
        if not webhook.jobs and self.expression is None:
            return True
        try:
            whole = event.whole
        except CodecError:
            return False
        return self._takes_job(whole) and self._takes(whole)

    async def close(self) -> None:
        """Close its connections."""
        courier, self._courier = self._courier, None
        if courier is not None:
            await courier.close()

    def _takes_type(self, event_type: str) -> bool:
        return any(pattern.matches(event_type) for pattern in self._patterns)

    def _takes_job(self, whole: dict[str, object]) -> bool:
        data = whole.get("data")
        return not self.webhook.jobs or (isinstance(data, dict) and data.get("job") in self.webhook.jobs)

    def _takes(self, whole: dict[str, object]) -> bool:
        if self.expression is None:
            return True
        failures = self.expression.failures
        taken = self.expression.matches({"event": whole})
        self.seen.filter_errors += self.expression.failures - failures
        return taken


class Pulse:
    """Wakes all who wait, each time."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    async def wait(self) -> None:
        """Wait for the next beat."""
        await self._event.wait()

    def beat(self) -> None:
        """Wake them."""
        self._event.set()
        self._event = asyncio.Event()


class Hooks:
    """All of a namespace, by the name of their deliveries' Job."""

    def __init__(self, make_courier: Callable[[], Courier]) -> None:
        self._make_courier = make_courier
        self._hooks: dict[str, Hook] = {}
        self._left: list[Hook] = []
        self._changed = Pulse()
        self.came = asyncio.Event()
        """There is one."""
        self.on_new: Callable[[Hook], None] | None = None
        """Hears of one that came."""

    def note(self, job: str, settings: JobSettings | None) -> None:
        """Take notice of settings; None: they were removed."""
        there = self._hooks.get(job)
        webhook = None if settings is None else settings.webhook
        if settings is None or webhook is None:
            if there is not None:
                self._left.append(self._hooks.pop(job))
            return
        if there is not None:
            is_other = there.settings.uid != settings.uid
            there.obey(settings, webhook)
        else:
            is_other = True
            there = self._hooks[job] = Hook(settings, webhook, self._make_courier)
            self.came.set()
            self._changed.beat()
        if is_other and self.on_new is not None:
            self.on_new(there)

    async def find(self, job: str) -> Hook | None:
        """The Webhook of a Job of deliveries; one that others know of already may be told here in a moment."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIND_SECONDS):
                while job not in self._hooks:
                    await self._changed.wait()
        return self._hooks.get(job)

    async def watch(self, admin: Admin) -> Callable[[], None]:
        """Take notice of all that is declared, then of each change; gives the way to stop. BusError."""
        known: set[str] = set()

        def note(job: str, settings: JobSettings | None) -> None:
            known.add(job)
            self.note(job, settings)

        stop = await admin.watch_settings(note)
        for job in self._hooks.keys() - known:  # it went while nobody watched
            self.note(job, None)
        return stop

    def all(self) -> list[Hook]:
        """Every one."""
        return list(self._hooks.values())

    async def tidy(self) -> None:
        """Close the connections of those that have gone."""
        left, self._left = self._left, []
        for hook in left:
            await hook.close()

    async def close(self) -> None:
        """Close every connection."""
        self._left += self._hooks.values()
        self._hooks.clear()
        await self.tidy()
