"""The projection against a list of dictionaries: whatever is written, whatever is asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from factories import NOON, make_entry
from jetmill.protocol.record import Call, Entry, ErrorInfo
from jetmill.protocol.state import FINAL, Reason, State
from jetmill_operator.gateway.projection import SORTS, JobFilter, JobRow, Projection
from jetmill_operator.gateway.projection.fold import error_facet

NAMESPACE = "shop"
TEXTS = ["timed out after 30 s", "Timed out after 31 s", 'no "such" user 7', "größer als 5"]

calls = st.builds(
    Call,
    user=st.none() | st.sampled_from(["ann", "bob"]),
    labels=st.none() | st.dictionaries(st.sampled_from(["env", "team"]), st.sampled_from(["a", "b"]), max_size=2),
)
errors = st.builds(ErrorInfo, type=st.sampled_from(["ValueError", "shop.Timeout"]), message=st.sampled_from(TEXTS))
steps = st.tuples(
    st.integers(0, 12),
    st.sampled_from(State),
    st.sampled_from(["mail", "bill", "ship"]),
    st.none() | st.sampled_from([Reason.EXHAUSTED, Reason.TIMEOUT, Reason.WITHDRAWN]),
    st.none() | st.sampled_from(["nightly"]),
    calls,
    st.none() | errors,
    st.integers(0, 90),
)
moments = st.none() | st.integers(0, 1_500).map(lambda seconds: NOON + seconds * 1_000_000)
filters = st.builds(
    JobFilter,
    namespace=st.just(NAMESPACE),
    job=st.lists(st.sampled_from(["mail", "bill", "none"]), max_size=2).map(tuple),
    state=st.frozensets(st.sampled_from(State), max_size=3),
    reason=st.lists(st.sampled_from(["exhausted", "poison", "withdrawn"]), max_size=2).map(tuple),
    label=st.dictionaries(st.sampled_from(["env", "team"]), st.sampled_from(["a", "b"]), max_size=2),
    user=st.none() | st.sampled_from(["ann", "zoe"]),
    schedule=st.none() | st.just("nightly"),
    created_after=moments,
    created_before=moments,
    updated_after=moments,
    updated_before=moments,
    error=st.none() | st.sampled_from(["TIMED out", '"such"', "GRÖSSER", "größer", "Timeout", "xyz"]),
    error_group=st.none() | st.sampled_from([error_facet("ValueError", text) for text in TEXTS]) | st.just("none"),
)


def make_entries(given_steps: list[tuple[Any, ...]]) -> list[Entry]:
    """Records of a few jobs, in the order of a ledger; each after the first of its chain points to that."""
    entries: list[Entry] = []
    chains: dict[str, Entry] = {}
    time = NOON
    for seq, (number, state, job, reason, schedule, call, error, seconds) in enumerate(given_steps, start=1):
        time += seconds * 1_000_000
        job_id = f"job-{number}"
        first = chains.get(job_id)
        fields = {"job": job, "reason": reason, "schedule": schedule, "error": error}
        fields |= {"call": call} if first is None else {"payload_seq": first.seq}
        entry = make_entry(state, id=job_id, seq=seq * 3, time=time, **fields)
        chains.setdefault(job_id, entry)
        entries.append(entry)
    return entries


def fold(entries: list[Entry]) -> list[dict[str, Any]]:
    """The jobs by hand, the oldest first."""
    jobs: dict[str, dict[str, Any]] = {}
    for entry in entries:
        record = entry.record
        job = jobs.setdefault(
            entry.id, {"created": entry.time, "born": entry.seq, "error": None, "call": record.call, "started": None}
        )
        job |= {"id": entry.id, "updated": entry.time, "seq": entry.seq, "state": record.state}
        job |= {"job": record.job, "reason": record.reason, "schedule": record.schedule}
        job["ended"] = entry.time if record.state in FINAL else None
        if record.state is State.RUNNING:
            job["started"] = entry.time
        if record.error is not None:
            job["error"] = record.error
    return list(jobs.values())


def fits(job: dict[str, Any], wanted: JobFilter) -> bool:
    call, error = job["call"], job["error"]
    text = "" if error is None else f"{error.type}\n{error.message}"
    return all(
        (
            not wanted.job or job["job"] in wanted.job,
            not wanted.state or job["state"] in wanted.state,
            job["reason"] in wanted.reason if wanted.reason else job["reason"] != "withdrawn",
            wanted.label.items() <= (call.labels or {}).items(),
            wanted.user is None or call.user == wanted.user,
            wanted.schedule is None or job["schedule"] == wanted.schedule,
            (wanted.created_after or 0) <= job["created"] < (wanted.created_before or 1 << 62),
            (wanted.updated_after or 0) <= job["updated"] < (wanted.updated_before or 1 << 62),
            wanted.error is None or wanted.error.lower() in text.lower(),
            wanted.error_group is None
            or (error is not None and error_facet(error.type, error.message) == wanted.error_group),
        )
    )


def compare(row: JobRow, job: dict[str, Any]) -> None:
    for name in ("id", "job", "state", "reason", "schedule", "created", "updated", "started", "ended", "seq"):
        assert getattr(row, name) == job[name], name
    assert row.user == job["call"].user
    assert row.labels == (job["call"].labels or {})
    error = job["error"]
    assert (row.error_type, row.error_message) == ((None, None) if error is None else (error.type, error.message))


@given(st.lists(steps, max_size=40), st.lists(filters, min_size=1, max_size=6), st.integers(1, 7), st.booleans())
@settings(max_examples=60)
def test_every_list_count_and_group_is_what_a_look_at_every_job_gives(given_steps, wanted, size, reopen) -> None:
    asyncio.run(_check(make_entries(given_steps), wanted, size=size, reopen=reopen))


async def _check(entries: list[Entry], wanted: list[JobFilter], *, size: int, reopen: bool) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "projection.db"
        projection = await Projection.open(path)
        for start in range(0, len(entries), size):
            await projection.write(NAMESPACE, entries[max(0, start - 1) : start + size])  # one comes again
        if reopen:  # what is in memory comes from the file
            await projection.close()
            projection = await Projection.open(path)
        try:
            jobs = fold(entries)
            assert projection.seq(NAMESPACE) == (entries[-1].seq if entries else 0)
            for one in [JobFilter(namespace=NAMESPACE), *wanted]:
                await _ask(projection, one, [job for job in jobs if fits(job, one)])
        finally:
            await projection.close()


async def _ask(projection: Projection, wanted: JobFilter, fitting: list[dict[str, Any]]) -> None:
    assert await projection.count(wanted) == len(fitting)
    for sort in SORTS:
        key = "born" if "created" in sort else "seq"
        expected = sorted(fitting, key=lambda job: job[key], reverse=sort.startswith("-"))
        rows, cursor = [], None
        while True:
            page = await projection.list(wanted, sort=sort, limit=3, cursor=cursor)
            rows += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        assert len(rows) == len(expected)
        for row, job in zip(rows, expected, strict=True):
            compare(row, job)
    for by in ("state", "job", "reason", "user"):
        values = Counter((job["call"].user if by == "user" else job[by]) or "" for job in fitting)
        groups = await projection.group(wanted, by=by)
        assert {group.key: group.count for group in groups} == values
        for group in groups:
            newest = [j for j in fitting if ((j["call"].user if by == "user" else j[by]) or "") == group.key][-1]
            assert (group.example, group.newest) == (newest["id"], newest["created"])
    errors_found = await projection.group(wanted, by="error")
    assert sum(group.count for group in errors_found) == len(fitting)
    if wanted.error_group is None:
        for group in errors_found:
            if group.key:
                exact = msgspec.structs.replace(wanted, error_group=group.key)
                assert await projection.count(exact) == group.count


@given(st.text(max_size=12).filter(lambda text: len(text) >= 3))
@settings(max_examples=40)
def test_any_text_can_be_looked_for(text: str) -> None:
    async def check() -> None:
        projection = await Projection.open()
        try:
            error = ErrorInfo(type="E", message=f"before {text} after")
            await projection.write(NAMESPACE, [make_entry(State.FAILED, error=error)])
            found = await projection.count(JobFilter(namespace=NAMESPACE, error=text))
            assert found in ((1,) if "\0" not in text else (0, 1))
        finally:
            await projection.close()

    asyncio.run(check())


def test_filters_can_be_written_down() -> None:
    """A selection is kept as its filter."""
    wanted = JobFilter(namespace=NAMESPACE, state=frozenset({State.FAILED}), label={"env": "a"}, error="timed out")
    assert msgspec.json.decode(msgspec.json.encode(wanted), type=JobFilter) == wanted
