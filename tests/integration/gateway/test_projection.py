"""The projection on a real ledger: followed, resumed, begun anew, swept, compared."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from factories import JOB, make_data, make_error, make_holder, make_job_id, make_settings
from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.errors import ConfigError
from jetmill.protocol.record import Call
from jetmill.protocol.state import Reason, State
from jetmill_operator.gateway.projection import Ingest, JobFilter, Projection
from jetmill_operator.gateway.projection.compare import compare
from support.nats import NatsServer
from support.wait import PROCESS_SECONDS, eventually, soon


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer.start(tmp_path_factory.mktemp("projection")) as server:
        yield server


async def open_bus(server: NatsServer, namespace: str) -> Bus:
    bus = await connect(BusOptions(server.url, namespace=namespace))
    await bus.admin.apply_namespace()
    return bus


@pytest.fixture
async def bus(shared_server: NatsServer) -> AsyncIterator[Bus]:
    """In a namespace of its own."""
    bus = await open_bus(shared_server, f"p-{secrets.token_hex(6)}")
    yield bus
    await bus.link.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "projection.db"


@asynccontextmanager
async def ingesting(path: Path, bus: Bus, *, rebuild: bool = False) -> AsyncIterator[tuple[Projection, Ingest]]:
    projection = await Projection.open(path)
    ingest = Ingest(
        projection,
        bus,
        namespace=namespace_of(bus),
        rebuild=rebuild,
        look_seconds=0.02,
        sweep_seconds=3_600,
        pause_seconds=0.02,
    )
    task = asyncio.create_task(ingest.run())
    try:
        yield projection, ingest
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await projection.close()


def namespace_of(bus: Bus) -> str:
    return bus.subjects.namespace


def everything(bus: Bus) -> JobFilter:
    return JobFilter(namespace=namespace_of(bus))


async def enqueue(bus: Bus, job_id: str | None = None) -> tuple[str, int]:
    job_id = job_id or make_job_id()
    return job_id, await bus.ledger.append(job_id, make_data(call=Call(user="ada", labels={"a": "b"})), expected=0)


async def finish(bus: Bus, job_id: str, seq: int, state: State = State.SUCCEEDED) -> int:
    error = make_error() if state is State.FAILED else None
    running = await bus.ledger.append(job_id, make_data(State.RUNNING, payload_seq=seq), expected=seq)
    return await bus.ledger.append(job_id, make_data(state, payload_seq=seq, error=error), expected=running)


async def caught_up(projection: Projection, bus: Bus) -> None:
    assert await projection.reached(namespace_of(bus), await bus.ledger.last_seq(), timeout_seconds=60)


async def test_who_waits_for_the_sequence_of_a_write_reads_that_write(bus: Bus, path: Path) -> None:
    async with ingesting(path, bus) as (projection, _):
        for _ in range(20):
            job_id, seq = await enqueue(bus)
            seq = await finish(bus, job_id, seq, State.FAILED)
            assert await projection.reached(namespace_of(bus), seq, timeout_seconds=60)
            (row,) = await projection.facts(namespace_of(bus), [job_id])
            assert (row.state, row.seq, row.user, row.labels) == (State.FAILED, seq, "ada", {"a": "b"})
            assert row.ended is not None


async def test_a_sequence_that_never_comes_is_not_waited_for_longer_than_asked(bus: Bus, path: Path) -> None:
    async with ingesting(path, bus) as (projection, _):
        assert not await projection.reached(namespace_of(bus), 1_000_000, timeout_seconds=0.01)


async def test_a_projection_goes_on_where_it_stopped(bus: Bus, path: Path) -> None:
    async with ingesting(path, bus) as (projection, _):
        first, seq = await enqueue(bus)
        await caught_up(projection, bus)
    await finish(bus, first, seq)
    second, _ = await enqueue(bus)
    projection = await Projection.open(path)
    seen: list[int] = []
    projection.on_entries(lambda namespace, entries: seen.extend(entry.seq for entry in entries))
    ingest = Ingest(projection, bus, namespace=namespace_of(bus))
    await ingest.begin()
    await ingest.catch_up(await bus.ledger.last_seq())
    assert seen == [seq + 1, seq + 2, seq + 3]
    states = {row.id: row.state for row in await projection.facts(namespace_of(bus), [first, second])}
    assert states == {first: State.SUCCEEDED, second: State.QUEUED}
    await projection.close()


async def test_a_rebuild_begins_from_nothing(bus: Bus, path: Path) -> None:
    async with ingesting(path, bus) as (projection, _):
        await enqueue(bus)
        await caught_up(projection, bus)
    with closing(sqlite3.connect(path)) as file:
        file.execute("UPDATE job SET state = 'failed'")
        file.commit()
    async with ingesting(path, bus, rebuild=True) as (projection, _):
        queued = JobFilter(namespace=namespace_of(bus), state=frozenset({State.QUEUED}))
        await eventually(lambda: projection.count(queued))
        assert await projection.count(everything(bus)) == 1


async def test_what_is_no_job_of_ours_does_not_keep_the_lag_from_nothing(bus: Bus, path: Path) -> None:
    """Holders of gates lie in the ledger too."""
    async with ingesting(path, bus) as (projection, _):
        await enqueue(bus)
        await bus.ledger.append_holder("0" * 32, make_holder(), expected=0)
        await caught_up(projection, bus)
        await eventually(lambda: projection.lag(namespace_of(bus)).seconds == 0)
        assert projection.lag(namespace_of(bus)).records == 0
        assert projection.lag(namespace_of(bus)).complete


async def test_until_it_has_read_everything_once_it_says_that_its_lists_lack_something(bus: Bus, path: Path) -> None:
    await enqueue(bus)
    projection = await Projection.open(path)
    ingest = Ingest(projection, bus, namespace=namespace_of(bus))
    assert not projection.lag(namespace_of(bus)).complete
    await ingest.begin()
    lag = projection.lag(namespace_of(bus))
    assert (lag.complete, lag.records) == (False, 1)
    await ingest.catch_up(1)
    lag = projection.lag(namespace_of(bus))
    assert (lag.complete, lag.records) == (True, 0)
    await projection.close()


async def test_a_record_that_cannot_be_read_is_passed_over(bus: Bus, path: Path) -> None:
    async with ingesting(path, bus) as (projection, _):
        await enqueue(bus)
        await bus.ledger.append(make_job_id(), b'{"v":99}', expected=0)
        job_id, seq = await enqueue(bus)
        assert await projection.reached(namespace_of(bus), seq, timeout_seconds=60)
        assert [row.id for row in await projection.facts(namespace_of(bus), [job_id])] == [job_id]
        assert await projection.count(everything(bus)) == 2


async def test_following_goes_on_when_the_server_is_back(tmp_path: Path, path: Path) -> None:
    with NatsServer.start(tmp_path / "nats", sync_interval="always") as server:
        bus = await open_bus(server, "shop")
        async with ingesting(path, bus) as (projection, _):
            await enqueue(bus)
            await caught_up(projection, bus)
            server.kill()
            await eventually(lambda: not bus.link.connected)
            server.restart()
            await eventually(lambda: bus.link.connected)
            await enqueue(bus)
            await caught_up(projection, bus)
            assert await projection.count(everything(bus)) == 2
        await bus.link.close()


@pytest.mark.parametrize("jobs", [1, 5], ids=["a shorter ledger", "a longer ledger"])
async def test_another_ledger_is_noticed_and_read_from_its_beginning(tmp_path: Path, path: Path, jobs: int) -> None:
    """Restored from a backup, or made anew: what was projected of the old one is gone."""
    folder = tmp_path / "nats"
    with NatsServer.start(folder) as server:
        bus = await open_bus(server, "shop")
        async with ingesting(path, bus) as (projection, _):
            old = [(await enqueue(bus))[0] for _ in range(3)]
            await caught_up(projection, bus)
        await bus.link.close()
        server.kill()
        shutil.rmtree(folder)
        folder.mkdir()
        server.restart()
        bus = await open_bus(server, "shop")
        new = {(await enqueue(bus))[0] for _ in range(jobs)}
        async with ingesting(path, bus) as (projection, _):
            page = await eventually(lambda: _page_of(projection, bus, jobs))
            assert {row.id for row in page} == new
            assert not await projection.facts("shop", old)
        await bus.link.close()


async def _page_of(projection: Projection, bus: Bus, jobs: int):
    page = await projection.list(everything(bus))
    return page.items if len(page.items) == jobs and page.seq == jobs else None


async def test_purged_chains_leave_and_kept_ones_stay(bus: Bus, path: Path) -> None:
    await bus.admin.apply_job(make_settings(succeeded_seconds=0.0, failed_seconds=3_600.0))
    async with ingesting(path, bus) as (projection, ingest):
        purged, kept, failed = [await enqueue(bus) for _ in range(3)]
        last = await finish(bus, *purged)
        await finish(bus, *kept)
        await finish(bus, *failed, State.FAILED)
        await caught_up(projection, bus)
        await bus.ledger.purge(purged[0], up_to=last + 1)
        assert await eventually(ingest.sweep_once) == 1
        rows = (await projection.list(everything(bus))).items
        assert {row.id for row in rows} == {kept[0], failed[0]}
        assert await projection.count(JobFilter(namespace=namespace_of(bus), user="ada")) == 2


async def test_a_job_that_ended_and_was_purged_while_nobody_read_leaves(bus: Bus, path: Path) -> None:
    async with ingesting(path, bus) as (projection, _):
        gone = await enqueue(bus)
        waiting = await enqueue(bus)
        await caught_up(projection, bus)
    last = await finish(bus, *gone)
    await bus.ledger.purge(gone[0], up_to=last + 1)
    async with ingesting(path, bus) as (projection, ingest):
        await caught_up(projection, bus)  # it has begun: it knows from where nobody read
        await eventually(ingest.sweep_once)
        assert [row.id for row in (await projection.list(everything(bus))).items] == [waiting[0]]


async def test_an_id_that_is_used_again_after_a_purge_is_a_new_job(bus: Bus, path: Path) -> None:
    async with ingesting(path, bus) as (projection, _):
        job_id, seq = await enqueue(bus)
        last = await finish(bus, job_id, seq, State.FAILED)
        await enqueue(bus)
        await bus.ledger.purge(job_id, up_to=last + 1)
        await enqueue(bus, job_id)
        await caught_up(projection, bus)
        rows = (await projection.list(everything(bus))).items
        assert rows[0].id == job_id
        assert (rows[0].state, rows[0].error_type, rows[0].started) == (State.QUEUED, None, None)
        assert len(rows) == await projection.count(everything(bus)) == 2
        assert await projection.count(JobFilter(namespace=namespace_of(bus), error="no such thing")) == 0


async def test_a_retry_by_a_person_begins_another_enqueueing(bus: Bus, path: Path) -> None:
    async with ingesting(path, bus) as (projection, _):
        job_id, seq = await enqueue(bus)
        last = await finish(bus, job_id, seq, State.FAILED)
        data = make_data(enqueueing=2, reason=Reason.REOPENED, call=Call(user="bob"))
        await bus.ledger.append(job_id, data, expected=last)
        await caught_up(projection, bus)
        (row,) = (await projection.list(everything(bus))).items
        assert (row.enqueueing, row.user, row.error_type, row.started, row.ended) == (2, "bob", None, None, None)


async def test_a_projection_under_load_is_what_the_ledger_says(bus: Bus, path: Path) -> None:
    async with ingesting(path, bus) as (projection, _):

        async def work() -> None:
            for number in range(40):
                await finish(bus, *await enqueue(bus), State.FAILED if number % 3 else State.SUCCEEDED)

        await caught_up(projection, bus)
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(work())
            group.create_task(_compare_often(bus, path))
        await caught_up(projection, bus)
        assert await compare(bus, namespace=namespace_of(bus), path=str(path)) == (200, [])


async def _compare_often(bus: Bus, path: Path) -> None:
    for _ in range(5):
        _, findings = await compare(bus, namespace=namespace_of(bus), path=str(path))
        assert not findings


async def test_a_comparison_names_each_difference(bus: Bus, path: Path) -> None:
    async with ingesting(path, bus) as (projection, _):
        changed, missing, extra = [(await enqueue(bus))[0] for _ in range(3)]
        await caught_up(projection, bus)
    with closing(sqlite3.connect(path)) as file:
        file.execute("UPDATE job SET state = 'failed' WHERE id = ?", [changed])
        file.execute("DELETE FROM job WHERE id = ?", [missing])
        file.commit()
    await bus.ledger.purge(extra, up_to=1_000_000)
    jobs, findings = await compare(bus, namespace=namespace_of(bus), path=str(path))
    assert jobs == 2
    texts = {finding[0]: finding[3] for finding in findings}
    assert texts[changed] == "the projection has state failed, which is queued in the ledger"
    assert texts[missing] == "the projection does not have it"
    assert texts[extra] == "the projection has it as queued, and the ledger has it no more"


async def test_a_file_that_is_no_projection_cannot_be_compared(bus: Bus, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no file"):
        await compare(bus, namespace=namespace_of(bus), path=str(tmp_path / "none.db"))
    (tmp_path / "text.db").write_text("no database " * 1_000)
    with pytest.raises(ConfigError, match="cannot be read"):
        await compare(bus, namespace=namespace_of(bus), path=str(tmp_path / "text.db"))


INGEST = """
import asyncio, sys
from pathlib import Path
from jetmill.bus.connect import BusOptions, connect
from jetmill_operator.gateway.projection import Ingest, JobFilter, Projection

