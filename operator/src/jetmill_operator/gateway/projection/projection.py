"""The projection as the gateway uses it: coroutines in front of one thread that writes and a few that read."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from jetmill.errors import InputError
from jetmill.protocol.record import Entry
from jetmill.protocol.state import State
from jetmill_operator.gateway.projection import sql
from jetmill_operator.gateway.projection.answer import Bucket, EndedJob, Flow, Group, JobRow, Lag, Page, Standing
from jetmill_operator.gateway.projection.bits import Bits
from jetmill_operator.gateway.projection.filter import MAX_LIMIT, SORTS, GroupBy, JobFilter, Sort, check_filter
from jetmill_operator.gateway.projection.index import Index
from jetmill_operator.gateway.projection.reader import Reader
from jetmill_operator.gateway.projection.store import Store, ask
from jetmill_operator.gateway.projection.write import Writer, Written

READERS = 3
MAX_BUCKETS = 2_000
MINUTES_SECONDS = 7_200
"""A window of flow that is longer is measured in hours: fewer to add up."""
_IDS = list[tuple[str, int]]
_ENDED = list[EndedJob]
_T = TypeVar("_T")
_UNHEARD_SECONDS = 5.0
"""So long after it last heard of the ledger's end a projection does not say any more that it is up to date."""
OnEntries = Callable[[str, Sequence[Entry]], None]


class _Space:
    """What is held of one namespace."""

    def __init__(self, store: Store, *, name: str, ns: int, seq: int, next_number: int) -> None:
        self.lock = threading.Lock()
        self.ns = ns
        self.index = _load(store, ns)
        self.index.seq = seq
        self.writer = Writer(store, ns=ns, seq=seq, next_number=next_number, heavy=set(self.index.heavy))
        self.reader = Reader(store, self.index, self.lock, name=name, ns=ns)
        self.head = seq
        self.current_at = time.monotonic()
        self.complete = False
        self.waiting: list[tuple[int, asyncio.Future[None]]] = []

    def write(self, entries: Sequence[Entry]) -> None:
        """Take entries in; in the writer's thread."""
        written = self.writer.write(entries)
        with self.lock:
            _apply(self.index, written)

    def remove(self, jobs: Mapping[str, int]) -> None:
        """Forget jobs; in the writer's thread."""
        numbers = self.writer.remove(jobs)
        with self.lock:
            self.index.remove(numbers)

    def advance(self, seq: int) -> None:
        """See Writer."""
        self.writer.advance(seq)
        with self.lock:
            self.index.seq = self.writer.seq

    def clear(self) -> None:
        """Forget everything; in the writer's thread."""
        self.writer.clear()
        with self.lock:
            self.index.clear()
        self.head = 0
        self.complete = False


