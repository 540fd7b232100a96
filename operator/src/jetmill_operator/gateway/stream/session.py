"""One client, as a plain object: its texts go in by `feed`, its frames come out by `take`. No socket, no HTTP.

```
 open ── subscribe ─▶ checked ─▶ (snapshot) ─▶ replayed ─▶ live ── unsubscribe, revoked ─▶ gone
   └── end of its rights, of its patience, of the gateway ─▶ closed (code, reason)
```
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, assert_never

import structlog

from jetmill.errors import BusError, InputError, JetmillError
from jetmill_operator.gateway.stream.frame import (
    VERSION,
    FrameError,
    Key,
    OpId,
    Ping,
    Subscribe,
    Unsubscribe,
    build_answer,
    decode_client_frame,
)
from jetmill_operator.gateway.stream.hub import Hub
from jetmill_operator.gateway.stream.option import StreamOptions
from jetmill_operator.gateway.stream.outbox import Gap, Outbox
from jetmill_operator.gateway.stream.pace import Pace
from jetmill_operator.gateway.stream.replay import replay
from jetmill_operator.gateway.stream.snapshot import Snapshots, give_snapshot
from jetmill_operator.gateway.stream.topic import TRACE, Kind, Topic, parse_topic

RESTART = 1012
TRY_LATER = 1013
BAD_REQUEST = 4400
NOT_AUTHENTICATED = 4401
FORBIDDEN = 4403
SLOW = 4008
TOO_MANY = 4429
_FAULTS = 10
"""Frames that cannot be read, before the connection ends."""
log = structlog.get_logger()


class AccessError(JetmillError):
    """Nobody can say now what the client may do."""


class Access(Protocol):
    """Who the client is, and what he may do."""

    @property
    def user(self) -> str | None:
        """His name; None where nobody is asked for one."""
        ...

    @property
    def expires(self) -> float | None:
        """When his credentials end, seconds since the epoch."""
        ...

    async def is_valid(self) -> bool:
        """Whether he is still who he says; AccessError."""
        ...

    async def allows(self, namespace: str, topic: Topic) -> bool:
        """Whether he may watch a topic; AccessError."""
        ...


class UnknownNamespaceError(JetmillError):
    """This gateway does not serve the namespace."""


FindHub = Callable[[str], Awaitable[Hub]]


class Subscription:
    """A topic of a namespace that a client gets."""

    __slots__ = ("hub", "key", "replay", "topic")

    def __init__(self, hub: Hub, topic: Topic, key: Key) -> None:
        self.hub = hub
        self.topic = topic
        self.key = key
        self.replay: asyncio.Task[None] | None = None
        """While it is not live yet."""


class Session:
    """A client and its subscriptions."""

    def __init__(
        self, access: Access, find_hub: FindHub, *, namespace: str, options: StreamOptions, snapshots: Snapshots | None
    ) -> None:
        self.access = access
        self.outbox = Outbox(max_bytes=options.max_bytes, max_frames=options.max_frames)
        self.subscriptions: dict[Key, Subscription] = {}
        self._find_hub = find_hub
        self._namespace = namespace
        self._options = options
        self._snapshots = snapshots
        self._faults = 0
        self._pace = Pace(options.frames_per_second, options.frames_at_once)
        now = asyncio.get_running_loop().time()
        self._heartbeat = now
        self._checked = now
        self._checking: asyncio.Task[None] | None = None
        self.outbox.put(
            build_answer("hello", version=VERSION, namespace=namespace, heartbeatSeconds=options.heartbeat_seconds)
        )

    # In

    async def feed(self, text: str | bytes) -> None:
        """Take a text from the client; never raises for what it says. Waits while the client does not read."""
        await self.outbox.room()
        if self.outbox.code:
            return
        if not self._pace.take(asyncio.get_running_loop().time()):
            self.close(TOO_MANY, f"more than {self._options.frames_per_second:g} frames a second")
            return
        try:
            frame = decode_client_frame(text)
        except FrameError as error:
            self._refuse_frame(error)
            return
        match frame:
            case Subscribe():
                await self.subscribe(frame)
            case Unsubscribe():
                self.unsubscribe(frame)
            case Ping():
                self.outbox.put(build_answer("pong", frame.id))
            case _:
                assert_never(frame)

    async def subscribe(self, frame: Subscribe) -> Key | None:
        """Begin, or begin anew; None if it was refused, which the client is told."""
        topic, key = self._parse(frame)
        if topic is None or key is None:
            return None
        try:
            if not await self._may(key, topic):
                self._refuse(frame.id, "forbidden", f"you may not watch {key.topic} in {key.namespace}", key)
                return None
            hub = await self._find_hub(key.namespace)
            await hub.feed(topic)
        except UnknownNamespaceError as error:
            self._refuse(frame.id, "unknown-namespace", str(error), key)
            return None
        except (BusError, AccessError) as error:
            self._refuse(frame.id, "unavailable", str(error), key)
            return None
        if self.outbox.code:
            return None
        self._drop(key)
        if len(self.subscriptions) >= self._options.max_subscriptions:
            text = f"at most {self._options.max_subscriptions} topics on one connection"
            self._refuse(frame.id, "too-many-subscriptions", text, key)
            return None
        subscription = self.subscriptions[key] = Subscription(hub, topic, key)
        await self._begin(subscription, frame)
        return key

    def unsubscribe(self, frame: Unsubscribe) -> None:
        """End a subscription; of one that is not there too, it is answered the same."""
        topic, key = self._parse(frame)
        if topic is not None and key is not None:
            self._drop(key)
            self.outbox.put(build_answer("unsubscribed", frame.id, key=key))

    def _parse(self, frame: Subscribe | Unsubscribe) -> tuple[Topic | None, Key | None]:
        try:
            topic = parse_topic(frame.topic, user=self.access.user)
        except InputError as error:
            self._refuse(frame.id, "bad-topic", str(error), None)
            return None, None
        return topic, Key(frame.namespace or self._namespace, str(topic))

    async def _may(self, key: Key, topic: Topic) -> bool:
        if topic.kind is Kind.USER and topic.name != self.access.user:
            return False
        return await self.access.allows(key.namespace, topic)

    async def _begin(self, one: Subscription, frame: Subscribe) -> None:
        """Answer, and let events come: at once, or after what was missed."""
        feed = await one.hub.feed(one.topic)
        after = 0 if frame.after is None and one.topic.kind in TRACE else frame.after
        if feed is None:
            self.outbox.put(build_answer("subscribed", frame.id, key=one.key))
            one.hub.join(one.topic, self.outbox)
            return
        seq = feed.seq if after is None else after
        told = None if frame.snapshot else seq  # the snapshot will say where to go on
        self.outbox.put(build_answer("subscribed", frame.id, key=one.key, seq=told))
        if after is None and not frame.snapshot:
            feed.join(one.key.topic, self.outbox)
            return
        one.replay = asyncio.create_task(self._catch_up(one, after=seq, snapshot=frame.snapshot))

    async def _catch_up(self, one: Subscription, *, after: int, snapshot: bool) -> None:
        try:
            feed = await one.hub.feed(one.topic)
            assert feed is not None
            if snapshot:
                after = await give_snapshot(one.hub, one.topic, self.outbox, after=after, provider=self._snapshots)
            await replay(feed, one.topic, self.outbox, after=after)
        except JetmillError as error:
            log.info("replay_broke", namespace=one.key.namespace, error=str(error))
            self.outbox.note_gap(Gap(one.key, after=after, seq=None, reason="unavailable"))
            self._forget(one, "unavailable", "it could not be read: subscribe again")
        else:
            one.replay = None

    def _drop(self, key: Key) -> None:
        one = self.subscriptions.pop(key, None)
        if one is None:
            return
        if one.replay is not None:
            one.replay.cancel()
        one.hub.leave(one.topic, self.outbox)

    def _forget(self, one: Subscription, code: str, detail: str) -> None:
        """End a subscription that the client did not end."""
        if self.subscriptions.get(one.key) is one:
            one.replay = None
            self._drop(one.key)
        self.outbox.put(build_answer("ended", key=one.key, code=code, detail=detail))

    def _refuse(self, op_id: OpId, code: str, detail: str, key: Key | None) -> None:
        self.outbox.put(build_answer("error", op_id, key=key, code=code, detail=detail))

    def _refuse_frame(self, error: FrameError) -> None:
        self._faults += 1
        if self._faults >= _FAULTS:
            self.close(BAD_REQUEST, "frames that cannot be read")
        else:
            self._refuse(None, "bad-frame", str(error), None)

    # Now and then

    def sweep(self, now: float, wall: float) -> None:
        """Look at the clock: heartbeat, rights, patience. `now` is the loop's time, `wall` seconds since the epoch."""
        outbox, options = self.outbox, self._options
        if outbox.code:
            return
        if self.access.expires is not None and wall >= self.access.expires:
            self.close(NOT_AUTHENTICATED, "your credentials have expired")
        elif outbox and now - outbox.taken > options.stall_seconds:
            self.close(SLOW, "nothing was read for too long")
        elif self._checking is None and now - self._checked >= options.recheck_seconds:
            self._checking = asyncio.create_task(self._recheck(now))
        if not outbox.code and now - self._heartbeat >= options.heartbeat_seconds:
            self._heartbeat = now
            if not outbox:
                outbox.put(build_answer("heartbeat", cursors=self._cursors()))

    def _cursors(self) -> dict[str, dict[str, int]]:
        """How far each namespace was told whole: no further than a replay that is under way."""
        behind = {one.hub for one in self.subscriptions.values() if one.replay is not None}
        hubs = {one.hub for one in self.subscriptions.values()} - behind
        return {hub.namespace: hub.cursors() for hub in hubs}

    async def _recheck(self, now: float) -> None:
        try:
            if not await self.access.is_valid():
                self.close(NOT_AUTHENTICATED, "your credentials are no longer valid")
                return
            for one in tuple(self.subscriptions.values()):
                if not await self._may(one.key, one.topic):
                    self._forget(one, "forbidden", "your right to watch it was withdrawn")
        except JetmillError:  # also a record that cannot be read: nothing is granted by it
            if now - self._checked > self._options.recheck_seconds + self._options.recheck_grace_seconds:
                self.close(TRY_LATER, "your rights cannot be checked now")
        else:
            self._checked = now
        finally:
            self._checking = None

    def close(self, code: int, reason: str) -> None:
        """End it: subscriptions go, `take` gives None. Idempotent, the first word counts."""
        for key in tuple(self.subscriptions):
            self._drop(key)
        if self._checking is not None and self._checking is not asyncio.current_task():
            self._checking.cancel()
        self.outbox.close(code, reason)
