"""The child process of `process`: `python -m jetmill.worker.executor.child FD PARENT`.

It reads one piece of work after the other from the socket, runs the handler in its main thread and writes what became
of it. It dies with its parent: by the closed socket when it is idle, by a signal from the kernel while it is at work.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import ModuleType
from typing import Any

import msgspec

from jetmill.client.declaration import JobHandler
from jetmill.errors import InvalidPayloadError, JetmillError
from jetmill.worker.context import JobContext, JobFacts, current
from jetmill.worker.discovery import load_handler, load_main
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
    decode_to_child,
    pack,
)
from jetmill.worker.outcome import describe_failure, invalid_payload
from jetmill.worker.resource import Resources
from jetmill.worker.result import encode_result

_PR_SET_PDEATHSIG = 1


class Channel:
    """The socket to the worker; a Host for the contexts of this process."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rwb")
        self._lock = threading.Lock()

    def receive(self) -> ToChild | None:
        """The next message; None if the worker is gone."""
        head = self._file.read(LENGTH.size)
        if len(head) < LENGTH.size:
            return None
        (length,) = LENGTH.unpack(head)
        data = self._file.read(length)
        return decode_to_child(data) if len(data) == length else None

    def send(self, message: FromChild) -> None:
        """Write a message, from any thread."""
        with self._lock:
            self._file.write(pack(message))
            self._file.flush()

    def trace(self, facts: JobFacts, kind: str, data: bytes) -> None:  # noqa: ARG002 - one attempt at a time
        """Note a progress report or a log line."""
        self.send(Noted(kind, data))

    async def enqueue(self, facts: JobFacts, job: Any, payload: Mapping[str, Any], options: Mapping[str, Any]) -> str:
        """Ask the worker to enqueue; blocks this process, which does nothing else."""
        name = job.name if isinstance(job, JobHandler) else str(job)
        data = msgspec.json.encode({"payload": payload, "options": options}, enc_hook=str)
        return self._ask(facts, Ask("enqueue", name, data))

    async def publish(self, facts: JobFacts, event_type: str, data: Any) -> str:
        """Ask the worker to publish."""
        return self._ask(facts, Ask("publish", event_type, msgspec.json.encode(data, enc_hook=str)))

    def wait_for(self, coroutine: Any) -> Any:
        """Run a coroutine that never waits."""
        try:
            coroutine.send(None)
        except StopIteration as end:
            return end.value
        raise RuntimeError("a call to the worker never waits")

    def _ask(self, facts: JobFacts, ask: Ask) -> str:  # noqa: ARG002 - as above
        self.send(ask)
        reply = self.receive()
        if not isinstance(reply, Reply):
            raise SystemExit(1)  # the worker is gone
        if reply.error is not None:
            raise JetmillError(reply.error)
        return reply.value


class ChildLoop:
    """What a child does, one attempt after the other."""

    def __init__(self, channel: Channel, setup: Setup, runner: asyncio.Runner) -> None:
        self._channel = channel
        self._runner = runner
        self._max_bytes = setup.result_max_bytes
        self._resources = Resources()
        self._main_path = setup.main_path
        self._main: ModuleType | None = None
        self._handlers: dict[str, JobHandler[..., Any]] = {}

    def serve(self) -> None:
        """Until the worker is gone."""
        while (message := self._channel.receive()) is not None:
            if isinstance(message, Work):
                self._channel.send(self._perform(message))
        with contextlib.suppress(Exception):  # nobody is left to tell
            self._runner.run(self._resources.close())

    def _perform(self, work: Work) -> Done | Raised:
        handler: JobHandler[..., Any] | None = None
        try:
            handler = self._find(work)
            return Done(encode_result(self._call(handler, work), max_bytes=self._max_bytes))
        except BaseException as err:  # noqa: BLE001 - the edge: whatever a handler raises is its outcome
            if isinstance(err, _Misfit):
                return Raised(invalid_payload(err.error))
            declared = handler.declared if handler else None
            return Raised(
                describe_failure(
                    err,
                    retry_on=declared.retry_on if declared else (),
                    discard_on=declared.discard_on if declared else (),
                )
            )

    def _find(self, work: Work) -> JobHandler[..., Any]:
        handler = self._handlers.get(work.origin)
        if handler is None:
            if work.origin.startswith("__main__:") and self._main is None and self._main_path is not None:
                self._main = load_main(self._main_path)
            handler = self._handlers[work.origin] = load_handler(work.origin, job=work.facts.job, main=self._main)
        return handler

    def _call(self, handler: JobHandler[..., Any], work: Work) -> Any:
        try:
            arguments = handler.binding.decode(work.payload)
        except InvalidPayloadError as err:
            raise _Misfit(err) from err
        context = JobContext(work.facts, self._channel)
        token = current.set(context)
        stack = AsyncExitStack()
        try:
            if handler.binding.injections:
                arguments |= self._runner.run(self._resources.fill(handler.binding.injections, context, stack))
            value = handler.function(**arguments)
            return self._runner.run(_finish(value)) if asyncio.iscoroutine(value) else value
        finally:
            if handler.binding.injections:
                self._runner.run(stack.aclose())
            current.reset(token)


class _Misfit(Exception):  # noqa: N818 - never leaves this module
    """The payload does not fit, as opposed to the same error raised by the handler."""

    def __init__(self, error: InvalidPayloadError) -> None:
        super().__init__(str(error))
        self.error = error


async def _finish(coroutine: Any) -> Any:
    return await coroutine


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies (Linux; elsewhere the closed socket has to do)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(0)


def main(arguments: list[str]) -> None:
    """Serve the socket of that number."""
    die_with_parent(int(arguments[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker to answer
    connection = socket.socket(fileno=int(arguments[0]))
    channel = Channel(connection)
    setup = channel.receive()
    if not isinstance(setup, Setup):
        return
    sys.path[:] = setup.sys_path
    with asyncio.Runner() as runner:
        ChildLoop(channel, setup, runner).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
