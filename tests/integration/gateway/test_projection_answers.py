"""Answers over more than fits a glance: statistics, plans, what is common and what is rare, what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from factories import NOON, make_entry, make_error
from jetmill.errors import InputError
from jetmill.protocol.record import Call, Entry
from jetmill.protocol.state import State
from jetmill_operator.gateway.projection import SORTS, BadCursorError, JobFilter, Projection, Sort
from jetmill_operator.gateway.projection.explain import ANSWERING, explain, explain_statement

MINUTE = 60_000_000
ALL = JobFilter(namespace="shop")


@pytest.fixture
async def projection() -> AsyncIterator[Projection]:
    projection = await Projection.open()
    yield projection
    await projection.close()


@pytest.mark.parametrize("name", ANSWERING)
async def test_no_statement_reads_a_table_from_end_to_end(projection: Projection, name: str) -> None:
    """What SQLite calls a scan may be of the list that was handed in, of a trigram's matches, of a bounded subquery."""
    plan = explain_statement(projection, ANSWERING[name])
    allowed = ("SCAN wanted VIRTUAL TABLE", "SCAN text_match VIRTUAL TABLE INDEX 0:M", "SCAN (subquery")
    assert any(line.startswith(("SEARCH", "SCAN text_match VIRTUAL TABLE INDEX 0:M")) for line in plan)
    assert [line for line in plan if line.startswith("SCAN") and not line.startswith(allowed)] == []


def test_a_plan_names_what_answers() -> None:
    wanted = JobFilter(namespace="shop", state=frozenset({State.FAILED}), user="ada", error="timeout", created_after=1)
    assert explain(wanted) == (
        "bitmaps of state, created; bitmaps or postings of user; trigrams of error; rows by number"
    )


def make_many(count: int, *, start: int = 0) -> list[Entry]:
    """Failed jobs, each of the same user and with a label of its own."""
    return [
        make_entry(
            State.FAILED,
            id=f"job-{number}",
            seq=number + 1,
            time=NOON + number,
            call=Call(user="ada", labels={"number": str(number)}),
            error=make_error(message=f"no order {number}"),
        )
        for number in range(start, start + count)
    ]


async def test_a_value_that_becomes_common_is_found_as_before_and_after_a_restart(tmp_path: Path) -> None:
    """Beyond 4,096 jobs it has a bitmap, below it is read from the file."""
    path = tmp_path / "projection.db"
    projection = await Projection.open(path)
    ada = JobFilter(namespace="shop", user="ada")
    one = JobFilter(namespace="shop", user="ada", label={"number": "4200"})
    for start in range(0, 4_500, 500):
        await projection.write("shop", make_many(500, start=start))
        assert await projection.count(ada) == start + 500
    for _ in range(2):
        assert await projection.count(ada) == 4_500
        assert [row.id for row in (await projection.list(one)).items] == ["job-4200"]
        (group,) = await projection.group(ALL, by="user")
        assert (group.key, group.count, group.example) == ("ada", 4_500, "job-4499")
        (group,) = await projection.group(ALL, by="error")
        assert (group.key, group.count) == ("ValueError: no order #", 4_500)
        await projection.close()
        projection = await Projection.open(path)
    await projection.remove("shop", {f"job-{number}": number + 1 for number in range(4_400)})
    assert await projection.count(ada) == await projection.count(ALL) == 100
    assert await projection.count(JobFilter(namespace="shop", error="no order 7")) == 0
    await projection.write("shop", make_many(1, start=4_500))
    assert await projection.count(ada) == 101
    await projection.close()


async def test_a_cursor_of_one_gateway_goes_on_at_another(projection: Projection, tmp_path: Path) -> None:
    """One has read all, the other begins later, after chains were purged: their numbers of jobs differ."""
    other = await Projection.open(tmp_path / "other.db")
    await projection.write("shop", make_many(20))
    await other.write("shop", make_many(12, start=8))
    sorts: tuple[Sort, ...] = ("-created", "-updated")
    for sort in sorts:
        first = await projection.list(ALL, sort=sort, limit=5)
        second = await other.list(ALL, sort=sort, limit=5, cursor=first.next_cursor)
        assert second.items[0].id == "job-14"
    await other.close()


