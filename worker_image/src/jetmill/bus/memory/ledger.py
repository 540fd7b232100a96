"""The ledger in memory: one log with global sequences, an index per chain, compare-and-set per chain.

Records are kept as the bytes that were appended and decoded once, when somebody first looks: what cannot be decoded
fails for its reader, as on the wire. Purged records leave holes in the log; the leading ones are cut off.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable
from operator import attrgetter
from typing import TYPE_CHECKING

from jetmill.bus.memory.fault import Write
from jetmill.bus.memory.link import MemoryLink
from jetmill.bus.memory.turn import Bell
from jetmill.errors import BusError, CodecError, RefusedError
from jetmill.protocol.codec import decode_holder, decode_plan, decode_record, encode
from jetmill.protocol.name import parse_label
from jetmill.protocol.plan import Plan, StoredPlan
from jetmill.protocol.record import Entry, Holder

if TYPE_CHECKING:
    from jetmill.bus.memory.world import MemoryWorld

CHUNK = 2000
_TRIM_ABOVE = 10_000


class _Link:
    """One record as it lies."""

    __slots__ = ("_entry", "data", "id", "seq", "time")

    def __init__(self, job_id: str, seq: int, time: int, data: bytes) -> None:
        self.id = job_id
        self.seq = seq
        self.time = time
        self.data = data
        self._entry: Entry | None = None

    def entry(self) -> Entry:
        if self._entry is None:
            try:
                record = decode_record(self.data)
            except CodecError as err:
                err.seq = self.seq
                raise
            self._entry = Entry(id=self.id, seq=self.seq, time=self.time, record=record)
        return self._entry


_seq_of = attrgetter("seq")


class LedgerStore:
    """What a ledger stream holds."""

    def __init__(self, world: MemoryWorld) -> None:
        self._world = world
        self._log: list[_Link | None] = []
        self._cut = 0
        self._chains: dict[str, list[_Link]] = {}
        self._holders: dict[str, tuple[int, bytes]] = {}
        self._plans: dict[str, tuple[int, int, bytes]] = {}
        self._holes = 0
        self.bell = Bell(world.turn)

    @property
    def last_seq(self) -> int:
        """The newest sequence."""
        return self._cut + len(self._log)

    def append(self, job_id: str, data: bytes, expected: int) -> int:
        """Append to a chain; RefusedError if its last sequence is another."""
        self._admit()
        chain = self._chains.get(job_id)
        last = chain[-1].seq if chain else 0
        if last != expected:
            raise RefusedError(f"wrong last sequence of job {job_id}: {last}, not {expected}", code=10071)
        seq = self._cut + len(self._log) + 1
        link = _Link(job_id, seq, self._world.clock.now(), data)
        if chain is None:
            self._chains[job_id] = [link]
        else:
            chain.append(link)
        self._log.append(link)
        self.bell.ring()
        return seq

    def append_holder(self, key_hash: str, data: bytes, expected: int) -> int:
        """Write a holder; RefusedError if its sequence is another."""
        self._admit()
        last = self._holders.get(key_hash, (0, b""))[0]
        if last != expected:
            raise RefusedError(f"wrong last sequence of holder {key_hash}: {last}, not {expected}", code=10071)
        self._log.append(None)
        self._holders[key_hash] = (self.last_seq, data)
        self.bell.ring()
        return self.last_seq

    def append_plan(self, uid: str, data: bytes, expected: int) -> int:
        """Write a plan; RefusedError if its sequence is another."""
        self._admit()
        last = self._plans.get(uid, (0, 0, b""))[0]
        if last != expected:
            raise RefusedError(f"wrong last sequence of plan {uid}: {last}, not {expected}", code=10071)
        self._log.append(None)
        self._plans[uid] = (self.last_seq, self._world.clock.now(), data)
        self.bell.ring()
        return self.last_seq

    def plan(self, uid: str) -> StoredPlan | None:
        """The plan of a schedule."""
        found = self._plans.get(uid)
        return None if found is None else StoredPlan(uid, found[0], found[1], decode_plan(found[2]))

    def plan_uids(self) -> list[str]:
        """The schedules that have plans."""
        return sorted(self._plans)

    def purge_plan(self, uid: str, up_to: int) -> None:
        """Remove a plan below a sequence; only the last is kept anyway."""
        if uid in self._plans and self._plans[uid][0] < up_to:
            del self._plans[uid]

    def _admit(self) -> None:
        if not self._world.applied:
            raise BusError("no stream takes the ledger's subjects", code=503, cure="admin.apply_namespace() first")
        if self._world.faults.full:
            raise BusError("maximum bytes exceeded", code=10077)

    def holder(self, key_hash: str) -> tuple[int, bytes] | None:
        """A holder with its sequence."""
        return self._holders.get(key_hash)

    def ids(self) -> list[str]:
        """The ids of all chains, by their first record."""
        return list(self._chains)

    def chain(self, job_id: str) -> list[Entry]:
        """A job's records."""
        return [link.entry() for link in self._chains.get(job_id, ())]

    def last(self, job_id: str) -> Entry | None:
        """A job's last record."""
        chain = self._chains.get(job_id)
        return chain[-1].entry() if chain else None

    def at(self, seq: int) -> Entry | None:
        """The record at a sequence."""
        place = seq - self._cut - 1
        link = self._log[place] if 0 <= place < len(self._log) else None
        return None if link is None else link.entry()

    def purge(self, job_id: str, up_to: int) -> None:
        """Remove a job's records below a sequence."""
        chain = self._chains.get(job_id, [])
        gone = bisect_left(chain, up_to, key=_seq_of)
        for link in chain[:gone]:
            self._log[link.seq - self._cut - 1] = None
        self._holes += gone
        del chain[:gone]
        if not chain:
            self._chains.pop(job_id, None)
        if self._holes > _TRIM_ABOVE and self._holes * 2 > len(self._log):
            self._trim()

    def _trim(self) -> None:
        log = self._log
        free = next((place for place, link in enumerate(log) if link is not None), len(log))
        del log[:free]
        self._cut += free
        self._holes = 0

    def scan(self, start: int, job_id: str | None, until: int) -> tuple[list[Entry], int]:
        """At most CHUNK entries from `start` to `until`, and the sequence to go on from.

        It stops before a record that cannot be decoded, and raises CodecError if that one is the first.
        """
        until = min(until, self.last_seq)
        links = self._select(start, job_id, until)
        entries: list[Entry] = []
        for link in links:
            try:
                entries.append(link.entry())
            except CodecError:
                if not entries:
                    raise
                return entries, link.seq
        return entries, links[-1].seq + 1 if len(links) == CHUNK else max(start, until + 1)

    def _select(self, start: int, job_id: str | None, until: int) -> list[_Link]:
        if job_id is not None:
            chain = self._chains.get(job_id, [])
            first = bisect_left(chain, start, key=_seq_of)
            return [link for link in chain[first : first + CHUNK] if link.seq <= until]
        found: list[_Link] = []
        log, cut = self._log, self._cut
        for place in range(max(0, start - cut - 1), until - cut):
            link = log[place]
            if link is not None:
                found.append(link)
                if len(found) == CHUNK:
                    break
        return found


