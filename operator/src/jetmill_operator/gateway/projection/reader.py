"""Answering: bitmaps say which jobs, the file says what of them. Used in the readers' threads."""

from __future__ import annotations

import sqlite3
import threading
from typing import cast

import msgspec

from jetmill.protocol.record import Band
from jetmill.protocol.state import Reason, State
from jetmill_operator.gateway.projection import sql
from jetmill_operator.gateway.projection.answer import Bucket, Flow, Group, JobRow, Page, Standing
from jetmill_operator.gateway.projection.bits import Bits
from jetmill_operator.gateway.projection.cursor import build_cursor, parse_cursor
from jetmill_operator.gateway.projection.filter import GroupBy, JobFilter, Sort
from jetmill_operator.gateway.projection.fold import Row, label_facet
from jetmill_operator.gateway.projection.histogram import Tally, find_percentile, measure
from jetmill_operator.gateway.projection.index import Index
from jetmill_operator.gateway.projection.store import Store, ask, ask_rows

MAX_GROUPS = 1_000
_FEW = 100_000
"""So many jobs are grouped by reading each; more, by reading what there is of each value."""
_CANDIDATES = 1_000
"""The texts of so many jobs are looked at; among more, for all jobs that a text occurs in."""
_LOOKS = 8
"""So many jobs for each place of a page are looked at before: a text that is not rare fills it from them."""