async def test_namespaces_do_not_see_each_other(projection: Projection) -> None:
    await projection.write("shop", make_many(3))
    await projection.write("office", make_many(2))
    assert await projection.count(ALL) == 3
    assert await projection.count(JobFilter(namespace="office", error="no order")) == 2
    await projection.clear("shop")
    assert await projection.count(ALL) == 0
    assert await projection.count(JobFilter(namespace="office", user="ada", error="no order")) == 2


async def test_statistics_add_up(projection: Projection) -> None:
    entries = []
    for number in range(120):  # one each minute, which waits 1 s and runs 3 s
        fields = {"id": f"job-{number}", "job": "mail" if number % 2 else "bill"}
        start = NOON + number * MINUTE
        entries += [
            make_entry(State.QUEUED, seq=3 * number + 1, time=start, **fields),
            make_entry(State.RUNNING, seq=3 * number + 2, time=start + 1_000_000, payload_seq=1, **fields),
            make_entry(State.SUCCEEDED, seq=3 * number + 3, time=start + 4_000_000, payload_seq=1, **fields),
        ]
    for start in range(0, 360, 50):
        await projection.write("shop", entries[start : start + 50])
    for step in (60, 600, 3_600):
        buckets = await projection.statistics("shop", since=NOON, until=NOON + 120 * MINUTE, step_seconds=step)
        assert sum(bucket.succeeded for bucket in buckets) == sum(bucket.enqueued for bucket in buckets) == 120
        assert [bucket.time for bucket in buckets] == sorted({bucket.time for bucket in buckets})
        busy = next(bucket for bucket in buckets if bucket.started)
        assert busy.wait_p50 == pytest.approx(1.0, rel=0.1)
        assert busy.run_p99 == pytest.approx(3.0, rel=0.1)
    mail = await projection.statistics("shop", since=NOON, until=NOON + 120 * MINUTE, step_seconds=60, job="mail")
    assert sum(bucket.succeeded for bucket in mail) == 60
    await projection.forget_statistics("shop", NOON + 3 * 86_400_000_000)  # the hours stay
    for step, kept in ((60, 0), (3_600, 120)):
        buckets = await projection.statistics("shop", since=NOON, until=NOON + 120 * MINUTE, step_seconds=step)
        assert sum(bucket.succeeded for bucket in buckets) == kept


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"sort": "duration"}, "sort"),
        ({"limit": 0}, "limit"),
        ({"limit": 1_001}, "limit"),
        ({"wanted": JobFilter(namespace="shop", error="no")}, "error"),
        ({"cursor": "AAAA"}, "cursor"),
    ],
)
async def test_what_cannot_be_answered_is_refused_with_its_field(projection: Projection, fields, field: str) -> None:
    given = {"wanted": ALL, **fields}
    with pytest.raises(InputError) as caught:
        await projection.list(given.pop("wanted"), **given)
    assert caught.value.field == field
    assert isinstance(caught.value, BadCursorError) == (field == "cursor")


@pytest.mark.parametrize(
    ("since", "until", "step", "field"),
    [
        (NOON, NOON, 60, "until"),
        (NOON + 1, NOON, 60, "until"),
        (-1, NOON, 3_600, "until"),
        (NOON, NOON + MINUTE, 59, "step"),
        (NOON, NOON + MINUTE, 0, "step"),
        (NOON, NOON + MINUTE, 90, "step"),
        (NOON, NOON + 3_000 * MINUTE, 60, "step"),
    ],
)
async def test_statistics_of_no_time_or_too_many_steps_are_refused(
    projection: Projection, since: int, until: int, step: int, field: str
) -> None:
    with pytest.raises(InputError) as caught:
        await projection.statistics("shop", since=since, until=until, step_seconds=step)
    assert caught.value.field == field


async def test_a_batch_that_fails_leaves_nothing_behind_and_can_come_again(projection: Projection) -> None:
    entries = make_many(10)
    broken = Entry("job-x", 11, NOON, make_error())  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        await projection.write("shop", [*entries, broken])
    assert (projection.seq("shop"), await projection.count(ALL)) == (0, 0)
    await projection.write("shop", entries)
    assert (projection.seq("shop"), await projection.count(ALL)) == (10, 10)


