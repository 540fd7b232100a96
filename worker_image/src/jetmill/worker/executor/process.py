"""CPU-bound handlers, in child processes that can be killed for real.

A child is a fresh interpreter (no fork: threads and connections would come along), in a session of its own, at the
other end of a socket. It runs one attempt at a time. Told to stop, it is killed with all that it started, and the next
attempt gets another. A child that dies by itself (`os._exit`, a signal, out of memory) fails its attempt, never the
worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import struct
import sys
from typing import Any

import msgspec

from jetmill.errors import JetmillError
from jetmill.worker.context import Host, JobFacts
from jetmill.worker.discovery import main_path
from jetmill.worker.executor.frame import (
    LENGTH,
    Ask,
    Done,
    FromChild,
    Noted,
    Raised,
    Reply,
    Setup,
    ToChild,
    Work,
    decode_from_child,
    pack,
)
from jetmill.worker.outcome import Failure, FailureError, build_plain_error


class Child:
    """One child process; `kill` at any time."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.process = process
        self.reader = reader
        self.writer = writer
        self.gone = False

    def kill(self) -> None:
        """Kill it and all that it started; idempotent."""
        self.gone = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def send(self, message: ToChild) -> None:
        """Write a message; to one that died nothing happens."""
        if not self.writer.is_closing():
            self.writer.write(pack(message))

    async def receive(self) -> FromChild | None:
        """The next message; None if the child is gone."""
        try:
            (length,) = LENGTH.unpack(await self.reader.readexactly(LENGTH.size))
            message: FromChild = decode_from_child(await self.reader.readexactly(length))
        except (asyncio.IncompleteReadError, OSError, struct.error, msgspec.MsgspecError):
            return None
        else:
            return message

    async def end(self) -> int:
        """Make sure that it is gone; its exit code."""
        self.kill()
        self.writer.close()
        return await self.process.wait()


class ProcessRun:
    """One attempt on its way through a child."""

    __slots__ = ("child", "stopped")

    def __init__(self) -> None:
        self.child: Child | None = None
        self.stopped = False

    def kill(self) -> None:
        """Stop it for real."""
        self.stopped = True
        if self.child is not None:
            self.child.kill()


class ProcessExecutor:
    """Children that start when they are needed, at most `limit`, and are kept for the next attempt."""

    def __init__(self, host: Host, *, limit: int, result_max_bytes: int) -> None:
        self._host = host
        self._limit = asyncio.Semaphore(limit)
        self._setup = Setup(sys_path=list(sys.path), main_path=main_path(), result_max_bytes=result_max_bytes)
        self._idle: list[Child] = []
        self._all: set[Child] = set()
        self._closed = False

    async def execute(self, work: Work, run: ProcessRun) -> bytes | None:
        """Run one attempt; FailureError if it did not end well or its process died."""
        async with self._limit:
            child = run.child = await self._take()
            try:
                if run.stopped:
                    child.kill()
                child.send(work)
                return await self._converse(child, work.facts)
            except FailureError:
                raise
            except BaseException:
                child.kill()  # nobody waits for its answer any more
                raise
            finally:
                await self._put_back(child)

    async def close(self) -> None:
        """Kill what is left."""
        self._closed = True
        self._idle.clear()
        for child in list(self._all):
            self._all.discard(child)
            await child.end()

    async def _converse(self, child: Child, facts: JobFacts) -> bytes | None:
        while (message := await child.receive()) is not None:
            match message:
                case Done(result):
                    return result
                case Raised(failure):
                    raise FailureError(failure)
                case Noted(kind, data):
                    self._host.trace(facts, kind, data)
                case Ask():
                    child.send(await self._answer(message, facts))
        child.gone = True
        code = await child.end()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise FailureError(Failure(build_plain_error("WorkerProcessError", f"the process that ran the handler {how}")))

    async def _answer(self, ask: Ask, facts: JobFacts) -> Reply:
        try:
            data: Any = msgspec.json.decode(ask.data)
            if ask.verb == "publish":
                return Reply(await self._host.publish(facts, ask.name, data))
            return Reply(await self._host.enqueue(facts, ask.name, data["payload"], data["options"]))
        except JetmillError as err:
            return Reply("", error=str(err))

    async def _take(self) -> Child:
        while self._idle:
            child = self._idle.pop()
            if not child.gone and child.process.returncode is None:
                return child
            self._all.discard(child)
            await child.end()
        child = await _spawn(self._setup)
        self._all.add(child)
        return child

    async def _put_back(self, child: Child) -> None:
        if child.gone or self._closed:
            self._all.discard(child)
            await child.end()
        else:
            self._idle.append(child)


async def _spawn(setup: Setup) -> Child:
    ours, theirs = socket.socketpair()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "jetmill.worker.executor.child",
            str(theirs.fileno()),
            str(os.getpid()),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    child = Child(process, reader, writer)
    child.send(setup)
    return child
