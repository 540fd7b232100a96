"""Taking records in: a batch is one transaction, which ends with the sequence that it reached.

So a batch is in the file whole or not at all, and taken in twice changes nothing.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy

import msgspec

from jetmill.protocol.name import is_delivery
from jetmill.protocol.record import Entry
from jetmill_operator.gateway.projection import sql
from jetmill_operator.gateway.projection.bits import Bits
from jetmill_operator.gateway.projection.fold import Row, apply_entry, begin_row, begins_anew, error_facet
from jetmill_operator.gateway.projection.histogram import Tally
from jetmill_operator.gateway.projection.index import HEAVY, Change, Face
from jetmill_operator.gateway.projection.store import Store, ask, ask_rows

SPANS = (60, 3_600)
"""Seconds that a tally covers."""
KEPT_SECONDS = {60: 2 * 86_400, 3_600: 400 * 86_400}
_REMEMBERED = 50_000
"""So many open jobs' rows are kept at hand, and so many facets."""

Facet = tuple[str, str]


class Written(msgspec.Struct, frozen=True):
    """What a batch did, for the index."""

    seq: int
    changes: list[Change] = []
    retired: list[int] = []
    """Numbers of jobs whose chain was purged, and begun anew under the same id."""
    grown: dict[int, list[int]] = {}
    """Postings that came, by facet, of those that are heavy."""
    shrunk: dict[int, list[int]] = {}
    loaded: dict[int, Bits] = {}
    """All postings of facets that became heavy."""


