"""What the reconciler does to a real server: no more than differs, and nothing to what is not its own."""

from __future__ import annotations

import asyncio
import json

import pytest
from nats.aio.msg import Msg

from factories import JOB, make_settings
from jetmill.bus.ports import Bus
from jetmill.errors import BusError, NotFoundError, ObstacleError, RefusedError
from jetmill.protocol.record import JobSettings
from support.nats import NatsCluster
from support.raw import Raw
from support.wait import eventually, soon

pytestmark = pytest.mark.integration
SECOND = 1_000_000_000


async def test_a_new_lease_time_changes_the_consumers_that_are_there(bus: Bus, raw: Raw) -> None:
    stream = bus.subjects.queue_stream(JOB)
    await bus.admin.apply_job(make_settings(lease_seconds=30.0))
    before = {band: await raw.consumer(stream, band) for band in ("high", "normal", "low")}
    await bus.admin.apply_job(make_settings(lease_seconds=7.5))
    for band, there in before.items():
        now = await raw.consumer(stream, band)
        assert (there["config"]["ack_wait"], now["config"]["ack_wait"]) == (30 * SECOND, 7.5 * SECOND)
        assert now["created"] == there["created"]


async def test_what_is_as_it_should_be_is_not_written_again(bus: Bus, raw: Raw) -> None:
    asked: list[str] = []

    async def note(message: Msg) -> None:
        asked.append(json.loads(message.data)["subject"].removeprefix("$JS.API."))

    await bus.admin.apply_job(make_settings(suspend=True))
    settings = f"KV_{bus.subjects.jobs_bucket}"
    written = (await raw.stream(settings))["state"]["last_seq"]
    await raw.client.subscribe("$JS.EVENT.ADVISORY.API", cb=note)
    await raw.client.flush()
    await bus.admin.apply_namespace()
    await bus.admin.apply_job(make_settings(suspend=True))
    assert (await raw.stream(settings))["state"]["last_seq"] == written
    await bus.admin.apply_job(make_settings("marker"))
    created = f"STREAM.CREATE.{bus.subjects.queue_stream('marker')}"
    await eventually(lambda: created in asked)
    writes = [subject for subject in asked if subject.split(".")[1] in ("CREATE", "UPDATE", "PAUSE", "DELETE")]
    assert next(subject for subject in writes if bus.subjects.namespace in subject) == created


async def test_what_an_administrator_set_besides_stays(bus: Bus, raw: Raw) -> None:
    events, ledger = bus.subjects.events_stream, bus.subjects.ledger_stream
    await raw.change_stream(events, description="kept by ops", max_bytes=1 << 30)
    await raw.change_stream(ledger, max_bytes=1 << 30)
    await bus.admin.apply_namespace()
    assert (await raw.stream(events))["config"]["description"] == "kept by ops"
    assert (await raw.stream(events))["config"]["max_bytes"] == 1 << 30
    assert (await raw.stream(ledger))["config"]["max_bytes"] == 1 << 30


async def test_no_limit_ever_takes_records_from_the_ledger(bus: Bus, raw: Raw) -> None:
    """An age limit is taken back; at a limit of size the writer gets an error instead of the oldest job's end."""
    ledger = bus.subjects.ledger_stream
    assert (await raw.stream(ledger))["config"]["discard"] == "new"
    await raw.change_stream(ledger, discard="old", max_age=3600 * SECOND, max_msgs_per_subject=5)
    await bus.admin.apply_namespace()
    config = (await raw.stream(ledger))["config"]
    assert (config["discard"], config.get("max_age", 0), config["max_msgs_per_subject"]) == ("new", 0, -1)


async def test_a_stream_of_that_name_with_other_subjects_is_left_alone(bus: Bus, raw: Raw) -> None:
    stream = bus.subjects.queue_stream(JOB)
    await raw.ask(f"STREAM.CREATE.{stream}", {"name": stream, "subjects": [f"{stream}.>"]})
    before = await raw.stream(stream)
    with pytest.raises(ObstacleError, match="not ours") as refused:
        await bus.admin.apply_job(make_settings())
    assert stream in str(refused.value)
    assert refused.value.cure
    with pytest.raises(ObstacleError, match="not ours"):
        await bus.admin.inspect_job(make_settings())
    assert await bus.admin.settings(JOB) is None
    with pytest.raises(ObstacleError, match="not ours"):
        await bus.admin.remove_job(JOB)
    after = await raw.stream(stream)
    assert (after["config"], after["created"]) == (before["config"], before["created"])