async def test_records_that_are_valid_and_absurd_are_taken_in(projection: Projection) -> None:
    """Whoever may write to the ledger cannot stop the projection by a number or a character."""
    huge = 10**30
    entry = make_entry(
        State.SCHEDULED,
        id="job-0",
        due=huge,
        attempt=huge,
        enqueueing=huge,
        crashes=huge,
        error=make_error(type="E\0", message="a\0b \u2028 \U0001f600" + "x" * 100_000),
        call=Call(user="\0", labels={"\0": "", "": "\0", "=": "1:"}),
        worker="w" * 10_000,
    )
    await projection.write("shop", [entry, make_entry(State.RETRYING, id="job-0", seq=2, due=-huge, enqueueing=huge)])
    for wanted in (ALL, JobFilter(namespace="shop", user="\0"), JobFilter(namespace="shop", label={"": "\0"})):
        (row,) = (await projection.list(wanted)).items
        assert (row.user, row.labels) == ("\0", {"\0": "", "": "\0", "=": "1:"})
        assert row.error_message is not None
        assert (row.error_type, row.error_message[:3], len(row.error_message)) == ("E\0", "a\0b", 4_000)
    assert await projection.count(JobFilter(namespace="shop", error="\U0001f600xx")) in (0, 1)


def make_run(number: int, *, job: str, start: int, wait: float, run: float) -> list[Entry]:
    """A job that waited and ran for so many seconds."""
    fields = {"id": f"job-{number}", "job": job}
    begun = start + round(wait * 1e6)
    return [
        make_entry(State.QUEUED, seq=3 * number + 1, time=start, **fields),
        make_entry(State.RUNNING, seq=3 * number + 2, time=begun, payload_seq=1, **fields),
        make_entry(State.SUCCEEDED, seq=3 * number + 3, time=begun + round(run * 1e6), payload_seq=1, **fields),
    ]


async def test_how_long_jobs_wait_and_run_is_told_for_each_job_over_a_window(projection: Projection) -> None:
    entries = []
    for number in range(100):  # ninety wait a second, ten a minute; an hour before that all waited for longer
        entries += make_run(number, job="mail", start=NOON, wait=600.0, run=1.0)
    for number in range(100, 200):
        entries += make_run(number, job="mail", start=NOON + 60 * MINUTE, wait=1.0 if number < 190 else 60.0, run=3.0)
    await projection.write("shop", entries)
    now = NOON + 63 * MINUTE
    mail, none = await projection.flow("shop", ["mail", "none"], now=now, window_seconds=600)
    assert mail.wait is not None
    assert mail.run is not None
    assert (mail.wait.count, mail.run.count) == (100, 100)
    assert mail.wait.p50 == pytest.approx(1.0, rel=0.1)
    assert mail.wait.p95 == mail.wait.p99 == pytest.approx(60.0, rel=0.1)
    assert mail.run.p50 == mail.run.p99 == pytest.approx(3.0, rel=0.1)
    assert (none.oldest, none.wait, none.run) == (None, None, None)
    (longer,) = await projection.flow("shop", ["mail"], now=now, window_seconds=3 * 3_600)
    assert longer.wait is not None
    assert longer.wait.count == 200
    assert longer.wait.p99 == pytest.approx(600.0, rel=0.1)


async def test_the_oldest_that_waits_is_the_one_that_could_have_started_first(projection: Projection) -> None:
    async def find_oldest(now: int) -> int | None:
        (flow,) = await projection.flow("shop", ["mail"], now=now, window_seconds=600)
        return flow.oldest

    later = NOON + 10 * MINUTE
    waiting = {"job": "mail", "payload_seq": 1}
    await projection.write(
        "shop",
        [
            make_entry(State.SCHEDULED, id="planned", seq=1, time=NOON, due=later, job="mail"),
            make_entry(State.QUEUED, id="other", seq=2, time=NOON, job="report"),
            make_entry(State.QUEUED, id="second", seq=3, time=NOON + 2 * MINUTE, job="mail"),
            make_entry(State.QUEUED, id="third", seq=4, time=NOON + 3 * MINUTE, job="mail"),
        ],
    )
    assert await find_oldest(NOON + 4 * MINUTE) == NOON + 2 * MINUTE
    await projection.write("shop", [make_entry(State.RUNNING, id="second", seq=5, time=NOON + 4 * MINUTE, **waiting)])
    assert await find_oldest(NOON + 5 * MINUTE) == NOON + 3 * MINUTE
    await projection.write("shop", [make_entry(State.CANCELLED, id="third", seq=6, time=NOON + 5 * MINUTE, **waiting)])
    assert await find_oldest(NOON + 6 * MINUTE) is None, "one that is planned does not wait yet"
    due = NOON + 8 * MINUTE
    await projection.write(
        "shop", [make_entry(State.RETRYING, id="second", seq=7, time=NOON + 7 * MINUTE, due=due, **waiting)]
    )
    assert await find_oldest(NOON + 9 * MINUTE) == due
    await projection.remove("shop", {"second": 7})
    assert await find_oldest(NOON + 11 * MINUTE) == later