class Writer:
    """The writing of one namespace; used in the writer's thread alone."""

    def __init__(self, store: Store, *, ns: int, seq: int, next_number: int, heavy: set[int]) -> None:
        self._store = store
        self._ns = ns
        self.seq = seq
        self._next_number = next_number
        self._heavy = heavy
        self._rows: dict[str, Row] = {}
        self._facets: dict[Facet, tuple[int, int]] = {}

    @property
    def _connection(self) -> sqlite3.Connection:
        return self._store.writer

    def write(self, entries: Sequence[Entry]) -> Written:
        """Take entries in, in the ledger's order; what was taken in before is left out."""
        entries = [entry for entry in entries if entry.seq > self.seq]
        if not entries:
            return Written(self.seq)
        next_number = self._next_number
        try:
            with self._transaction():
                written = self._write(entries)
        except BaseException:
            self._forget()  # what is at hand may say what was not stored
            self._next_number = next_number
            raise
        self.seq = written.seq
        self._heavy |= written.loaded.keys()
        return written

    def _write(self, entries: Sequence[Entry]) -> Written:
        last = entries[-1]
        rows = self._find(entries)
        before = {row.id: copy(row) for row in rows.values()}
        retired: list[Row] = []
        tallies: dict[tuple[str, int], Tally] = {}
        for entry in entries:
            row = rows.get(entry.id)
            if row is not None and begins_anew(row, entry.record):
                retired += [before.pop(entry.id)] if entry.id in before else []
                row = None
            if row is None:
                row = rows[entry.id] = begin_row(entry, number=self._next_number)
                self._next_number += 1
            minute = entry.time // 60_000_000 * 60
            tally = tallies.get((entry.record.job, minute))
            if tally is None:
                tally = tallies[entry.record.job, minute] = Tally(wait={}, run={})
            apply_entry(row, entry, tally)
        facets = _Facets()
        changes = []
        for row in rows.values():
            old = before.get(row.id)
            changes.append(_build_change(row, old))
            if old is None or _facet_key(old) != _facet_key(row):
                facets.move(row.number, () if old is None else old.facets(), row.facets())
                row.text = None if row.error_type is None else self._put_text(row)
        ns = self._ns
        for row in retired:
            facets.move(row.number, row.facets(), ())
        self._connection.executemany(sql.REMOVE_JOB, [(ns, row.number) for row in retired])
        self._connection.executemany(sql.PUT_JOB, [(ns, *msgspec.structs.astuple(row)) for row in rows.values()])
        written = self._put_facets(facets, Written(last.seq, changes, [row.number for row in retired], {}, {}, {}))
        self._drop_texts({old.text for old in (*before.values(), *retired)} - {row.text for row in rows.values()})
        self._put_tallies(tallies)
        self._advance(last.seq)
        self._connection.execute(sql.SET_MARK, (last.seq, last.id, last.time, ns))
        self._remember(rows)
        return written

    def _find(self, entries: Sequence[Entry]) -> dict[str, Row]:
        ids = dict.fromkeys(entry.id for entry in entries)
        rows = {job_id: row for job_id in ids if (row := self._rows.get(job_id)) is not None}
        missing = [job_id for job_id in ids if job_id not in rows]
        if missing:
            rows |= {row.id: row for row in ask_rows(self._connection, sql.ROWS_BY_ID, missing, self._ns)}
        return rows

    def _remember(self, rows: dict[str, Row]) -> None:
        for job_id, row in rows.items():
            if row.ended is None:
                self._rows[job_id] = row
            else:
                self._rows.pop(job_id, None)
        while len(self._rows) > _REMEMBERED:
            del self._rows[next(iter(self._rows))]

    def _put_text(self, row: Row) -> int:
        value = f"{row.error_type}\n{row.error_message}"
        digest = hashlib.blake2b(value.encode("utf-8", "replace"), digest_size=16).digest()
        found = self._connection.execute(sql.FIND_TEXT, (self._ns, digest)).fetchone()
        if found is not None:
            return int(found[0])
        family = error_facet(row.error_type or "", row.error_message or "")
        text = self._connection.execute(sql.PUT_TEXT, (self._ns, digest, value, family)).lastrowid
        self._connection.execute(sql.PUT_MATCH, (text, value))
        assert text is not None
        return text

    def _drop_texts(self, texts: Iterable[int | None]) -> None:
        """Forget the texts that no job has any more."""
        for text in texts:
            if text is None or self._connection.execute(sql.TEXT_USED, (text,)).fetchone() == (1,):
                continue
            (value,) = self._connection.execute(sql.TEXT_VALUE, (text,)).fetchone()
            self._connection.execute(sql.REMOVE_MATCH, (text, value))
            self._connection.execute(sql.REMOVE_TEXT, (text,))

    def _put_facets(self, facets: _Facets, written: Written) -> Written:
        connection = self._connection
        counts: list[tuple[int, int]] = []
        postings: list[tuple[int, int]] = []
        removals: list[tuple[int, int]] = []
        touched: dict[int, tuple[Facet, int]] = {}
        for facet in facets.added.keys() | facets.removed.keys():
            added, removed = facets.added.get(facet, ()), facets.removed.get(facet, ())
            delta = len(added) - len(removed)
            known = self._facets.get(facet)
            if known is None:
                key, count = connection.execute(sql.PUT_FACET, (self._ns, *facet, delta)).fetchone()
            else:
                key, count = known[0], known[1] + delta
                counts.append((count, key))
            touched[key] = (facet, count)
            postings += [(key, number) for number in added]
            removals += [(key, number) for number in removed]
            if key in self._heavy:
                written.grown[key], written.shrunk[key] = list(added), list(removed)
        connection.executemany(sql.COUNT_FACET, counts)
        connection.executemany(sql.REMOVE_POSTING, removals)
        connection.executemany(sql.PUT_POSTING, postings)
        for key, (facet, count) in touched.items():
            if count > HEAVY and key not in self._heavy:
                written.loaded[key] = Bits.of(ask(connection, sql.POSTINGS, key, as_type=list[int]))
            if count <= 0 and key not in self._heavy:
                connection.execute(sql.REMOVE_FACET, (key,))
                self._facets.pop(facet, None)
            else:
                self._facets[facet] = (key, count)
        while len(self._facets) > _REMEMBERED:
            del self._facets[next(iter(self._facets))]
        return written

    def _put_tallies(self, tallies: dict[tuple[str, int], Tally]) -> None:
        summed: dict[tuple[str, int, int], Tally] = {}
        for (job, minute), tally in tallies.items():
            for span in SPANS:
                for name in (job,) if is_delivery(job) else (job, ""):
                    key = (name, span, minute // span * span)
                    summed.setdefault(key, Tally(wait={}, run={})).add(tally)
        for key, tally in summed.items():
            found = self._connection.execute(sql.TALLY, (self._ns, *key)).fetchone()
            if found is not None:
                tally.add(msgspec.msgpack.decode(found[0], type=Tally))
            self._connection.execute(sql.PUT_TALLY, (self._ns, *key, msgspec.msgpack.encode(tally)))

    def advance(self, seq: int) -> None:
        """Note that up to `seq` there is nothing more for us (what holds gates, what cannot be decoded)."""
        if seq > self.seq:
            self._advance(seq)
            self.seq = seq

    def _advance(self, seq: int) -> None:
        self._connection.execute(sql.ADVANCE, (seq, self._next_number, self._ns))

    def remove(self, jobs: Mapping[str, int]) -> list[int]:
        """Forget jobs (by id) whose last record is still of that sequence; gives their numbers."""
        self._forget()
        with self._transaction():
            rows = ask_rows(self._connection, sql.ROWS_BY_ID, list(jobs), self._ns)
            rows = [row for row in rows if row.seq == jobs[row.id]]
            facets = _Facets()
            for row in rows:
                facets.move(row.number, row.facets(), ())
            self._connection.executemany(sql.REMOVE_JOB, [(self._ns, row.number) for row in rows])
            self._put_facets(facets, Written(self.seq, grown={}, shrunk={}, loaded={}))
            self._drop_texts({row.text for row in rows})
        return [row.number for row in rows]

    def clear(self) -> None:
        """Forget everything of this namespace."""
        with self._transaction():
            for statement in sql.CLEAR:
                self._connection.execute(statement, (self._ns,))
        self._forget()
        self._heavy.clear()
        self.seq = self._next_number = 0

    def forget_tallies(self, now_seconds: int) -> None:
        """Remove statistics older than they are kept."""
        with self._transaction():
            jobs = [job for (job,) in self._connection.execute(sql.TALLY_JOBS, (self._ns,))]
            for job in jobs:
                for span, kept in KEPT_SECONDS.items():
                    self._connection.execute(sql.FORGET_TALLIES, (self._ns, job, span, now_seconds - kept))

    def _forget(self) -> None:
        self._rows.clear()
        self._facets.clear()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


class _Facets:
    """Postings that come and go."""

    def __init__(self) -> None:
        self.added: dict[Facet, list[int]] = {}
        self.removed: dict[Facet, list[int]] = {}

    def move(self, number: int, before: Iterable[Facet], after: Iterable[Facet]) -> None:
        """Change a job's facets."""
        old, new = set(before), set(after)  # a few at most
        for facet in new - old:
            self.added.setdefault(facet, []).append(number)
        for facet in old - new:
            self.removed.setdefault(facet, []).append(number)


def _facet_key(row: Row) -> tuple[str | None, ...]:
    return (row.user, row.labels, row.schedule, row.error_type, row.error_message)


def _build_change(row: Row, old: Row | None) -> Change:
    return Change(
        number=row.number,
        before=None if old is None else _build_face(old),
        after=_build_face(row),
        created=row.created,
        updated=row.updated,
        born=row.born,
        seq=row.seq,
        erred=row.error_type is not None,
        cured=row.error_type is None and old is not None and old.error_type is not None,
    )


def _build_face(row: Row) -> Face:
    return Face(row.job, row.state, row.reason)
