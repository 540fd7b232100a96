"""Standing demand on a consumer: credit out, deliveries in, one callback each.

The worker says how many more it wants; requests go out when half of what is wanted is used up, so that one request
brings many messages and a full worker asks for nothing. Statuses give credit back. Each request of one span has the
same inbox; when requests may be lost (reconnect, missed heartbeats, a consumer that went) a new span begins with a new
inbox, so that an old request that lives on somewhere can never deliver more than was wanted.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jetmill.bus.jetstream import wire
from jetmill.bus.jetstream.delivery import Delivery
from jetmill.bus.jetstream.link import Link, Subscription
from jetmill.errors import BusError, NoAnswerError, NotFoundError, PermissionDeniedError

__all__ = ["Delivery", "Pull", "PullOptions"]

_LATE_SECONDS = 5.0
_LARGEST_REQUEST = 10_000


@dataclass(frozen=True, slots=True)
class PullOptions:
    """How a pull stands."""

    expires_seconds: float = 30.0
    heartbeat_seconds: float = 5.0
    """Two missed ones and the pull asks again."""
    backoff_seconds: float = 0.1
    """After a refusal; doubles, with jitter."""
    backoff_max_seconds: float = 5.0


class Pull:
    """Standing demand on a durable consumer."""

    def __init__(
        self,
        link: Link,
        stream: str,
        consumer: str,
        on_delivery: Callable[[Any], None],
        *,
        make: Callable[[Link, bytes, bytes, bytes | None, bytes], Delivery] = Delivery,
        on_error: Callable[[BusError], None] | None = None,
        options: PullOptions | None = None,
    ) -> None:
        """Take nothing before `want`. `on_error` hears of a missing consumer (NotFoundError), a denial
        (PermissionDeniedError), missed heartbeats (NoAnswerError) and other refusals; the pull goes on trying
        with backoff all the same. `on_delivery` gets what `make` makes.
        """
        self._link = link
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._on_delivery = on_delivery
        self._make = make
        self._on_error = on_error
        self._options = options or PullOptions()
        self._wanted = 0  # not asked of the server yet
        self._asked = 0  # asked, not delivered
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._seen = False
        self._refusals = 0
        self._pause: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._ask_due = False
        self._stopped = False
        self._unregister = (
            link.on_reconnect(self._restart),
            link.on_disconnect(self._forget_requests),
            link.on_denied(self._take_denial),
        )

    def want(self, count: int) -> None:
        """Ask for `count` more deliveries; asks of one turn of the loop leave together."""
        self._wanted += count
        self._ask_soon()

    @property
    def outstanding(self) -> int:
        """Wanted and not yet delivered."""
        return self._wanted + self._asked

    def renew(self) -> None:
        """Ask anew. A server whose consumer was resumed serves old requests only at its next heartbeat."""
        if not self._stopped:
            self._restart()

    def stop(self) -> None:
        """Take nothing more: what was not sent goes to another waiter, what is on the wire is naked. Idempotent."""
        if self._stopped:
            return
        self._stopped = True
        for unregister in self._unregister:
            unregister()
        for timer in (self._pause, self._watch):
            if timer is not None:
                timer.cancel()
        self._end_span()
        self._wanted = self._asked = 0

    # Asking

    def _ask_soon(self) -> None:
        if not self._ask_due:
            self._ask_due = True
            self._link.loop.call_soon(self._ask)

    def _ask(self) -> None:
        self._ask_due = False
        idle = self._stopped or self._pause is not None or not self._link.connected
        if idle or self._wanted <= 0 or self._asked > self._wanted:
            return
        if self._subscription is None:
            self._begin_span()
        count = min(self._wanted, _LARGEST_REQUEST)
        options = self._options
        request = b'{"batch":%d,"expires":%d,"idle_heartbeat":%d}' % (
            count,
            options.expires_seconds * 1e9,
            options.heartbeat_seconds * 1e9,
        )
        self._link.publish(self._subject, request, reply=self._inbox)
        self._link.client.flush_now()
        self._wanted -= count
        self._asked += count
        if self._watch is None:
            self._watch_later()

    def _begin_span(self) -> None:
        self._inbox = self._link.new_inbox()
        self._subscription = self._link.listen(self._inbox, self._take)

    def _end_span(self) -> None:
        """Unsubscribe; what is on the wire already goes back at once instead of waiting for `ack_wait`."""
        if self._subscription is None:
            return
        subscription, self._subscription = self._subscription, None
        subscription.unsubscribe(late=self._give_back)
        self._link.loop.call_later(_LATE_SECONDS, subscription.forget)

    def _forget_requests(self) -> None:
        self._wanted += self._asked
        self._asked = 0
        self._end_span()

    def _restart(self) -> None:
        self._forget_requests()
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self._ask_soon()

    def _back_off(self, error: BusError | None = None) -> None:
        """Ask again only after a while, longer each time until something is heard from the consumer."""
        self._forget_requests()
        if self._pause is None and not self._stopped:
            options = self._options
            delay = min(options.backoff_max_seconds, options.backoff_seconds * 2 ** min(self._refusals, 10))
            self._refusals += 1
            self._pause = self._link.loop.call_later(delay * random.uniform(0.5, 1.0), self._resume)
        if error is not None and self._on_error is not None:
            self._on_error(error)

    def _resume(self) -> None:
        self._pause = None
        self._ask()

    def _watch_later(self) -> None:
        self._seen = False
        self._watch = self._link.loop.call_later(2 * self._options.heartbeat_seconds, self._check_heartbeat)

    def _check_heartbeat(self) -> None:
        self._watch = None
        if self._asked <= 0:
            return
        if not self._seen:
            self._restart()
            if self._on_error is not None:
                self._on_error(NoAnswerError(f"{self._subject}: no heartbeat, asked again"))
        self._watch_later()

    # Taking

    def _take(self, subject: bytes, reply: bytes, head: bytes | None, payload: bytes) -> None:
        self._seen = True
        if head is not None and head[8:9] == b" ":
            self._take_status(head)
            return
        self._refusals = 0
        if self._asked > 0:
            self._asked -= 1
            if self._wanted >= self._asked:
                self._ask_soon()
        self._on_delivery(self._make(self._link, subject, reply, head, payload))

    def _give_back(self, subject: bytes, reply: bytes, head: bytes | None, payload: bytes) -> None:
        if reply.startswith(b"$JS.ACK."):
            Delivery(self._link, subject, reply, head, payload).nak()

    def _take_status(self, head: bytes) -> None:
        status = wire.parse_status(head)
        if status == 100:
            self._refusals = 0
            return
        description = wire.parse_description(head)
        text = f"{self._subject}: {description or status}"
        if status in (404, 408):
            self._return_credit(head)
        elif status == 503:
            self._back_off(NotFoundError(f"{self._subject}: no such consumer, or no JetStream now", code=503))
        elif status == 409 and "deleted" in description.lower():
            self._back_off(NotFoundError(text, code=409))
        elif status == 409 and wire.parse_header(head, "Nats-Pending-Messages") is not None:
            self._back_off()  # shutdown, leader change, too many waiting: the consumer is elsewhere or busy
        else:
            self._back_off(BusError(text, code=status))

    def _return_credit(self, head: bytes) -> None:
        """A request ended: what it did not deliver is wanted again."""
        pending = wire.parse_header(head, "Nats-Pending-Messages")
        if pending is None:
            self._back_off()
            return
        count = min(int(pending), self._asked)
        self._asked -= count
        self._wanted += count
        self._ask_soon()

    def _take_denial(self, error: PermissionDeniedError) -> None:
        if error.subject == self._subject or (self._inbox and error.subject == self._inbox):
            self._back_off(error)