async def test_a_foreign_stream_that_takes_our_subjects_is_named(bus: Bus, raw: Raw) -> None:
    subject = bus.subjects.hint(JOB, "normal", "*")
    await raw.ask("STREAM.CREATE.someone-elses", {"name": "someone-elses", "subjects": [subject]})
    with pytest.raises(ObstacleError, match="overlap"):
        await bus.admin.apply_job(make_settings())
    await raw.ask("STREAM.DELETE.someone-elses")
    await bus.admin.apply_job(make_settings())


async def test_settings_that_cannot_be_read_stop_neither_who_watches_nor_who_writes(bus: Bus, raw: Raw) -> None:
    """A newer Jetmill, or somebody by hand, wrote them."""
    await bus.admin.apply_job(make_settings("good"))
    key = f"$KV.{bus.subjects.jobs_bucket}."
    await raw.put(f"{key}bad", b'{"v":99}')
    heard: dict[str, JobSettings | None] = {}
    await soon(bus.admin.watch_settings(heard.__setitem__))
    assert heard == {"good": make_settings("good")}
    await raw.put(f"{key}good", b"not json")
    await bus.admin.apply_job(make_settings("bad"))
    await eventually(lambda: heard.get("bad") == make_settings("bad"))
    await raw.put(f"{key}bad", b"not json")
    await bus.admin.remove_job("bad")
    await eventually(lambda: heard["bad"] is None)


async def test_settings_that_cannot_be_read_are_replaced_only_by_who_did_not_look(bus: Bus, raw: Raw) -> None:
    key = f"$KV.{bus.subjects.jobs_bucket}.bad"
    await raw.put(key, b'{"v":99,"uid":"newer"}')
    for before in (None, make_settings("bad")):
        with pytest.raises(RefusedError, match="version 99"):
            await bus.admin.apply_job(make_settings("bad"), before=before)
    with pytest.raises(RefusedError, match="newer"):
        await bus.admin.remove_job("bad", uid="older")
    await bus.admin.apply_job(make_settings("bad"))
    await raw.put(key, b"not json")
    await bus.admin.remove_job("bad", uid="any")
    assert await bus.admin.settings("bad") is None


async def test_a_watcher_whose_callback_fails_hears_of_the_next_change(bus: Bus) -> None:
    faults: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(str(context.get("exception"))))
    heard: list[str] = []

    def listen(job: str, _: JobSettings | None) -> None:
        heard.append(job)
        if job == "alpha":
            raise ValueError("listener's own fault")

    await bus.admin.watch_settings(listen)
    await bus.admin.apply_job(make_settings("alpha"))
    await bus.admin.apply_job(make_settings("bravo"))
    await eventually(lambda: heard == ["alpha", "bravo"])
    assert faults == ["listener's own fault"]


async def test_without_a_namespace_the_error_says_how_to_get_one(shared_server, open_bus) -> None:
    bus = await open_bus(shared_server)
    for asked in (bus.ledger.read("x"), bus.ledger.last_seq(), bus.admin.settings(JOB), bus.presence.get("w")):
        with pytest.raises(NotFoundError, match="jetmill dev"):
            await asked
    for asked in (bus.queue.hinted(JOB), bus.queue.purge(JOB, "x", up_to=9), bus.queue.last_seq(JOB)):
        with pytest.raises(NotFoundError, match="jetmill dev"):
            await asked
    with pytest.raises(BusError, match="jetmill dev"):
        await bus.ledger.append("x", b"{}", expected=0)
    with pytest.raises(BusError, match="jetmill dev"):
        await bus.admin.all_settings()


@pytest.mark.slow
async def test_a_namespace_grows_with_its_cluster_but_for_queues_of_one_copy(tmp_path, open_bus) -> None:
    """They hold hints only, and the server cannot change how they are written down; the error says what to do."""
    with NatsCluster.start(tmp_path) as cluster:
        bus = await open_bus(cluster)
        for replicas in (1, 3, 3):
            await bus.admin.apply_namespace(replicas=replicas)
        await bus.admin.apply_job(make_settings("new"), replicas=3)
        await bus.admin.apply_job(make_settings("old"), replicas=1)
        await bus.admin.apply_job(make_settings("old", generation=2), replicas=1)
        queue = bus.subjects.queue_stream("old")
        with pytest.raises(BusError, match=f"nats stream rm {queue}"):
            await bus.admin.apply_job(make_settings("old"), replicas=3)
        async with Raw.connect(cluster.url) as raw:
            await raw.ask(f"STREAM.DELETE.{queue}")
            await bus.admin.apply_job(make_settings("old"), replicas=3)
            for stream in (bus.subjects.ledger_stream, bus.subjects.queue_stream("new"), queue):
                assert (await raw.stream(stream))["config"]["num_replicas"] == 3
