"""A TCP proxy between one worker and nats-server that knows where each of the worker's jobs is.

It splits both directions into frames, and can be armed with a trap: at the first frame of a phase the worker gets
SIGKILL, with that frame withheld (`before`) or passed on and its answer withheld (`after`). So the narrow windows of
the protocol are hit for certain, without a hook in the product. From then on nothing passes any more: what a dying
process still writes in its last microseconds never reaches the server. `cut` only closes all connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

_SIZED = (b"PUB ", b"HPUB ", b"MSG ", b"HMSG ")
_STATE = re.compile(rb'"state":"(\w+)"')
_CHUNK = 1 << 16


class Phase(StrEnum):
    """Where in a job's life the fault strikes."""

    ENQUEUED = "enqueued, before its hint"
    DELIVERED = "delivered, before the claim"
    CLAIM_UNSENT = "claim not arrived"
    CLAIM_SENT = "claim sent, before its answer"
    RUNNING = "running"
    CANCELLING = "cancelling, before the push"
    OUTCOME_UNSENT = "outcome not arrived"
    OUTCOME_SENT = "outcome sent, before its answer"
    ACK = "between append and ack"
    RETRYING = "retrying, before its delayed hint"
    DELAYED = "delayed hint put, before the ack"
    TAKEOVER = "takeover sent, before its answer"
    LATE = "late outcome of a stopped worker"
    SERVER = "nats-server killed"
    CUT = "connection cut"
    RANDOM = "random moment"


@dataclass(frozen=True, slots=True)
class Frame:
    """One protocol message, loosely read."""

    raw: bytes
    verb: bytes
    subject: str
    reply: str
    upward: bool
    """From the worker to the server."""

    @property
    def kind(self) -> str:
        """What the subject is of: `job`, `q`, `at`, `cancel`; `ack` for an answer to a delivery; else empty."""
        if self.subject.startswith("$JS.ACK."):
            return "ack"
        tokens = self.subject.split(".")
        return tokens[2] if len(tokens) > 3 and tokens[0] == "jm" else ""

    @property
    def id(self) -> str:
        """The job that a `job`, `q`, `at` or `cancel` is of."""
        return self.subject.rpartition(".")[2]

    @property
    def state(self) -> str:
        """Of the record in it."""
        found = _STATE.search(self.raw)
        return found[1].decode() if found else ""

    @property
    def ends_batch(self) -> bool:
        """It is no member of an atomic batch, or the last one."""
        return b"Nats-Batch-Id" not in self.raw or b"Nats-Batch-Commit" in self.raw


@dataclass(frozen=True, slots=True)
class Trap:
    """The frame at which the worker dies."""

    fits: Callable[[Frame], bool]
    after: bool
    """The frame still reaches the server."""


def _appends(state: str) -> Callable[[Frame], bool]:
    return lambda frame: frame.upward and frame.kind == "job" and frame.state == state


def _is_takeover(frame: Frame) -> bool:
    return _appends("running")(frame) and b'"crashes":' in frame.raw


TRAPS = {
    Phase.ENQUEUED: Trap(lambda frame: frame.upward and frame.kind == "q", after=False),
    Phase.DELIVERED: Trap(lambda frame: not frame.upward and frame.kind == "q", after=False),
    Phase.CLAIM_UNSENT: Trap(_appends("running"), after=False),
    Phase.CLAIM_SENT: Trap(_appends("running"), after=True),
    Phase.CANCELLING: Trap(lambda frame: not frame.upward and frame.kind == "cancel", after=False),
    Phase.OUTCOME_UNSENT: Trap(_appends("succeeded"), after=False),
    Phase.OUTCOME_SENT: Trap(_appends("succeeded"), after=True),
    Phase.ACK: Trap(lambda frame: frame.upward and frame.kind == "ack" and b"+ACK" in frame.raw, after=False),
    Phase.RETRYING: Trap(lambda frame: frame.upward and frame.kind == "at", after=False),
    Phase.DELAYED: Trap(lambda frame: frame.upward and frame.kind == "at", after=True),
    Phase.TAKEOVER: Trap(_is_takeover, after=True),
}