class MemoryLedger:
    """The port `Ledger`."""

    def __init__(self, store: LedgerStore, link: MemoryLink) -> None:
        self._store = store
        self._link = link
        self._world = link.world
        self._faults = link.world.faults

    def append(self, job_id: str, data: bytes, *, expected: int) -> asyncio.Future[int]:
        """See the port."""
        return self._write("append", lambda: self._store.append(job_id, data, expected))

    def append_holder(self, key_hash: str, holder: Holder, *, expected: int) -> asyncio.Future[int]:
        """See the port."""
        data = encode(holder)
        return self._write("holder", lambda: self._store.append_holder(key_hash, data, expected))

    def _write(self, kind: Write, land: Callable[[], int]) -> asyncio.Future[int]:
        if self._link.closed:
            return self._link.refuse()
        return self._world.write(self._link.future(), kind, land)

    async def read(self, job_id: str) -> Entry | None:
        """See the port."""
        self._ask()
        entry = self._store.last(job_id)
        await self._link.turn()
        return entry

    async def read_at(self, seq: int) -> Entry | None:
        """See the port."""
        self._ask()
        entry = self._store.at(seq)
        await self._link.turn()
        return entry

    async def read_chain(self, job_id: str) -> list[Entry]:
        """See the port."""
        self._ask()
        chain = self._store.chain(job_id)
        await self._link.turn()
        return chain

    async def last_seq(self) -> int:
        """See the port."""
        self._ask()
        seq = self._store.last_seq
        await self._link.turn()
        return seq

    async def follow(
        self, *, start: int = 1, job_id: str | None = None, until: int | None = None
    ) -> AsyncIterator[list[Entry]]:
        """See the port."""
        self._ask()
        store, cursor = self._store, max(1, start)
        stop_ringing = self._link.on_close(store.bell.ring)
        try:
            while not self._link.closed and (until is None or cursor <= until):
                entries, cursor = store.scan(cursor, job_id, store.last_seq if until is None else until)
                if entries:
                    await self._link.turn()
                    yield entries
                elif cursor > store.last_seq and (until is None or cursor <= until):
                    await store.bell.wait()
        finally:
            stop_ringing()

    async def purge(self, job_id: str, *, up_to: int) -> None:
        """See the port."""
        self._ask()
        self._store.purge(job_id, up_to)
        await self._link.turn()

    async def read_holder(self, key_hash: str) -> tuple[int, Holder] | None:
        """See the port."""
        self._ask()
        found = self._store.holder(key_hash)
        await self._link.turn()
        return None if found is None else (found[0], decode_holder(found[1]))

    def append_plan(self, uid: str, plan: Plan, *, expected: int) -> asyncio.Future[int]:
        """See the port."""
        data, uid = encode(plan), parse_label(uid, field="uid")
        return self._write("plan", lambda: self._store.append_plan(uid, data, expected))

    async def read_plan(self, uid: str) -> StoredPlan | None:
        """See the port."""
        self._ask()
        found = self._store.plan(parse_label(uid, field="uid"))
        await self._link.turn()
        return found

    async def plans(self) -> list[StoredPlan]:
        """See the port."""
        self._ask()
        found = [self._store.plan(uid) for uid in self._store.plan_uids()]
        await self._link.turn()
        return [stored for stored in found if stored is not None]

    async def purge_plan(self, uid: str, *, up_to: int) -> None:
        """See the port."""
        self._ask()
        self._store.purge_plan(parse_label(uid, field="uid"), up_to)
        await self._link.turn()

    def _ask(self) -> None:
        self._link.check()
        self._world.need_namespace()
