"""`command:` Jobs: a program per attempt.

The payload is its standard input, its standard output the result: JSON if it reads as JSON, else a text; empty is no
result. It runs in a session of its own, so that stopping it (timeout, cancel, the worker's end) kills whatever it
started as well.

Exit codes: 0 succeeded · 65 (EX_DATAERR) failed for good, trying again is useless · any other, 75 (EX_TEMPFAIL)
among them, failed: tried again as the retry policy says. The end of standard error is the error's traceback.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence

from jetmill.protocol.state import Reason
from jetmill.worker.outcome import TRACEBACK_BYTES, Failure, FailureError, build_plain_error, invalid_result

EX_DATAERR = 65
_CHUNK = 65_536


class CommandRun:
    """One program; `execute` once, `kill` at any time."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], result_max_bytes: int) -> None:
        self._command = command
        self._env = env
        self._max_bytes = result_max_bytes
        self._process: asyncio.subprocess.Process | None = None
        self._killed = False

    async def execute(self, payload: bytes) -> bytes:
        """Run to its end and return what it wrote; raise FailureError for an exit code that is not 0."""
        self._process = process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **self._env},
            start_new_session=True,
        )
        if self._killed:
            self.kill()
        try:
            output, errors, _ = await asyncio.gather(
                self._read_result(process), _read_tail(process), _feed(process, payload)
            )
            code = await process.wait()
        finally:
            self.kill()  # what it left behind in its session, too
        if code != 0:
            raise FailureError(_describe(self._command[0], code, errors))
        if output is None:
            raise FailureError(invalid_result(f"the program wrote more than {self._max_bytes} bytes"))
        return output

    def kill(self) -> None:
        """Kill the program and all that it started; idempotent."""
        self._killed = True
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _read_result(self, process: asyncio.subprocess.Process) -> bytes | None:
        """Standard output, or None if it was too much: the rest is read and dropped, so that the program can end."""
        assert process.stdout is not None
        parts: list[bytes] = []
        size = 0
        while chunk := await process.stdout.read(_CHUNK):
            size += len(chunk)
            if size <= self._max_bytes:
                parts.append(chunk)
            else:
                parts.clear()
        return b"".join(parts) if size <= self._max_bytes else None


async def _read_tail(process: asyncio.subprocess.Process) -> bytes:
    assert process.stderr is not None
    tail = b""
    while chunk := await process.stderr.read(_CHUNK):
        tail = (tail + chunk)[-TRACEBACK_BYTES:]
    return tail


async def _feed(process: asyncio.subprocess.Process, payload: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it need not read its input
        process.stdin.write(payload)
        await process.stdin.drain()
    process.stdin.close()


def _describe(program: str, code: int, errors: bytes) -> Failure:
    text = errors.decode(errors="replace")
    how = f"was killed by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
    last = text.strip().rpartition("\n")[2][:500]
    error = build_plain_error("CommandError", f"{program} {how}" + (f": {last}" if last else ""), traceback=text)
    final = code == EX_DATAERR
    return Failure(error, final=final, reason=Reason.NON_RETRYABLE if final else None)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
