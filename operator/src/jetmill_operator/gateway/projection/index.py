"""Which jobs of a namespace have which values: bitmaps for what is common, in memory.

States, reasons and Jobs have one bitmap each. Users, schedules, labels and groups of errors may be as many as jobs:
they have postings in the file, and a bitmap here only if more than 4,096 jobs share the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jetmill.protocol.name import is_delivery
from jetmill.protocol.state import Reason
from jetmill_operator.gateway.projection.bits import Bits
from jetmill_operator.gateway.projection.column import Column
from jetmill_operator.gateway.projection.filter import JobFilter, Sort

HEAVY = 4_096
"""A facet of more jobs than this has a bitmap in memory."""


KINDS = ("job", "state", "reason")


class Face(NamedTuple):
    """What of a job can change and has a bitmap for each value: the fields are KINDS."""

    job: str
    state: str
    reason: str | None


class Change(NamedTuple):
    """What a commit changed of one job."""

    number: int
    before: Face | None
    """None: the job is new."""
    after: Face
    created: int
    updated: int
    born: int
    seq: int
    erred: bool
    """It has an error, of this enqueueing."""
    cured: bool
    """It had one before, and has none."""


class Index:
    """The jobs of one namespace; who uses it holds its lock."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.seq = 0
        self.alive = Bits()
        self.deliveries = Bits()
        """Those of Webhooks, which a list holds only where it is asked for them."""
        self.erred = Bits()
        """Those with an error: the only ones that a text is looked for among."""
        self.faces: dict[tuple[str, str], Bits] = {}
        """By kind (`job`, `state`, `reason`) and value."""
        self.heavy: dict[int, Bits] = {}
        """By facet."""
        self._born, self._created = Column(), Column()
        self._seq, self._updated = Column(), Column()
        self._newest = 0

    def apply(self, changes: Sequence[Change]) -> None:
        """Take in what a commit changed; each job once."""
        added: dict[tuple[str, str], list[int]] = {}
        removed: dict[tuple[str, str], list[int]] = {}
        for change in changes:
            before, after = change.before, change.after
            for kind in range(len(KINDS)):
                value, old = after[kind], None if before is None else before[kind]
                if value == old:
                    continue
                if value is not None:
                    added.setdefault((KINDS[kind], value), []).append(change.number)
                if old is not None:
                    removed.setdefault((KINDS[kind], old), []).append(change.number)
        for key, numbers in removed.items():
            self.faces[key].remove(numbers)
        for key, numbers in added.items():
            self.faces.setdefault(key, Bits()).add(numbers)
        self.erred.remove(change.number for change in changes if change.cured)
        self.erred.add(change.number for change in changes if change.erred)
        new = [change for change in changes if change.before is None]
        self.alive.add(change.number for change in new)
        self.deliveries.add(change.number for change in new if is_delivery(change.after.job))
        self._born.put((change.number, change.born) for change in new)
        self._created.put((change.number, self._clamp(change.created)) for change in new)
        self._seq.put((change.number, change.seq) for change in changes)
        self._updated.put((change.number, change.updated) for change in changes)

    def load(self, rows: Sequence[tuple[int, str, str, str | None, int, int, int, int, int]]) -> None:
        """Take in stored jobs, by number: number, job, state, reason, created, updated, born, seq, erred (0 or 1)."""
        added: dict[tuple[str, str], list[int]] = {}
        for number, job, state, reason, *_ in rows:
            added.setdefault(("job", job), []).append(number)
            added.setdefault(("state", state), []).append(number)
            if reason is not None:
                added.setdefault(("reason", reason), []).append(number)
        for key, numbers in added.items():
            self.faces.setdefault(key, Bits()).add(numbers)
        self.alive.add(row[0] for row in rows)
        self.deliveries.add(row[0] for row in rows if is_delivery(row[1]))
        self.erred.add(row[0] for row in rows if row[8])
        self._created.put((row[0], self._clamp(row[4])) for row in rows)
        self._updated.put((row[0], row[5]) for row in rows)
        self._born.put((row[0], row[6]) for row in rows)
        self._seq.put((row[0], row[7]) for row in rows)

    def settle(self) -> None:
        """Work out beforehand what the first question would have to wait for."""
        for column in (self._born, self._created, self._seq, self._updated):
            column.settle()

    def _clamp(self, created: int) -> int:
        """Clocks of servers differ; in the order of the ledger no job is older than the one before it."""
        self._newest = max(self._newest, created)
        return self._newest

    def remove(self, numbers: Sequence[int]) -> None:
        """Forget jobs."""
        gone = Bits.of(numbers)
        for bits in (self.alive, self.deliveries, self.erred, *self.faces.values(), *self.heavy.values()):
            bits.cut(gone)
        first = next(iter(self.alive.first(1)), None)
        if first is not None:
            for column in (self._born, self._created, self._seq, self._updated):
                column.drop_before(first)

    def select(self, wanted: JobFilter, narrowed: Iterable[Bits]) -> Bits:
        """The jobs that fit; `narrowed` are the sets for what has no bitmap here. A text is not compared: those that
        have an error at all are in it.

        Deliveries are left out unless they are asked for by Job, slots that were withdrawn unless by reason.
        """
        sets = list(narrowed)
        for kind, values in (("job", wanted.job), ("state", wanted.state), ("reason", wanted.reason)):
            if values:
                sets.append(self._any(kind, values))
        if wanted.created_after is not None or wanted.created_before is not None:
            sets.append(self._created.between(wanted.created_after, wanted.created_before))
        if wanted.updated_after is not None or wanted.updated_before is not None:
            sets.append(self._updated.between(wanted.updated_after, wanted.updated_before))
        if wanted.error is not None:
            sets.append(self.erred)
        found = self.alive if wanted.job else self.alive - self.deliveries
        if not wanted.reason:
            found = found - self._any("reason", (Reason.WITHDRAWN,))
        for one in sorted(sets, key=lambda bits: len(bits.pieces)):
            found = found & one
        return found

    def stand(self, *, job: str | None, state: str | None) -> Bits:
        """All jobs of a Job, in a state, or both; of Webhooks too."""
        found = self.alive
        for kind, value in (("job", job), ("state", state)):
            if value is not None:
                found = found & self._any(kind, (value,))
        return found

    def _any(self, kind: str, values: Iterable[str]) -> Bits:
        found = Bits()
        for value in values:
            bits = self.faces.get((kind, value))
            if bits is not None:
                found = found | bits
        return found

    def pick(self, found: Bits, sort: Sort, limit: int, *, beyond: int | None) -> list[int]:
        """The first `limit` of the found in an order; `beyond` is the sequence that a cursor names."""
        match sort:
            case "-created" | "created":
                if beyond is not None:
                    after, before = (None, beyond) if sort == "-created" else (beyond + 1, None)
                    found = found & self._born.between(after, before)
                return found.last(limit) if sort == "-created" else found.first(limit)
            case "-updated" | "updated":
                return self._seq.pick(found, limit, beyond=beyond, largest=sort == "-updated")

    def mark_of(self, number: int, sort: Sort) -> int:
        """The sequence by which a cursor names a job's place."""
        return (self._born if sort in ("-created", "created") else self._seq).get(number)

    def group(self, found: Bits, kind: str) -> list[tuple[str, int, int]]:
        """Among the found each value of a kind, how many have it, and the newest number."""
        groups = []
        left = found
        for (one, value), bits in self.faces.items():
            if one == kind and (both := found & bits):
                groups.append((value, len(both), both.last(1)[0]))
                left = left - both
        if left:
            groups.append(("", len(left), left.last(1)[0]))
        return groups
