"""Handlers that are plain functions, on threads of our own.

`run_in_executor` costs three times as much as a queue that the threads take from: each of its jobs wakes the loop by a
write to a socket. Here the threads put what they finished into one list, and only the first of a turn wakes the loop.

A thread cannot be killed. A handler that was told to stop and does not is abandoned: an exception is raised in its
thread (which ends what still runs Python code, an endless loop too), nobody waits for it any more, and another thread
takes its place. How many are abandoned and still alive is counted, for a worker that has too many had better be
replaced.
"""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import queue
import threading
from collections.abc import Callable
from typing import Any

IDLE_SECONDS = 30.0


class Abandoned(BaseException):
    """Nobody waits for this handler any more: it ran too long, or its job was cancelled."""


class ThreadWork:
    """One call on its way through a thread; `future` has what became of it."""

    __slots__ = ("abandoned", "context", "function", "future", "lock", "thread", "value")

    def __init__(self, function: Callable[[], Any], future: asyncio.Future[Any]) -> None:
        self.function = function
        self.future = future
        self.context = contextvars.copy_context()
        self.thread: int | None = None
        self.abandoned = False
        self.value: tuple[bool, Any] = (False, None)
        self.lock = threading.Lock()


class ThreadExecutor:
    """Threads that start when they are needed and end when they were idle for a while."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, limit: int) -> None:
        self._loop = loop
        self._limit = limit
        self._queue: queue.SimpleQueue[ThreadWork | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0
        """Threads that wait and that nobody has counted on yet."""
        self._backlog = 0
        """Calls in the queue for which there was no thread."""
        self._done: list[ThreadWork] = []
        self._closed = False
        self.abandoned = 0
        """Threads that were given up and have not ended yet."""

    def submit(self, function: Callable[[], Any]) -> ThreadWork:
        """Run `function` on a thread, in a copy of the current context."""
        work = ThreadWork(function, self._loop.create_future())
        self._queue.put(work)
        with self._lock:
            if self._idle:
                self._idle -= 1
                return work
            if self._threads >= self._limit:
                self._backlog += 1
                return work
            self._threads += 1
        threading.Thread(target=self._serve, name="jetmill-handler", daemon=True).start()
        return work

    def abandon(self, work: ThreadWork) -> None:
        """Stop waiting for `work`: raise in its thread, and let another thread take its place."""
        with work.lock:
            if work.abandoned or work.value[0]:
                return
            work.abandoned = True
            if work.thread is None:
                return  # not begun: the thread that takes it leaves it
            _raise_in(work.thread, Abandoned)
        with self._lock:
            self._threads -= 1
            self.abandoned += 1

    def close(self) -> None:
        """Let the threads end when their work does; nobody waits for one that hangs."""
        with self._lock:
            self._closed = True
            count = self._threads
        for _ in range(count):
            self._queue.put(None)

    def _serve(self) -> None:
        try:
            work = self._queue.get()
            while work is not None:
                if not self._run(work):
                    break
                work = self._take()
            else:
                with self._lock:
                    self._threads -= 1
                return
        except Abandoned:
            pass  # raised late, when the handler had just ended: this thread was written off all the same
        with self._lock:
            self.abandoned -= 1

    def _take(self) -> ThreadWork | None:
        """The next call; None: this thread is not needed any more."""
        with self._lock:
            if self._backlog:
                self._backlog -= 1
            else:
                self._idle += 1
        while True:
            try:
                return self._queue.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                with self._lock:
                    if self._idle:
                        self._idle -= 1
                        return None

    def _run(self, work: ThreadWork) -> bool:
        """Run one call; False: this thread was abandoned meanwhile."""
        with work.lock:
            if work.abandoned:
                return True
            work.thread = threading.get_ident()
        value: Any
        try:
            value = work.context.run(work.function)
        except BaseException as err:  # noqa: BLE001 - the edge: whatever a handler raises (SystemExit too) is its outcome
            value = err
            failed = True
        else:
            failed = False
        with work.lock:
            if self._is_abandoned(work):
                return False
            work.value = (True, (failed, value))
        self._finish(work)
        return True

    @staticmethod
    def _is_abandoned(work: ThreadWork) -> bool:
        return work.abandoned  # by the loop, while the handler ran

    def _finish(self, work: ThreadWork) -> None:
        with self._lock:
            self._done.append(work)
            wake = len(self._done) == 1
        if wake:
            try:
                self._loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:
                self._done.clear()  # the loop is closed: nobody waits

    def _deliver(self) -> None:
        with self._lock:
            done, self._done = self._done, []
        for work in done:
            if work.future.done():
                continue
            failed, value = work.value[1]
            if failed:
                work.future.set_exception(_carry(value))
            else:
                work.future.set_result(value)


class RaisedError(Exception):
    """Carries what a future cannot: StopIteration, and the exceptions that would end the loop."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(repr(type(error)))
        self.error = error


def _carry(error: BaseException) -> BaseException:
    if isinstance(error, Exception) and not isinstance(error, (StopIteration, asyncio.CancelledError)):
        return error
    return RaisedError(error)


def _raise_in(thread: int, error: type[BaseException]) -> None:
    """Raise in another thread at its next bytecode; it does nothing for one that waits in C code."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))
