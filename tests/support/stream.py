"""Watching a stream as a client does: what came, what is missing, what was said to be missing."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from factories import make_data, make_job_id
from jetmill.bus.memory import MemoryWorld
from jetmill.bus.ports import Bus
from jetmill.protocol.state import State
from jetmill_operator.gateway.stream.backplane import Backplane
from jetmill_operator.gateway.stream.option import StreamOptions
from jetmill_operator.gateway.stream.session import AccessError, Session
from jetmill_operator.gateway.stream.topic import Topic
from support.wait import eventually


class Viewer:
    """The port `Access`: one who may watch everything, until he is told otherwise."""

    def __init__(self, user: str | None = "ada") -> None:
        self.user = user
        self.expires: float | None = None
        self.valid = True
        self.denied: set[str] = set()
        self.away = False
        """The API server cannot be asked."""
        self.asked = 0

    async def is_valid(self) -> bool:
        self._ask()
        return self.valid

    async def allows(self, namespace: str, topic: Topic) -> bool:
        self._ask()
        return not {f"{namespace}/{topic}", namespace} & self.denied

    def _ask(self) -> None:
        self.asked += 1
        if self.away:
            raise AccessError("the API server is away")


class Tally:
    """A set checker: every event of every topic, by sequence, and what gaps said of the others."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.seen: dict[str, list[int]] = {}
        self.cursor: dict[str, int] = {}
        self.gaps: dict[str, list[tuple[int, int]]] = {}

    def add(self, text: str | bytes) -> dict[str, Any]:
        frame: dict[str, Any] = msgspec.json.decode(text)
        self.frames.append(frame)
        topic = frame.get("topic", "")
        if frame["type"] == "events":
            self.seen.setdefault(topic, []).extend(item["seq"] for item in frame["items"])
        if frame["type"] == "gap":
            self.gaps.setdefault(topic, []).append((frame.get("after", 0), frame.get("seq", 0)))
        if frame.get("seq") is not None:
            self.cursor[topic] = frame["seq"]
        return frame

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["type"] == kind]

    def lost(self, topic: str, wanted: Iterable[int]) -> set[int]:
        """What neither came nor lies in a gap that was told."""
        gaps = self.gaps.get(topic, [])
        missing = set(wanted) - set(self.seen.get(topic, []))
        return {seq for seq in missing if not any(after < seq <= end for after, end in gaps)}

    def doubled(self, topic: str) -> list[int]:
        """What came more than once."""
        return [seq for seq, count in Counter(self.seen.get(topic, [])).items() if count > 1]

    def check(self, topic: str, wanted: Iterable[int]) -> None:
        """Everything came once, in order, or is in a gap; nothing else came."""
        wanted = set(wanted)
        seen = self.seen.get(topic, [])
        assert not self.lost(topic, wanted), f"lost: {sorted(self.lost(topic, wanted))[:10]}"
        assert not self.doubled(topic), f"twice: {self.doubled(topic)[:10]}"
        assert set(seen) <= wanted, f"unexpected: {sorted(set(seen) - wanted)[:10]}"
        assert seen == sorted(seen), "out of order"


class Watch(Tally):
    """A client on a session itself, without a socket."""

    def __init__(self, session: Session, *, reading: bool = True) -> None:
        super().__init__()
        self.session = session
        self._task: asyncio.Task[None] | None = None
        if reading:
            self.read()

    def read(self) -> None:
        """Begin to take what is there."""
        self._task = asyncio.create_task(self._take())

    async def _take(self) -> None:
        while (frame := await self.session.outbox.take()) is not None:
            self.add(frame.text)

    async def say(self, op: str, **members: Any) -> None:
        await self.session.feed(msgspec.json.encode({"op": op, **members}))

    async def subscribe(self, topic: str, **members: Any) -> None:
        await self.say("subscribe", topic=topic, **members)

    async def wait_for(self, kind: str, count: int = 1) -> dict[str, Any]:
        """The last of `count` frames of a type."""
        await eventually(lambda: len(self.of_type(kind)) >= count, what=f"{count} {kind} in {self.frames[-5:]}")
        return self.of_type(kind)[count - 1]

    async def wait_seen(self, topic: str, condition: Callable[[list[int]], bool]) -> list[int]:
        await eventually(lambda: condition(self.seen.get(topic, [])), what=f"{topic}: {self.seen} {self.frames[-3:]}")
        return self.seen[topic]

    async def end(self) -> None:
        self.session.close(1000, "")
        if self._task is not None:
            await self._task


async def append(bus: Bus, count: int = 1, *, state: State = State.QUEUED, **fields: Any) -> list[int]:
    """New chains of one record each; their sequences."""
    futures = [bus.ledger.append(make_job_id(), make_data(state, **fields), expected=0) for _ in range(count)]
    return list(await asyncio.gather(*futures))


async def append_to(bus: Bus, job_id: str, state: State, *, expected: int, **fields: Any) -> int:
    """One more record of a chain; its sequence."""
    return await bus.ledger.append(job_id, make_data(state, **fields), expected=expected)


class Yard:
    """A namespace in memory and what streams from it."""

    def __init__(self, **options: Any) -> None:
        self.world = MemoryWorld("shop")
        self.bus = self.world.connect()
        self.options = StreamOptions(**{"window_seconds": 0.001, **options})
        self.backplane = self.make_backplane()

    def make_backplane(self, **options: Any) -> Backplane:
        """Another gateway."""
        return Backplane({"shop": self.world.connect()}.get, options=self.options, **options)

    def watch(self, viewer: Viewer | None = None, *, reading: bool = True, at: Backplane | None = None) -> Watch:
        session = (at or self.backplane).open_session(viewer or Viewer(), namespace="shop")
        return Watch(session, reading=reading)


async def make_yard(**options: Any) -> Yard:
    yard = Yard(**options)
    await yard.bus.admin.apply_namespace()
    return yard


async def sweep(watch: Watch, *, later_seconds: float, wall: float | None = None) -> None:
    """Let time go by for a client that has taken all there is."""
    await eventually(lambda: not watch.session.outbox)
    now = asyncio.get_running_loop().time() + later_seconds
    watch.session.sweep(now, time.time() if wall is None else wall)