async def test_a_text_is_found_among_few_and_among_many_and_with_any_other_filter(projection: Projection) -> None:
    """Among few their texts are looked at, among many the jobs of each text that fits."""
    for start in range(0, 3_000, 500):
        await projection.write("shop", make_many(500, start=start))
    everything = JobFilter(namespace="shop", error="NO ORDER 1")
    wanted = [f"job-{number}" for number in range(3_000) if str(number).startswith("1")]
    assert await projection.count(everything) == len(wanted)
    sorts: tuple[Sort, ...] = ("created", "updated")
    for sort in sorts:
        assert [row.id for row in (await projection.list(everything, sort=sort, limit=1_000)).items] == wanted[:1_000]
    few = JobFilter(namespace="shop", error="no order 1", created_after=NOON + 1_150, created_before=NOON + 2_050)
    assert [row.id for row in (await projection.list(few, sort="created", limit=1_000)).items] == [
        f"job-{number}" for number in range(1_150, 2_000)
    ]
    assert [group.count for group in await projection.group(few, by="state")] == [850]
    one = JobFilter(namespace="shop", error="no order 1", label={"number": "1234"})
    assert [row.id for row in (await projection.list(one)).items] == ["job-1234"]
    assert await projection.count(JobFilter(namespace="shop", error="no order 2", label={"number": "1234"})) == 0


async def test_pages_of_a_text_have_each_job_once_in_order(projection: Projection) -> None:
    """A page is looked for among the jobs that come first, and among all if those do not fill it."""
    for start in range(0, 2_000, 500):
        await projection.write("shop", make_many(500, start=start))
    for text in ("no order", "order 11"):  # which all have, and one in nine
        fitting = [f"job-{number}" for number in range(2_000) if text in f"no order {number}"]
        for sort in SORTS:
            pages = await read_pages(projection, JobFilter(namespace="shop", error=text), sort)
            assert pages == (fitting[::-1] if sort.startswith("-") else fitting), (text, sort)


async def read_pages(projection: Projection, wanted: JobFilter, sort: Sort) -> list[str]:
    pages, cursor = list[str](), None
    while pages == [] or cursor is not None:
        page = await projection.list(wanted, sort=sort, limit=37, cursor=cursor)
        pages += [row.id for row in page.items]
        cursor = page.next_cursor
    return pages


async def test_a_job_that_is_enqueued_again_is_not_found_by_its_error_of_before(tmp_path: Path) -> None:
    """Also after a restart, and where there are many with errors."""
    wanted = JobFilter(namespace="shop", error="no order 7")
    projection = await Projection.open(tmp_path / "projection.db")
    await projection.write("shop", make_many(20))
    assert await projection.count(wanted) == 1
    again = make_entry(State.QUEUED, id="job-7", seq=21, time=NOON + MINUTE, enqueueing=2, payload_seq=8)
    await projection.write("shop", [again])
    assert await projection.count(wanted) == 0
    await projection.close()
    projection = await Projection.open(tmp_path / "projection.db")
    assert await projection.count(wanted) == 0
    assert await projection.count(JobFilter(namespace="shop", error="no order")) == 19
    await projection.write(
        "shop",
        [
            make_entry(
                State.FAILED,
                id="job-7",
                seq=22,
                time=NOON + 2 * MINUTE,
                enqueueing=2,
                payload_seq=8,
                error=make_error(message="no order 7"),
            )
        ],
    )
    assert await projection.count(wanted) == 1
    await projection.close()