class Projection:
    """Every job of some namespaces; belongs to one event loop. Made by `open`; namespaces come with their first use.

    What is asked of a namespace that nothing was written of is answered with nothing.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="projection-writer")
        self._reading = ThreadPoolExecutor(READERS, thread_name_prefix="projection-reader")
        self._spaces: dict[str, _Space] = {}
        self._callbacks: list[OnEntries] = []

    @classmethod
    async def open(cls, path: Path | None = None) -> Projection:
        """Open a file, or make it; None: one that goes when it is closed. Reads what a million jobs need in seconds."""
        projection = cls(await asyncio.to_thread(Store, path))
        await projection._write(projection._load_spaces)
        return projection

    async def close(self) -> None:
        """Finish what is being written, and close the file."""
        await asyncio.to_thread(self._shut)

    def _shut(self) -> None:
        self._writing.shutdown()
        self._reading.shutdown()
        self.store.close()

    def _load_spaces(self) -> None:
        for ns, name, seq, next_number in self.store.writer.execute(sql.NAMESPACES).fetchall():
            if name not in self._spaces:
                self._spaces[name] = _Space(self.store, name=name, ns=ns, seq=seq, next_number=next_number)

    async def _space(self, namespace: str) -> _Space:
        if namespace not in self._spaces:
            await self._write(self._add_space, namespace)
        return self._spaces[namespace]

    def _add_space(self, namespace: str) -> None:
        self.store.writer.execute(sql.ADD_NAMESPACE, (namespace,))
        self._load_spaces()

    async def list(
        self, wanted: JobFilter, *, sort: Sort = "-created", limit: int = 50, cursor: str | None = None
    ) -> Page:
        """A page of the jobs that fit, of at most 1,000; raises InputError, and BadCursorError for a cursor that is not
        of this filter and order.
        """
        check_filter(wanted)
        if sort not in SORTS:
            raise InputError(f"cannot sort by {sort}", field="sort", cure=f"one of {', '.join(SORTS)}")
        if not 1 <= limit <= MAX_LIMIT:
            raise InputError(f"a limit of {limit}", field="limit", cure=f"1 to {MAX_LIMIT}")
        space = await self._space(wanted.namespace)
        return await self._read(lambda: space.reader.page(wanted, sort=sort, limit=limit, cursor=cursor))

    async def count(self, wanted: JobFilter) -> int:
        """How many jobs fit; raises InputError."""
        check_filter(wanted)
        space = await self._space(wanted.namespace)
        return await self._read(lambda: space.reader.count(wanted))

    async def group(self, wanted: JobFilter, *, by: GroupBy) -> Sequence[Group]:
        """The values among the jobs that fit, the most frequent first, at most 1,000; raises InputError."""
        check_filter(wanted)
        space = await self._space(wanted.namespace)
        return await self._read(lambda: space.reader.group(wanted, by))

    async def facts(self, namespace: str, ids: Sequence[str]) -> Sequence[JobRow]:
        """The rows of these jobs, in this order; those that are unknown are left out."""
        space = await self._space(namespace)
        return await self._read(lambda: space.reader.facts(list(ids)))

    async def standing(
        self, namespace: str, *, job: str | None = None, state: State | None = None, limit: int
    ) -> Standing:
        """The `limit` jobs that changed last, as they stood at one sequence: what happened after it is in none."""
        space = await self._space(namespace)
        return await self._read(lambda: space.reader.standing(job=job, state=state, limit=limit))

    async def statistics(
        self, namespace: str, *, since: int, until: int, step_seconds: int, job: str | None = None
    ) -> Sequence[Bucket]:
        """What happened from `since` to before `until` (µs), in steps of whole minutes: two days of those are kept, and
        400 days of whole hours. Raises InputError for other steps, and for more than 2,000 of them.
        """
        if step_seconds < 60 or step_seconds % 60:
            raise InputError("the step has to be whole minutes", field="step")
        if not 0 <= since < until < 1 << 62:
            raise InputError("the end has to be after the beginning", field="until")
        if (until - since) // 1_000_000 // step_seconds > MAX_BUCKETS:
            raise InputError(f"more than {MAX_BUCKETS} steps", field="step", cure="a larger step or a shorter time")
        space = await self._space(namespace)
        return await self._read(
            lambda: space.reader.statistics(since=since, until=until, step_seconds=step_seconds, job=job)
        )

    async def flow(self, namespace: str, jobs: Sequence[str], *, now: int, window_seconds: int) -> Sequence[Flow]:
        """How the jobs of each of these Jobs get through, by what happened in the window before `now` (µs) and a little
        before it: it begins at a whole minute, one of more than two hours at a whole hour.
        """
        span = 60 if window_seconds <= MINUTES_SECONDS else 3_600
        since = max(0, now - window_seconds * 1_000_000)
        space = await self._space(namespace)
        return await self._read(lambda: space.reader.flow(list(jobs), since=since, now=now, span=span))

    def seq(self, namespace: str) -> int:
        """The ledger's sequence up to which everything is included."""
        space = self._spaces.get(namespace)
        return 0 if space is None else space.index.seq

    async def reached(self, namespace: str, seq: int, *, timeout_seconds: float) -> bool:
        """Wait until everything up to a sequence is included, so that a caller reads what it wrote; False: it is not
        yet.
        """
        space = await self._space(namespace)
        if space.index.seq >= seq:
            return True
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        space.waiting.append((seq, done))
        try:
            await asyncio.wait_for(done, timeout_seconds)
        except TimeoutError:
            return False
        finally:
            space.waiting[:] = [one for one in space.waiting if one[1] is not done]
        return True

    def lag(self, namespace: str) -> Lag:
        """How far behind the ledger it is, by what the ingest saw of it last."""
        space = self._spaces.get(namespace)
        if space is None:
            return Lag(records=0, seconds=0.0, complete=False)
        records = max(0, space.head - space.index.seq)
        age = time.monotonic() - space.current_at
        return Lag(
            records=records,
            seconds=age if records or age > _UNHEARD_SECONDS else 0.0,
            complete=space.complete,
        )

    def on_entries(self, callback: OnEntries) -> Callable[[], None]:
        """Call back with (namespace, entries) after each commit; returns the way to stop."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    async def write(self, namespace: str, entries: Sequence[Entry]) -> None:
        """Take entries in, in the ledger's order; those at or below `seq` were taken in before and are left out."""
        space = await self._space(namespace)
        before = space.index.seq
        await self._write(space.write, entries)
        new = [entry for entry in entries if entry.seq > before]
        self._tell(space)
        for callback in list(self._callbacks) if new else ():
            callback(namespace, new)

    async def advance(self, namespace: str, seq: int) -> None:
        """Note that up to `seq` there are no more records than were written."""
        space = await self._space(namespace)
        await self._write(space.advance, seq)
        self._tell(space)

    async def remove(self, namespace: str, jobs: Mapping[str, int]) -> None:
        """Forget jobs whose chains are gone: by id the sequence of the last record, for since then another chain may
        have begun under the same id.
        """
        space = await self._space(namespace)
        await self._write(space.remove, jobs)

    async def clear(self, namespace: str) -> None:
        """Forget a namespace, to begin anew."""
        space = await self._space(namespace)
        await self._write(space.clear)

    async def forget_statistics(self, namespace: str, now: int) -> None:
        """Remove statistics that are kept long enough by `now` (µs)."""
        space = await self._space(namespace)
        await self._write(space.writer.forget_tallies, now // 1_000_000)

    async def mark(self, namespace: str) -> tuple[int, str, int] | None:
        """A record of the ledger that this was built from: sequence, id and time."""
        space = await self._space(namespace)
        found = await self._read(lambda: self.store.reader.execute(sql.MARK, (space.ns,)).fetchone())
        return None if found is None or found[0] is None else found

    async def open_before(self, namespace: str, *, after: int, until: int, limit: int) -> Sequence[tuple[str, int]]:
        """Open jobs whose last record lies in (after, until], oldest first, with its sequence."""
        space = await self._space(namespace)
        return await self._read(
            lambda: ask(self.store.reader, sql.OPEN_BEFORE, space.ns, until, after, limit, as_type=_IDS)
        )

    def note_head(self, namespace: str, seq: int) -> None:
        """Note the ledger's last sequence as it is now."""
        space = self._spaces.get(namespace)
        if space is not None:
            space.head = seq
            if space.index.seq >= seq:
                space.complete, space.current_at = True, time.monotonic()

    def _tell(self, space: _Space) -> None:
        if space.head and space.index.seq >= space.head:
            space.complete, space.current_at = True, time.monotonic()
        for seq, done in space.waiting:
            if seq <= space.index.seq and not done.done():
                done.set_result(None)

    async def ended_before(self, namespace: str, *, since: int, until: int, limit: int) -> Sequence[EndedJob]:
        """Jobs that came to an end in [since, until] (µs), oldest first."""
        space = await self._space(namespace)
        return await self._read(
            lambda: ask(self.store.reader, sql.ENDED_BEFORE, space.ns, until, since, limit, as_type=_ENDED)
        )

    async def _write(self, function: Callable[..., _T], *arguments: object) -> _T:
        """In the writer's thread, whole even if whoever waits is cancelled."""
        return await asyncio.get_running_loop().run_in_executor(self._writing, function, *arguments)

    async def _read(self, function: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._reading, function)


def _load(store: Store, ns: int) -> Index:
    """The index of what the file holds."""
    index = Index()
    cursor = store.writer.execute(sql.LOAD_JOBS, (ns,))
    while rows := cursor.fetchmany(20_000):
        index.load(rows)
    index.settle()
    for (facet,) in store.writer.execute(sql.LOAD_FACETS, (ns,)).fetchall():
        index.heavy[facet] = Bits.of(ask(store.writer, sql.POSTINGS, facet, as_type=list[int]))
    return index


def _apply(index: Index, written: Written) -> None:
    if written.retired:
        index.remove(written.retired)
    index.apply(written.changes)
    for facet, numbers in written.grown.items():
        index.heavy[facet].add(numbers)
    for facet, numbers in written.shrunk.items():
        index.heavy[facet].remove(numbers)
    index.heavy.update(written.loaded)
    index.seq = written.seq
