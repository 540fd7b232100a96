"""Selections by filter, acted on in the background: begun, looked after, and told of by every gateway.

```
 begin ─▶ running ── all acted on ─▶ done            what each job allows is asked of its own record, one by one
             ├── told to stop ─────▶ cancelled       by whichever gateway was asked
             ├── the gateway ends ─▶ interrupted     and says how far it came; one that was killed is found silent
             └── NATS stays away ──▶ failed
```

What is known of the last operations of a namespace is one note in NATS, written about once a second while one runs:
so every gateway can tell of each, and one that was asked to stop another's leaves it word there.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
import structlog

from jetmill.bus.ports import Bus
from jetmill.client.status import time_of
from jetmill.errors import BusError, InputError, JetmillError, JobStateError, NotFoundError, RefusedError
from jetmill.ledger.cancel import cancel
from jetmill.ledger.reopen import discard, reschedule, retry
from jetmill.protocol.identity import make_id
from jetmill.protocol.record import Entry
from jetmill.protocol.state import FINAL, OPEN, State

Action = Literal["cancel", "retry", "discard", "reschedule"]
Phase = Literal["running", "done", "cancelled", "interrupted", "failed"]
STATES: dict[Action, frozenset[State]] = {
    "cancel": OPEN - {State.CANCELLING},
    "retry": FINAL - {State.DISCARDED},
    "discard": frozenset({State.FAILED}),
    "reschedule": frozenset({State.SCHEDULED}),
}
"""In which states a job can be acted on."""
MEANT = STATES | {"retry": frozenset({State.FAILED, State.CANCELLED, State.SKIPPED})}
"""Those that are meant where no state is named: nobody runs again by accident what ended well."""
MAX_JOBS = 100_000
MAX_RUNNING = 4
"""At once, of one gateway and namespace."""
KEPT = 50
"""The last operations of a namespace, which are told of."""
KEY = "operations"
MAX_FAULTS = 5
_AT_ONCE = 32
_WRITE_SECONDS = 1.0
_SILENT_MICROS = 15_000_000
"""An operation of which nothing was heard for so long is not running any more."""
_PATIENCE_SECONDS = 30.0
_RETRY_SECONDS = 0.5
log = structlog.get_logger(__name__)


class Mishap(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A job that could not be acted on."""

    id: str
    detail: str