class Reader:
    """The reading of one namespace."""

    def __init__(self, store: Store, index: Index, lock: threading.Lock, *, name: str, ns: int) -> None:
        self._store = store
        self._index = index
        self._lock = lock
        self._name = name
        self._ns = ns

    @property
    def _connection(self) -> sqlite3.Connection:
        return self._store.reader

    def page(self, wanted: JobFilter, *, sort: Sort, limit: int, cursor: str | None) -> Page:
        """A page of the jobs that fit."""
        beyond = None if cursor is None else parse_cursor(cursor, wanted=wanted, sort=sort)
        seq = self._index.seq  # what is read below may be newer, and is never older
        places = self._place(wanted, sort, limit + 1, beyond=beyond)
        mark = places[limit - 1][1] if len(places) > limit else None
        numbers = [number for number, _ in places[:limit]]
        rows = ask_rows(self._connection, sql.ROWS_BY_NUMBER, numbers, self._ns)
        items = [build_job_row(row, self._name) for row in rows if _still_fits(row, wanted)]
        return Page(items=items, next_cursor=None if mark is None else build_cursor(wanted, sort, mark), seq=seq)

    def _place(self, wanted: JobFilter, sort: Sort, limit: int, *, beyond: int | None) -> list[tuple[int, int]]:
        """The first `limit` of the jobs that fit, as (number, the sequence that a cursor names)."""
        found = self._select(wanted)
        if wanted.error is not None:
            looks = _LOOKS * limit
            if looks <= _CANDIDATES < len(found):
                first = self._pick(found, sort, looks, beyond=beyond)
                fitting = self._compare([number for number, _ in first], wanted.error)
                places = [place for place in first if place[0] in fitting]
                if len(places) >= limit:
                    return places[:limit]
            found = self._match(found, wanted.error)
        return self._pick(found, sort, limit, beyond=beyond)

    def _pick(self, found: Bits, sort: Sort, limit: int, *, beyond: int | None) -> list[tuple[int, int]]:
        with self._lock:
            numbers = self._index.pick(found & self._index.alive, sort, limit, beyond=beyond)
            return [(number, self._index.mark_of(number, sort)) for number in numbers]

    def count(self, wanted: JobFilter) -> int:
        """How many jobs fit."""
        return len(self._find(wanted))

    def facts(self, ids: list[str]) -> list[JobRow]:
        """The rows of these jobs, in this order; unknown ones are left out."""
        return [build_job_row(row, self._name) for row in ask_rows(self._connection, sql.ROWS_BY_ID, ids, self._ns)]

    def standing(self, *, job: str | None, state: State | None, limit: int) -> Standing:
        """The jobs that changed last, those of Webhooks included, as they stood at one sequence.

        What was written meanwhile is left out: whoever goes on from that sequence is told of it.
        """
        with self._lock:
            seq = self._index.seq
            found = self._index.stand(job=job, state=state)
            numbers = self._index.pick(found, "-updated", limit, beyond=None)
            total = len(found)
        rows = ask_rows(self._connection, sql.ROWS_BY_NUMBER, numbers, self._ns)
        items = [build_job_row(row, self._name) for row in rows if row.seq <= seq]
        return Standing(items=items, total=total, seq=seq)

    def group(self, wanted: JobFilter, by: GroupBy) -> list[Group]:
        """The values that occur among the jobs that fit, the most frequent first; at most 1,000."""
        found = self._find(wanted)
        groups = None
        if by in ("state", "job", "reason"):
            with self._lock:
                groups = self._index.group(found & self._index.alive, by)
        if groups is None:
            groups = self._group_few(found, by) if len(found) <= _FEW else self._group_many(found, by)
        groups.sort(key=lambda group: (-group[1], group[0]))
        del groups[MAX_GROUPS:]
        numbers = [number for _, _, number in groups]
        newest = {row.number: row for row in ask_rows(self._connection, sql.ROWS_BY_NUMBER, numbers, self._ns)}
        return [
            Group(key=key, count=count, newest=newest[number].created, example=newest[number].id)
            for key, count, number in groups
            if number in newest
        ]

    def _group_few(self, found: Bits, by: GroupBy) -> list[tuple[str, int, int]]:
        numbers = msgspec.json.encode(list(found)).decode()
        statement = sql.GROUP_BY_USER if by == "user" else sql.GROUP_BY_ERROR
        answer = ask(self._connection, statement, numbers, self._ns, as_type=list[tuple[str | None, int, int]])
        return [(value or "", count, newest) for value, count, newest in answer]

    def _group_many(self, found: Bits, by: GroupBy) -> list[tuple[str, int, int]]:
        facets = ask(self._connection, sql.FACETS_OF_KIND, self._ns, by, as_type=list[tuple[int, str, int]])
        groups, left = [], found
        for facet, value, _ in facets:
            with self._lock:
                bits = self._index.heavy.get(facet)
                both = found & bits if bits is not None else None
            if both is None:
                both = found & Bits.of(ask(self._connection, sql.POSTINGS, facet, as_type=list[int]))
            if both:
                groups.append((value, len(both), both.last(1)[0]))
                left = left - both
        if left:
            groups.append(("", len(left), left.last(1)[0]))
        return groups

    def statistics(self, *, since: int, until: int, step_seconds: int, job: str | None) -> list[Bucket]:
        """What happened, by steps of whole minutes (or hours, beyond two days)."""
        span = 60 if step_seconds % 3_600 else 3_600
        start = since // 1_000_000 // step_seconds * step_seconds
        stop = -(-until // 1_000_000)
        rows = ask(self._connection, sql.TALLIES, self._ns, job or "", span, start, stop, as_type=list[tuple[int, str]])
        tallies = {moment: Tally(wait={}, run={}) for moment in range(start, stop, step_seconds)}
        for moment, data in rows:
            tallies[moment // step_seconds * step_seconds].add(msgspec.msgpack.decode(bytes.fromhex(data), type=Tally))
        return [_build_bucket(moment, tally) for moment, tally in tallies.items()]

    def flow(self, jobs: list[str], *, since: int, now: int, span: int) -> list[Flow]:
        """How the jobs of each Job get through; percentiles from the span (s) on that `since` (µs) lies in."""
        names = msgspec.json.encode(jobs).decode()
        oldest = ask(self._connection, sql.OLDEST, self._ns, names, as_type=list[int | None])
        start, stop = since // 1_000_000 // span * span, now // 1_000_000 + 1
        found = ask(self._connection, sql.TALLIES_OF, names, self._ns, span, start, stop, as_type=list[tuple[str, str]])
        tallies = {job: Tally(wait={}, run={}) for job in jobs}
        for job, data in found:
            tallies[job].add(msgspec.msgpack.decode(bytes.fromhex(data), type=Tally))
        return [
            Flow(
                job=job,
                oldest=ready if ready is not None and ready <= now else None,
                wait=measure(tallies[job].wait),
                run=measure(tallies[job].run),
            )
            for job, ready in zip(jobs, oldest, strict=True)
        ]

    def _find(self, wanted: JobFilter) -> Bits:
        """The jobs that fit."""
        found = self._select(wanted)
        return found if wanted.error is None else self._match(found, wanted.error)

    def _select(self, wanted: JobFilter) -> Bits:
        """The jobs that fit as the bitmaps have it; where a text is wanted, those that have any error."""
        narrowed = self._narrow(wanted)
        with self._lock:
            return Bits(dict(self._index.select(wanted, self._known(narrowed)).pieces))

    def _narrow(self, wanted: JobFilter) -> list[int | Bits]:
        """The facets that are heavy, and the sets of those that have no bitmap. Read before the lock is taken."""
        narrowed: list[int | Bits] = []
        for kind, value in _facets_of(wanted):
            found = self._connection.execute(sql.FACET, (self._ns, kind, value)).fetchone()
            if found is None:
                narrowed.append(Bits())
            elif found[0] in self._index.heavy:
                narrowed.append(found[0])
            else:
                narrowed.append(Bits.of(ask(self._connection, sql.POSTINGS, found[0], as_type=list[int])))
        return narrowed

    def _match(self, found: Bits, text: str) -> Bits:
        """Of the found those with a text in their error: what other filters left is mostly less than what matches."""
        if len(found) <= _CANDIDATES:
            return Bits.of(self._compare(list(found), text))
        (first,), (last,) = found.first(1), found.last(1)
        numbers = ask(self._connection, sql.SEARCH, self._ns, first, last, _quote(text), as_type=list[int])
        return found & Bits.of(numbers)

    def _compare(self, numbers: list[int], text: str) -> set[int]:
        """Of these jobs those with a text in their error."""
        if not numbers:
            return set()
        texts = set(ask(self._connection, sql.TEXTS, _quote(text), as_type=list[int]))
        wanted = msgspec.json.encode(numbers).decode()
        pairs = ask(self._connection, sql.TEXTS_OF, wanted, self._ns, as_type=list[tuple[int, int]])
        return {number for number, one in pairs if one in texts}

    def _known(self, narrowed: list[int | Bits]) -> list[Bits]:
        return [self._index.heavy.get(one, Bits()) if isinstance(one, int) else one for one in narrowed]


def _quote(text: str) -> str:
    """A text as FTS5 takes it: as it stands."""
    return '"' + text.replace('"', '""').replace("\0", " ") + '"'


def _facets_of(wanted: JobFilter) -> list[tuple[str, str]]:
    facets = [("label", label_facet(key, value)) for key, value in wanted.label.items()]
    if wanted.user is not None:
        facets.append(("user", wanted.user))
    if wanted.schedule is not None:
        facets.append(("schedule", wanted.schedule))
    if wanted.error_group is not None:
        facets.append(("error", wanted.error_group))
    return facets


def _still_fits(row: Row, wanted: JobFilter) -> bool:
    """The row may be newer than the bitmaps."""
    if not (row.reason in wanted.reason if wanted.reason else row.reason != Reason.WITHDRAWN):
        return False
    return not wanted.state or row.state in wanted.state


def build_job_row(row: Row, namespace: str) -> JobRow:
    """What is said of a job."""
    return JobRow(
        id=row.id,
        namespace=namespace,
        job=row.job,
        state=State(row.state),
        reason=None if row.reason is None else Reason(row.reason),
        enqueueing=row.enqueueing,
        attempt=row.attempt,
        crashes=row.crashes,
        band=cast(Band, row.band),
        user=row.user,
        labels={} if row.labels is None else msgspec.json.decode(row.labels, type=dict[str, str]),
        schedule=row.schedule,
        due=row.due,
        worker=row.worker,
        created=row.created,
        updated=row.updated,
        started=row.started,
        ended=row.ended,
        error_type=row.error_type,
        error_message=row.error_message,
        seq=row.seq,
    )


def _build_bucket(moment: int, tally: Tally) -> Bucket:
    return Bucket(
        time=moment * 1_000_000,
        enqueued=tally.enqueued,
        started=tally.started,
        succeeded=tally.succeeded,
        failed=tally.failed,
        cancelled=tally.cancelled,
        skipped=tally.skipped,
        retried=tally.retried,
        wait_p50=find_percentile(tally.wait, 0.5),
        wait_p99=find_percentile(tally.wait, 0.99),
        run_p50=find_percentile(tally.run, 0.5),
        run_p99=find_percentile(tally.run, 0.99),
    )
