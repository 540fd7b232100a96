"""From the ledger to the bus: each record becomes an event (`job.succeeded`), at least once, always with one id.

```
 note {seq} ─▶ follow the ledger behind it ─▶ publish ─▶ all stored? ─▶ note moves ─▶ …
      ▲                                          └─ no: end; begun again from the note, with the same ids
      └── another publisher moved it: go on behind what it did
```

Nothing is lost, for the note moves only behind what the server has stored. What is published twice (a publisher died
before its note, or two are in step) has one id: within two minutes the server keeps one of them, later whoever gets
both can tell. So any number may run, without a leader.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import aclosing

import msgspec
import structlog

from jetmill.bus.ports import Bus, Note
from jetmill.errors import BusError, CodecError, InputError, RefusedError
from jetmill.protocol.event import Event, encode_event
from jetmill.protocol.record import Call, Entry
from jetmill.protocol.transition import build_transition_event, is_published

NOTE = "transitions"
SAVE_SECONDS = 1.0
"""How often, at most, it is written how far one has come; what lies behind is published again after a crash."""
CHECK_SECONDS = 30.0
"""How often, while nothing happens, it is made sure that the ledger is the same."""
CALLS = 100_000
"""Open jobs of which is remembered what their callers asked for; others are read when they are needed."""

log = structlog.get_logger("jetmill.dispatcher")


class _Position(msgspec.Struct, frozen=True):
    seq: int = 0


class TransitionPublisher:
    """Publishes the transitions of one namespace's jobs until cancelled. BusError: begin it again."""

    def __init__(self, bus: Bus, *, save_seconds: float = SAVE_SECONDS, check_seconds: float = CHECK_SECONDS) -> None:
        self._bus = bus
        self._save_seconds = save_seconds
        self._check_seconds = check_seconds
        self._calls: OrderedDict[str, Call | None] = OrderedDict()
        self._seq = 0
        self._saved = 0
        self._note_seq = 0
        self._looked = 0.0
        self._checked = 0.0
        self.published = 0
        """Events that the server has taken since this one began, those that it had already included."""

    def counts(self) -> Mapping[str, int]:
        """For Prometheus."""
        return {"transitions_published": self.published}

    async def run(self) -> None:
        """Go on until cancelled; then what is stored is noted."""
        await self._begin()
        try:
            while True:
                await self._follow()
        finally:
            with contextlib.suppress(BusError):
                await self._save()

    async def _begin(self) -> None:
        self._seq = self._saved = self._take_note(await self._bus.notes.read(NOTE))
        last = await self._bus.ledger.last_seq()
        if last < self._seq:  # another ledger than before: it was made anew, or restored from a backup
            log.warning("ledger_began_anew", namespace=self._bus.subjects.namespace, noted=self._seq, last=last)
            await self._write(0)
            self._seq = 0

    async def _follow(self) -> None:
        """Publish record after record; returns after one that cannot be read, to go on behind it."""
        async with aclosing(self._bus.ledger.follow(start=self._seq + 1)) as lists:  # type: ignore[type-var]
            coming: asyncio.Future[list[Entry]] | None = None
            try:
                while True:
                    coming = coming or asyncio.ensure_future(anext(lists))
                    done, _ = await asyncio.wait((coming,), timeout=self._save_seconds)
                    if done:
                        entries, coming = coming.result(), None
                        await self._publish(entries)
                    if not done or self._is_save_due():
                        await self._save()
                    if not done:
                        await self._check_ledger()
            except CodecError as err:
                log.error("record_unreadable", seq=err.seq, error=str(err))
                self._seq = max(self._seq, err.seq)
            except StopAsyncIteration as err:
                raise BusError("the ledger was followed to an end: the connection was closed") from err
            finally:
                if coming is not None:
                    coming.cancel()
                    await asyncio.gather(coming, return_exceptions=True)

    async def _publish(self, entries: list[Entry]) -> None:
        """Publish what nobody did before, and wait until all of it is stored."""
        if self._is_save_due():  # somebody else may be ahead: the note says so
            await self._look()
        wanted = [entry for entry in entries if entry.seq > self._seq and is_published(entry)]
        calls = await self._find_calls(wanted)
        answers = []
        for entry, call in zip(wanted, calls, strict=True):
            event = build_transition_event(entry, call, namespace=self._bus.subjects.namespace)
            data = self._encode(event)
            if data is None:  # what its caller asked for cannot be said; what happened can
                data = self._encode(build_transition_event(entry, None, namespace=self._bus.subjects.namespace))
            if data is not None:
                answers.append(self._bus.events.publish(event.type, data, event_id=event.id))
        await asyncio.gather(*answers)
        self.published += len(answers)
        self._seq = max(self._seq, entries[-1].seq)

    def _encode(self, event: Event) -> bytes | None:
        try:
            return encode_event(event)
        except InputError as err:
            log.warning("transition_unpublishable", id=event.id, error=str(err))
            return None

    # --- what callers asked for stands only in the first record

    async def _find_calls(self, entries: list[Entry]) -> list[Call | None]:
        missing: dict[str, int] = {}
        for entry in entries:
            record = entry.record
            if record.payload_seq is None:
                self._remember(entry.id, record.call)
            elif entry.id not in self._calls:
                missing[entry.id] = record.payload_seq
        first = await asyncio.gather(*(self._bus.ledger.read_at(seq) for seq in missing.values()))
        for job_id, found in zip(missing, first, strict=True):
            self._remember(job_id, None if found is None else found.record.call)
        calls = [self._calls.get(entry.id) for entry in entries]
        for entry in entries:
            if entry.record.final:
                self._calls.pop(entry.id, None)
        while len(self._calls) > CALLS:
            self._calls.popitem(last=False)
        return calls

    def _remember(self, job_id: str, call: Call | None) -> None:
        self._calls[job_id] = call
        self._calls.move_to_end(job_id)

    # --- how far one has come

    def _is_save_due(self) -> bool:
        return asyncio.get_running_loop().time() - self._looked >= self._save_seconds

    async def _look(self) -> None:
        """Go on behind what another publisher did."""
        self._looked = asyncio.get_running_loop().time()
        self._saved = self._take_note(await self._bus.notes.read(NOTE))
        self._seq = max(self._seq, self._saved)

    async def _save(self) -> None:
        """Note how far one has come, unless somebody has come further."""
        self._looked = asyncio.get_running_loop().time()
        while self._seq > self._saved:
            try:
                await self._write(self._seq)
            except RefusedError:
                self._saved = self._take_note(await self._bus.notes.read(NOTE))

    async def _write(self, seq: int) -> None:
        data = msgspec.json.encode({"seq": seq})
        self._note_seq = await self._bus.notes.write(NOTE, data, expected=self._note_seq)
        self._saved = seq

    async def _check_ledger(self) -> None:
        """Notice that the ledger was made anew meanwhile: its sequences began at 1, and none of them would be seen."""
        now = asyncio.get_running_loop().time()
        if now - self._checked >= self._check_seconds:
            self._checked = now
            if await self._bus.ledger.last_seq() < self._seq:
                raise BusError("the ledger began anew", cure="the publisher is begun again")

    def _take_note(self, note: Note | None) -> int:
        self._note_seq = 0 if note is None else note.seq
        if note is None:
            return 0
        try:
            return msgspec.json.decode(note.data, type=_Position).seq
        except msgspec.MsgspecError:
            return 0  # whoever wrote that: what stands is published again
