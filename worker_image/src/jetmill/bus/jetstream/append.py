"""Appends to one stream: pipelined, and grouped into atomic batches where that pays and when they pile up.

An append leaves in the same turn of the loop while few are under way. Where each costs the server a sync (see `pace`)
and they come faster than it answers, they wait here until there are enough for an atomic batch (ADR-50), which costs
one sync for all of them. As many as make a large batch leave at once, singly or as one, so that the server has work
while the loop makes the next:

    append ──▶ queue ──┬─ few, or cheap ────▶ single ──▶ its own verdict
                       └─ many waiting ─────▶ batch ──┬─ committed: sequences count back from the last
                                 ▲                    ├─ refused: nothing stored, each again as a single
                                 └─ a few in flight   └─ unanswered: nobody knows, every member NoAnswerError
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from time import monotonic

import msgspec

from jetmill.bus.jetstream import wire
from jetmill.bus.jetstream.link import Call, Link
from jetmill.bus.jetstream.pace import LARGE_BATCH, Pace
from jetmill.errors import BusError, DisconnectedError, NoAnswerError

_BATCH_BYTES = 4 << 20
_BATCH_DISABLED = 10174


@dataclass(frozen=True, slots=True)
class AppendOptions:
    """How appends are grouped."""

    atomic: bool = True
    """The stream has `allow_atomic`; found false by the first refusal too."""
    shares_subjects: bool = False
    """Members of a batch may have one subject: none of them expects a sequence."""
    timeout_seconds: float | None = None
    """None: the link's request timeout."""
    batch_threshold: int | None = None
    """As many as this must wait before a batch is worth its cost; None: found by measuring, see `pace`."""
    batch_size: int = 500
    batches_in_flight: int = 4


class _PubAck(msgspec.Struct):
    seq: int = 0
    count: int = 0
    error: wire.ApiError | None = None


_decode_ack = msgspec.json.Decoder(_PubAck).decode