async def main(url, namespace, path):
    projection = await Projection.open(Path(path))
    print((await projection.list(JobFilter(namespace=namespace))).seq, flush=True)
    projection.on_entries(lambda *_: print(projection.seq(namespace), flush=True))
    await Ingest(projection, await connect(BusOptions(url, namespace=namespace)), namespace=namespace).run()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_killed_in_the_middle_it_loses_and_repeats_nothing(
    bus: Bus, shared_server: NatsServer, path: Path
) -> None:
    jobs = await asyncio.gather(*(enqueue(bus) for _ in range(3_000)))
    await asyncio.gather(*(finish(bus, *job) for job in jobs[:1_000]))
    seqs: list[int] = []
    for _ in range(3):
        command = [sys.executable, "-c", INGEST, shared_server.url, namespace_of(bus), str(path)]
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        seqs.append(int(await soon(process.stdout.readline(), seconds=PROCESS_SECONDS)))  # where it goes on
        if seqs[-1] < 5_000:
            seqs.append(int(await soon(process.stdout.readline(), seconds=PROCESS_SECONDS)))
        process.kill()  # the next batch is on its way
        await process.wait()
    assert seqs == sorted(seqs)
    async with ingesting(path, bus) as (projection, _):
        await caught_up(projection, bus)
        assert await compare(bus, namespace=namespace_of(bus), path=str(path)) == (3_000, [])
        states = {group.key: group.count for group in await projection.group(everything(bus), by="state")}
        assert states == {"queued": 2_000, "succeeded": 1_000}
        assert await projection.count(JobFilter(namespace=namespace_of(bus), job=(JOB,), user="ada")) == 3_000


@pytest.fixture(params=["another shape", "no database"])
def unusable(request: pytest.FixtureRequest, path: Path) -> Path:
    if request.param == "no database":
        path.write_bytes(b"no database" * 1_000)
    else:
        with closing(sqlite3.connect(path)) as file:
            file.execute("CREATE TABLE job (x)")
            file.execute("PRAGMA user_version = 999")
    return path


async def test_a_file_that_cannot_be_used_is_made_anew(unusable: Path) -> None:
    path = unusable
    projection = await Projection.open(path)
    assert await projection.count(JobFilter(namespace="shop")) == 0
    await projection.close()