class Operation(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """One operation, as the note keeps it."""

    id: str
    action: Action
    by: str
    filter: dict[str, Any] = {}
    """As it was asked for."""
    state: Phase = "running"
    total: int
    done: int = 0
    """Jobs that were come to."""
    changed: int = 0
    skipped: int = 0
    """Those whose state did not allow it any more."""
    failed: int = 0
    faults: list[Mishap] = []
    """The first of those that failed."""
    begun: int
    """µs."""
    heard: int
    """µs: when it was last written."""
    ended: int | None = None
    stopping: bool = False
    """Somebody asked for its end."""
    why: str = ""
    """Why it ended before all was done."""

    @property
    def times(self) -> tuple[datetime, datetime | None]:
        """Begin and end."""
        return time_of(self.begun), None if self.ended is None else time_of(self.ended)


_Notes = msgspec.json.Decoder(list[Operation])


class FullError(JetmillError):
    """As many run as may."""

    retryable = True


class Operations:
    """Those of one namespace, as one gateway sees and runs them."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def all(self) -> list[Operation]:
        """The last ones, the newest first."""
        found, _ = await self._read()
        now = self._bus.link.now()
        return [_look(one, now) for one in reversed(found)]

    async def find(self, name: str) -> Operation | None:
        """One of the last."""
        return next((one for one in await self.all() if one.id == name), None)

    async def begin(
        self, action: Action, ids: Sequence[str], *, by: str, described: dict[str, Any], due: int | None = None
    ) -> Operation:
        """Begin to act on jobs; FullError."""
        if len(self._tasks) >= MAX_RUNNING:
            raise FullError(f"{MAX_RUNNING} operations run here already", cure="wait for one to end")
        now = self._bus.link.now()
        one = Operation(
            id=make_id(now // 1_000, random.getrandbits(80)),
            action=action,
            by=by,
            filter=described,
            total=len(ids),
            begun=now,
            heard=now,
        )
        await self._write(one)
        task = self._tasks[one.id] = asyncio.create_task(self._run(one, list(ids), due))
        task.add_done_callback(lambda _: self._tasks.pop(one.id, None))
        return one

    async def stop(self, name: str) -> Operation | None:
        """Ask for an operation's end, whichever gateway runs it; idempotent."""
        while True:
            found, seq = await self._read()
            one = next((each for each in found if each.id == name), None)
            if one is None or one.state != "running":
                return one
            one.stopping = True
            try:
                await self._bus.notes.write(KEY, msgspec.json.encode(found), expected=seq)
            except RefusedError:
                continue
            return _look(one, self._bus.link.now())

    async def close(self) -> None:
        """Interrupt what runs here, and note it."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, one: Operation, ids: list[str], due: int | None) -> None:
        act = _make_act(self._bus, one.action, by=one.by, due=due)
        written = asyncio.get_running_loop().time()
        try:
            for start in range(0, len(ids), _AT_ONCE):
                part = ids[start : start + _AT_ONCE]
                errors = await asyncio.gather(*(_try(act, job_id) for job_id in part))
                for job_id, error in zip(part, errors, strict=True):
                    _count(one, job_id, error)
                now = asyncio.get_running_loop().time()
                if now - written >= _WRITE_SECONDS:
                    written = now
                    await self._write(one)
                if one.stopping:
                    self._end(one, "cancelled", "somebody asked for it")
                    break
            else:
                self._end(one, "done", "")
        except asyncio.CancelledError:
            self._end(one, "interrupted", "the gateway that ran it ended")
        except BusError as err:
            self._end(one, "failed", f"NATS: {err.message}")
        except Exception as err:
            log.error("operation_broke", operation=one.id, exc_info=err)
            self._end(one, "failed", "a defect; the log has it")
        await self._note_end(one)

    def _end(self, one: Operation, state: Phase, why: str) -> None:
        one.state, one.why, one.ended = state, why, self._bus.link.now()

    async def _note_end(self, one: Operation) -> None:
        log.info(
            "operation_ended",
            operation=one.id,
            namespace=self._bus.subjects.namespace,
            user=one.by,
            action=one.action,
            state=one.state,
            total=one.total,
            changed=one.changed,
            skipped=one.skipped,
            failed=one.failed,
        )
        try:
            await self._write(one)
        except BusError as err:  # it will be found silent
            log.warning("operation_not_noted", operation=one.id, error=str(err))

    async def _read(self) -> tuple[list[Operation], int]:
        try:
            note = await self._bus.notes.read(KEY)
        except NotFoundError:  # the namespace has nothing yet
            return [], 0
        if note is None:
            return [], 0
        try:
            return _Notes.decode(note.data), note.seq
        except (msgspec.MsgspecError, UnicodeError) as err:
            log.warning("operations_not_readable", error=str(err))
            return [], note.seq

    async def _write(self, one: Operation) -> None:
        """Write what is known of an operation, and hear whether it is to stop. BusError."""
        one.heard = self._bus.link.now()
        while True:
            found, seq = await self._read()
            before = next((each for each in found if each.id == one.id), None)
            one.stopping = one.stopping or (before is not None and before.stopping)
            rest = [one if each.id == one.id else each for each in found]
            rest = rest if before is not None else [*rest, one]
            try:
                await self._bus.notes.write(KEY, msgspec.json.encode(rest[-KEPT:]), expected=seq)
            except RefusedError:
                continue  # another operation was noted
            return


def _look(one: Operation, now: int) -> Operation:
    """An operation as it is: one that says nothing any more was interrupted."""
    if one.state == "running" and now - one.heard > _SILENT_MICROS:
        return msgspec.structs.replace(
            one, state="interrupted", ended=one.heard, why="the gateway that ran it was heard no more"
        )
    return one


Act = Callable[[str], Awaitable[Entry]]


def _make_act(bus: Bus, action: Action, *, by: str, due: int | None) -> Act:
    async def start(job_id: str) -> Entry:
        entry = await retry(bus, job_id, by=by)
        bus.signals.wake(entry.record.job)
        return entry

    async def stop(job_id: str) -> Entry:
        entry = await cancel(bus, job_id, by=by)
        if entry.record.state not in (State.CANCELLED, State.CANCELLING):
            raise JobStateError(f"job {job_id} ended first")
        return entry

    match action:
        case "cancel":
            return stop
        case "retry":
            return start
        case "discard":
            return lambda job_id: discard(bus, job_id, by=by)
        case "reschedule":
            if due is None:
                raise InputError("reschedule wants at or delaySeconds", field="at", cure="give one of them")
            return lambda job_id: reschedule(bus, job_id, due=due, by=by)


async def _try(act: Act, job_id: str) -> JetmillError | None:
    """Act on one job; give why it was not possible. BusError if NATS stays away."""
    loop = asyncio.get_running_loop()
    end = loop.time() + _PATIENCE_SECONDS
    while True:
        try:
            await act(job_id)
        except (JobStateError, InputError, NotFoundError) as err:
            return err
        except BusError as err:
            if not err.retryable:
                return err
            if loop.time() > end:
                raise
            await asyncio.sleep(_RETRY_SECONDS)
        except JetmillError as err:
            return err
        else:
            return None


def _count(one: Operation, job_id: str, error: JetmillError | None) -> None:
    one.done += 1
    if error is None:
        one.changed += 1
    elif isinstance(error, JobStateError):
        one.skipped += 1
    else:
        one.failed += 1
        if len(one.faults) < MAX_FAULTS:
            one.faults.append(Mishap(id=job_id, detail=error.message[:200]))