class _Single(Call):
    """One append: in the queue, alone on the wire, or as a member of a batch."""

    __slots__ = ("appender", "future", "headers", "payload")

    def __init__(self, appender: Appender, subject: str, payload: bytes, headers: bytes | None) -> None:
        self.appender = appender
        self.subject = subject
        self.payload = payload
        self.headers = headers
        self.future: asyncio.Future[int] = appender.link.loop.create_future()

    def answer(self, head: bytes | None, payload: bytes) -> bool:  # noqa: ARG002 (a publish is acked without headers)
        self.appender.single_ended()
        try:
            ack = _decode_ack(payload)
        except msgspec.MsgspecError:
            self.settle_failed(BusError(f"{self.subject}: the answer to an append is no ack"))
            return True
        if ack.error is not None:
            self.settle_failed(wire.make_error(ack.error, self.subject))
        elif not self.future.done():
            self.future.set_result(ack.seq)
        return True

    def fail(self, error: BusError) -> None:
        self.appender.single_ended(answered=False)
        self.settle_failed(error)

    def settle(self, seq: int) -> None:
        if not self.future.done():
            self.future.set_result(seq)

    def settle_failed(self, error: BusError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class _Batch(Call):
    __slots__ = ("appender", "members")

    def __init__(self, appender: Appender, members: list[_Single]) -> None:
        self.appender = appender
        self.members = members

    def answer(self, head: bytes | None, payload: bytes) -> bool:  # noqa: ARG002 (as above)
        members = self.members
        try:
            ack = _decode_ack(payload)
        except msgspec.MsgspecError:
            ack = _PubAck()
        if ack.error is not None:
            self.appender.batch_refused(members, ack.error.err_code)
        elif ack.count != len(members):
            self.fail(NoAnswerError(f"{self.subject}: the ack of a batch of {len(members)} counts {ack.count}"))
        else:
            self.appender.batch_ended(len(members))
            for seq, member in enumerate(members, ack.seq - ack.count + 1):
                member.settle(seq)
        return True

    def fail(self, error: BusError) -> None:
        if not isinstance(error, NoAnswerError):  # 503, denied: nothing happened, and it may be true of one member only
            self.appender.batch_refused(self.members, error.code)
            return
        self.appender.batch_ended(len(self.members), answered=False)
        for member in self.members:
            member.settle_failed(type(error)(f"{member.subject}: {error.message}"))


class Appender:
    """Appends to ONE stream over one link."""

    def __init__(self, link: Link, options: AppendOptions | None = None) -> None:
        self.link = link
        self._options = options or AppendOptions()
        self._atomic = self._options.atomic
        self._queue: deque[_Single] = deque()
        self._alone: deque[_Single] = deque()
        self._pace = Pace(self._options.batch_threshold)
        self._singles = 0
        self._ended = 0
        self._members_ended = 0
        self._batches = 0
        self._batched = 0
        self._batch_id = 0
        self._id_prefix = link.new_inbox().rpartition(".")[0][-24:] + f"-{id(self):x}-"
        self._pump_due = False
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._stop_listening = link.on_disconnect(self._fail_queued)

    def append(
        self, subject: str, payload: bytes, *, expected: int | None = None, headers: bytes | None = None
    ) -> asyncio.Future[int]:
        """Append; the future gives the stream sequence. `expected`: the last sequence on this subject (0: none yet).

        It raises RefusedError (10071: `expected` was not the last), NoAnswerError (may have happened or not),
        DisconnectedError (was not sent), PermissionDeniedError, BusError with the server's code and description:
        10077 stream full, 10054 too big, 503 no stream takes the subject. Cancelling the future takes nothing back.
        """
        if expected is not None:
            headers = b"Nats-Expected-Last-Subject-Sequence: %d\r\n%b" % (expected, headers or b"")
        single = _Single(self, subject, payload, headers)
        if not self.link.connected:
            single.settle_failed(DisconnectedError(f"{subject}: not connected to {self.link.options.url}"))
        else:
            self._queue.append(single)
            if len(self._queue) >= LARGE_BATCH and self._may_send():
                self._pump()  # the server begins with these while the next ones are made
            else:
                self._pump_soon()
        return single.future

    @property
    def backlog(self) -> int:
        """Appends without a verdict yet."""
        return len(self._queue) + len(self._alone) + self._singles + self._batched

    async def room(self, limit: int = 4000) -> None:
        """Wait until the backlog is under `limit`."""
        while self.backlog >= limit:
            waiter: asyncio.Future[None] = self.link.loop.create_future()
            self._waiters.append((limit, waiter))
            await waiter

    def flush(self) -> None:
        """Send what waits for its turn of the loop, as far as the windows allow."""
        self._pump()

    def close(self) -> None:
        """Fail what was not sent (DisconnectedError); what is under way still gets its verdict. Idempotent."""
        self._stop_listening()
        self._fail_queued()

    def single_ended(self, *, answered: bool = True) -> None:
        """Take note that a single has its verdict."""
        self._singles -= 1
        if answered:
            self._ended += 1
        else:
            self._pace.interrupt()
        self._pump_soon()

    def batch_ended(self, count: int, *, answered: bool = True, stored: bool = True) -> None:
        """Take note that a batch has its verdict."""
        self._batches -= 1
        self._batched -= count
        if not answered:
            self._pace.interrupt()
        elif count < LARGE_BATCH:
            self._pace.skip_batches()
        elif stored:
            self._members_ended += count
        self._pump_soon()

    def batch_refused(self, members: list[_Single], code: int) -> None:
        """Nothing of a batch was stored: send its members again, each alone for a verdict of its own."""
        if code == _BATCH_DISABLED:
            self._atomic = False
        self.batch_ended(len(members), stored=False)
        self._alone.extend(members)

    def _may_send(self) -> bool:
        if self._atomic and len(self._queue) >= self._pace.threshold:
            return self._batches < self._options.batches_in_flight
        return self._singles < self._pace.window

    def _pump_soon(self) -> None:
        if not self._pump_due:
            self._pump_due = True
            self.link.loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._pump_due = False
        self._pump()

    def _pump(self) -> None:
        options = self._options
        self._pace.observe(
            monotonic(),
            singles=self._ended,
            members=self._members_ended,
            singles_in_flight=self._singles,
            batches_in_flight=self._batches,
        )
        self._ended = self._members_ended = 0
        while self._alone and self._singles < self._pace.window:
            self._send_single(self._alone.popleft())
        queue = self._queue
        while queue:
            if self._atomic and len(queue) >= self._pace.threshold:
                if self._batches >= options.batches_in_flight:
                    break  # meanwhile the next batch grows
                self._send_batch(self._take_members())
            elif self._singles < self._pace.window:
                self._send_single(queue.popleft())
            else:
                break
        self.link.client.flush_now()
        self._pace.begin(monotonic(), singles_in_flight=self._singles, batches_in_flight=self._batches)
        if self._waiters:
            self._release_waiters()

    def _send_single(self, single: _Single) -> None:
        self._singles += 1
        self.link.call(
            single,
            single.subject,
            single.payload,
            headers=single.headers,
            timeout_seconds=self._options.timeout_seconds,
        )

    def _take_members(self) -> list[_Single]:
        """As many from the queue as make a batch: each subject once (unless they may share one), so that no member
        follows another.
        """
        queue, size, shares = self._queue, 0, self._options.shares_subjects
        members: list[_Single] = []
        subjects: set[str] = set()
        while queue and len(members) < self._options.batch_size and size < _BATCH_BYTES:
            single = queue[0]
            if not shares:
                if single.subject in subjects:
                    break
                subjects.add(single.subject)
            size += len(single.payload)
            members.append(queue.popleft())
        return members

    def _send_batch(self, members: list[_Single]) -> None:
        if len(members) == 1:
            self._send_single(members[0])
            return
        self._batches += 1
        self._batched += len(members)
        self._batch_id += 1
        mark = f"Nats-Batch-Id: {self._id_prefix}{self._batch_id}\r\nNats-Batch-Sequence: ".encode()
        batch = _Batch(self, members)
        last = members[-1]
        limit = self.link.max_payload
        try:
            frames = [
                wire.build_member(
                    member.subject, mark, number, headers=member.headers, payload=member.payload, limit=limit
                )
                for number, member in enumerate(members[:-1], 1)
            ]
        except BusError as error:  # a subject or size that cannot be sent
            self.batch_refused(members, error.code)
            return
        self.link.client.write(b"".join(frames))
        self.link.call(
            batch,
            last.subject,
            last.payload,
            headers=b"%b%d\r\nNats-Batch-Commit: 1\r\n%b" % (mark, len(members), last.headers or b""),
            timeout_seconds=self._options.timeout_seconds,
        )

    def _fail_queued(self) -> None:
        self._pace.interrupt()
        queued = [*self._alone, *self._queue]
        self._alone.clear()
        self._queue.clear()
        for single in queued:
            single.settle_failed(DisconnectedError(f"{single.subject}: the connection broke before this was sent"))
        self._release_waiters()

    def _release_waiters(self) -> None:
        backlog = self.backlog
        kept = []
        for limit, waiter in self._waiters:
            if backlog >= limit:
                kept.append((limit, waiter))
            elif not waiter.done():
                waiter.set_result(None)
        self._waiters = kept