class Proxy:
    """Listens on a port of loopback; every connection goes on to the server."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._trap: Trap | None = None
        self._firing = False
        self._pid = 0
        self._jobs_by_reply: dict[str, str] = {}
        self._where: dict[str, Phase] = {}
        self.records: Counter[tuple[str, str]] = Counter()
        """How often the worker sent a record: by id and state."""
        self.hit = asyncio.Event()
        """The trap has struck."""
        self.dead = False

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    @property
    def url(self) -> str:
        """Where the worker connects to."""
        assert self._server is not None
        return f"nats://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def arm(self, phase: Phase, pid: int) -> None:
        """Kill `pid` at the next frame of the phase."""
        self._trap, self._pid = TRAPS[phase], pid

    def phases(self) -> list[Phase]:
        """Where the jobs in the worker's hands are now."""
        return list(self._where.values())

    def cut(self) -> int:
        """Close all connections; how many there were."""
        count = len(self._writers) // 2
        for writer in list(self._writers):
            writer.transport.abort()
        return count

    async def close(self) -> None:
        """End; idempotent."""
        if self._server is not None:
            self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            writer.transport.abort()
        else:
            self._writers.add(up_writer)
            await asyncio.gather(
                self._pump(reader, up_writer, upward=True), self._pump(up_reader, writer, upward=False)
            )
            self._writers.discard(up_writer)
        self._writers.discard(writer)
        self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, upward: bool) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                frames, rest = split(rest + data, upward=upward)
                writer.write(b"".join(frame.raw for frame in self._pass(frames)))
                await writer.drain()
        if not writer.transport.is_closing():
            writer.close()

    def _pass(self, frames: list[Frame]) -> Iterator[Frame]:
        """The frames that go on."""
        for frame in frames:
            if self.dead:
                return
            self._note(frame)
            trap = self._trap
            if trap is None or not (self._firing or trap.fits(frame)):
                yield frame
            elif not trap.after:
                self._kill()
            else:
                yield frame
                self._firing = frame.upward and not frame.ends_batch
                if not self._firing:
                    self._kill()

    def _kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        self.dead = True
        self.hit.set()

    def _note(self, frame: Frame) -> None:
        """Follow where each job in hand is."""
        kind = frame.kind
        if kind == "q" and not frame.upward:
            self._jobs_by_reply[frame.reply] = frame.id
            self._where[frame.id] = Phase.DELIVERED
        elif kind == "job" and frame.upward:
            state = frame.state
            self.records[frame.id, state] += 1
            if state == "running":
                self._where[frame.id] = Phase.RUNNING
            elif state == "retrying":
                self._where[frame.id] = Phase.RETRYING
            elif state:
                self._where[frame.id] = Phase.OUTCOME_SENT
        elif kind == "at" and frame.upward:
            self._where[frame.id] = Phase.DELAYED
        elif kind == "ack" and (b"+ACK" in frame.raw or b"-NAK" in frame.raw):
            self._where.pop(self._jobs_by_reply.pop(frame.subject, ""), None)


def split(data: bytes, *, upward: bool) -> tuple[list[Frame], bytes]:
    """The whole frames in `data`, and what is left."""
    frames: list[Frame] = []
    at = 0
    while (end := data.find(b"\r\n", at)) >= 0:
        line = data[at:end]
        stop = end + 2
        tokens = line.split()
        sized = line.startswith(_SIZED)
        if sized:
            stop += int(tokens[-1]) + 2
            if stop > len(data):
                break
        frames.append(_read_frame(data[at:stop], tokens if sized else [], upward=upward))
        at = stop
    return frames, data[at:]


def _read_frame(raw: bytes, tokens: list[bytes], *, upward: bool) -> Frame:
    if not tokens:
        return Frame(raw, b"", "", "", upward)
    head = 2 if upward else 3  # MSG has a subscription id before the reply
    sizes = 2 if tokens[0].startswith(b"H") else 1
    reply = tokens[head].decode() if len(tokens) > head + sizes else ""
    return Frame(raw, tokens[0], tokens[1].decode(), reply, upward)
