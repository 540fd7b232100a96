"""What waits to be sent to one client: bounded, and never silently cut.

Frames are shared by all who get them, so a slow client costs what only it still holds, up to `max_bytes`. When that is
full, all waiting frames of events go, and in their place stands one gap for each topic, which says what was left out.
Answers are never dropped; who produces them waits for room before each.

```
 open ──put──▶ waiting ──full──▶ gaps, answers ──put──▶ … ──take──▶ empty
 open ──close──▶ code, reason
```
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from jetmill_operator.gateway.stream.frame import Frame, Key, build_gap, build_wire


class Gap:
    """What was left out of one topic; grows until it is taken."""

    __slots__ = ("after", "key", "missed", "reason", "seq")

    def __init__(
        self, key: Key, *, after: int | None, seq: int | None, missed: int | None = None, reason: str = "slow"
    ) -> None:
        self.key = key
        self.after = after
        self.seq = seq
        self.missed = missed
        self.reason = reason

    @property
    def text(self) -> str:
        """As JSON."""
        return build_gap(self.key, after=self.after, seq=self.seq, missed=self.missed, reason=self.reason)

    @property
    def wire(self) -> bytes:
        """As it goes over a websocket."""
        return build_wire(self.text)

    def add(self, seq: int | None, missed: int | None) -> None:
        """Leave out more, up to `seq`."""
        self.seq = seq
        self.missed = None if self.missed is None or missed is None else self.missed + missed


class Outbox:
    """Frames for one client, who takes them one by one."""

    def __init__(self, *, max_bytes: int, max_frames: int) -> None:
        self._queue: deque[Frame | Gap] = deque()
        self._max_bytes = max_bytes
        self._max_frames = max_frames
        self._bytes = 0
        self._taker: asyncio.Future[None] | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self.code = 0
        """Why the connection ends; 0 while it does not."""
        self.reason = ""
        self.on_close: Callable[[], None] | None = None
        """Called when it is closed."""
        self.push: Callable[[Frame], bool] | None = None
        """Sends a frame at once, if it can without waiting: what nothing waits before need not wait itself."""
        self.taken = asyncio.get_running_loop().time()
        """When the client last took something, or had nothing to take."""
        self.delivered = 0
        """Events taken."""
        self.dropped = 0
        """Events left out."""

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def bytes(self) -> int:
        """Characters that wait."""
        return self._bytes

    def put(self, frame: Frame) -> None:
        """Add a frame; over the bound, events are dropped and gaps said.

        Wait for `room` before a frame that is kept, where a client could make them many.
        """
        if self.code:
            return
        if not self._queue:
            self.taken = asyncio.get_running_loop().time()
            if self.push is not None and self._is_awaited() and self.push(frame):
                self.delivered += frame.count
                return
        elif frame.replaces:
            self._remove(frame.key)
        self._queue.append(frame)
        self._bytes += len(frame.text)
        if len(self._queue) > 1 and (self._bytes > self._max_bytes or len(self._queue) > self._max_frames):
            self._drop()
        self._wake()

    def note_gap(self, gap: Gap) -> None:
        """Say that something was left out that never came here."""
        if not self.code:
            self._queue.append(gap)
            self._wake()

    async def room(self) -> None:
        """Wait until less than half of the bound is taken, or the connection ends."""
        while not self._has_room() and not self.code:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            try:
                await future
            finally:
                if future in self._waiting:
                    self._waiting.remove(future)

    async def take(self) -> Frame | Gap | None:
        """The next frame; None when the connection shall end (`code`, `reason`)."""
        while not self._queue:
            if self.code:
                return None
            self._taker = asyncio.get_running_loop().create_future()
            await self._taker
        frame = self._queue.popleft()
        self.taken = asyncio.get_running_loop().time()
        if isinstance(frame, Frame):
            self._bytes -= len(frame.text)
            self.delivered += frame.count
        if self._waiting and self._has_room():
            self._wake_waiting()
        return frame

    def close(self, code: int, reason: str) -> None:
        """End: events that wait are forgotten, answers are given still. Idempotent, the first word counts."""
        if self.code:
            return
        self.code, self.reason = code, reason
        self._queue = deque(
            frame for frame in self._queue if isinstance(frame, Frame) and frame.kept and not frame.count
        )
        self._bytes = sum(len(frame.text) for frame in self._queue)
        self._wake()
        self._wake_waiting()
        if self.on_close is not None:
            self.on_close()

    def _is_awaited(self) -> bool:
        """Whoever takes has sent all that he took, and waits for more."""
        return self._taker is not None and not self._taker.done()

    def _has_room(self) -> bool:
        return self._bytes * 2 < self._max_bytes and len(self._queue) * 2 < self._max_frames

    def _wake(self) -> None:
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)

    def _wake_waiting(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    def _remove(self, key: Key | None) -> None:
        for frame in [one for one in self._queue if isinstance(one, Frame) and one.replaces and one.key == key]:
            self._queue.remove(frame)
            self._bytes -= len(frame.text)

    def _drop(self) -> None:
        """Put one gap for each topic in the place of all that it lost."""
        kept: deque[Frame | Gap] = deque()
        gaps: dict[Key, Gap] = {}
        size = 0
        for frame in self._queue:
            key = frame.key
            if isinstance(frame, Frame) and (frame.kept or frame.replaces):
                kept.append(frame)
                size += len(frame.text)
                continue
            assert key is not None
            missed = frame.count if isinstance(frame, Frame) else frame.missed
            self.dropped += frame.count if isinstance(frame, Frame) else 0
            gap = gaps.get(key)
            if gap is not None:
                gap.add(frame.seq, missed)
                continue
            gap = Gap(key, after=frame.after, seq=frame.seq, missed=missed) if isinstance(frame, Frame) else frame
            gaps[key] = gap
            kept.append(gap)
        self._queue = kept
        self._bytes = size
