"""A projection's file against the ledger that it was built from: what `jetmill verify --projection FILE` does.

The file may be in use. It is read as it was at one moment, with the sequence S that it had reached; then the ledger is
read up to S. Whatever differs is asked for again in the ledger, for keepers purge meanwhile. A chain that is gone stays
in the projection until the next sweep: for ten minutes that is no difference.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from jetmill.bus.ports import Bus
from jetmill.errors import CodecError, ConfigError
from jetmill.ledger.retention import retention_of
from jetmill.ledger.scan import scan
from jetmill.protocol.record import Entry, JobSettings, Record
from jetmill.protocol.state import State
from jetmill_operator.gateway.projection import sql

SWEPT_SECONDS = 600.0
"""By then a sweep has found that a chain is gone."""


class Seen(NamedTuple):
    """What both say of a job."""

    job: str
    state: str
    enqueueing: int
    attempt: int
    updated: int
    seq: int


Finding = tuple[str, list[int], str, str]
"""The job's id, sequences, the rule, and what is wrong."""


async def compare(bus: Bus, *, namespace: str, path: str) -> tuple[int, list[Finding]]:
    """How many jobs the projection has, and where it differs from the ledger; raises BusError, and ConfigError for a
    file that is no projection of the namespace.
    """
    seq, rows = await asyncio.to_thread(read_file, Path(path), namespace)
    head = await bus.ledger.last_seq()
    if head < seq:
        text = f"built up to {seq}, and the ledger ends at {head}: it is another one"
        return len(rows), [("", [seq, head], "projection", text)]
    last = await _read_ledger(bus, seq)
    settings = {one.job: one for one in await bus.admin.all_settings()}
    findings = []
    for job_id in last.keys() | rows.keys():
        row, entry = rows.get(job_id), last.get(job_id)
        if entry is not None and row == _see(entry):
            continue
        finding = await _judge(bus, job_id, row=row, entry=entry, settings=settings)
        if finding is not None:
            findings.append(finding)
    return len(rows), findings


def read_file(path: Path, namespace: str) -> tuple[int, dict[str, Seen]]:
    """What a file says of a namespace: the sequence that it has reached, and its jobs by id; raises ConfigError."""
    if not path.is_file():
        raise ConfigError(f"{path} is no file", cure="see JETMILL_GATEWAY_PROJECTION of the gateway")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)) as file:
            file.execute("BEGIN")
            for ns, name, seq, next_number in file.execute(sql.NAMESPACES).fetchall():
                if name == namespace:
                    rows = file.execute(sql.STATES, (ns, 0, next_number))
                    return seq, {row[0]: Seen(*row[1:]) for row in rows}
    except sqlite3.DatabaseError as err:
        raise ConfigError(f"{path} cannot be read as a projection: {err}") from err
    raise ConfigError(f"{path} holds no namespace {namespace}")


async def _read_ledger(bus: Bus, until: int) -> dict[str, Entry]:
    """The last record of each job up to a sequence; what cannot be decoded neither of the two has."""
    last: dict[str, Entry] = {}
    async for entries in scan(bus.ledger, start=1, until=until):
        if isinstance(entries, CodecError):
            continue
        for entry in entries:
            last[entry.id] = Entry(entry.id, entry.seq, entry.time, _lighten(entry.record))
    return last


def _see(entry: Entry) -> Seen:
    record = entry.record
    return Seen(record.job, record.state.value, record.enqueueing, record.attempt, entry.time, entry.seq)


async def _judge(
    bus: Bus, job_id: str, *, row: Seen | None, entry: Entry | None, settings: dict[str, JobSettings]
) -> Finding | None:
    """Say what is wrong with one job, if it is still so."""
    try:
        now = await bus.ledger.read(job_id)
    except CodecError:
        return None  # neither can read it
    if entry is not None and row is not None:
        text = ", ".join(_differences(row, _see(entry)))
        return (job_id, [row.seq, entry.seq], "projection", f"the projection has {text} in the ledger")
    if entry is not None:
        return None if now is None else (job_id, [entry.seq], "projection", "the projection does not have it")
    assert row is not None
    if now is not None:  # purged up to there, and opened again
        return None
    return _judge_gone(bus, job_id, row, settings)


def _judge_gone(bus: Bus, job_id: str, row: Seen, settings: dict[str, JobSettings]) -> Finding | None:
    record = Record(state=State(row.state), enqueueing=1, attempt=1, job=row.job, time=row.updated, by="")
    over_seconds = (bus.link.now() - row.updated - retention_of(record, settings)) / 1e6
    if record.final and 0 <= over_seconds < SWEPT_SECONDS:
        return None
    return (job_id, [row.seq], "projection", f"the projection has it as {row.state}, and the ledger has it no more")


def _differences(row: Seen, entry: Seen) -> Iterator[str]:
    for name, mine, truth in zip(Seen._fields, row, entry, strict=True):
        if mine != truth:
            yield f"{name} {mine}, which is {truth}"


def _lighten(record: Record) -> Record:
    """Only what is compared: a million records with their payloads would not fit."""
    return Record(
        state=record.state,
        enqueueing=record.enqueueing,
        attempt=record.attempt,
        job=record.job,
        time=record.time,
        by="",
    )
