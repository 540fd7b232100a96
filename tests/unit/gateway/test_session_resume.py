"""A session that goes on where another one ended: from the ring, the ledger or a snapshot; or a gap, said so."""

from __future__ import annotations

import pytest

from factories import make_job_id
from jetmill.bus.memory import MemoryWorld
from jetmill.protocol.state import State
from jetmill_operator.gateway.stream.backplane import Backplane
from jetmill_operator.gateway.stream.option import StreamOptions
from jetmill_operator.gateway.stream.snapshot import Snapshot
from jetmill_operator.gateway.stream.topic import Topic
from support.stream import Yard, append, append_to, make_yard, sweep
from support.wait import eventually


async def test_who_resumes_gets_what_he_missed_and_nothing_twice(yard: Yard) -> None:
    watch = yard.watch()
    await watch.subscribe("namespace")
    seqs = await append(yard.bus, 50)
    await watch.wait_seen("namespace", lambda seen: len(seen) == 50)
    await watch.end()
    seqs += await append(yard.bus, 50)
    again = yard.watch()
    again.add('{"type":"events","topic":"namespace","items":[]}')
    await again.subscribe("namespace", after=watch.cursor["namespace"])
    seqs += await append(yard.bus, 50)
    await again.wait_seen("namespace", lambda seen: seqs[-1] in seen)
    again.check("namespace", seqs[50:])


@pytest.mark.parametrize("ring", [0, 1, 10, 1000])
async def test_a_resume_reaches_back_into_the_ledger_while_more_comes(ring: int) -> None:
    yard = await make_yard(ring=ring, backlog=ring)
    seqs = await append(yard.bus, 1200)
    watch = yard.watch()
    await watch.subscribe("namespace", after=0)
    for _ in range(20):
        seqs += await append(yard.bus, 20)
    await watch.wait_seen("namespace", lambda seen: seqs[-1] in seen)
    watch.check("namespace", seqs)
    assert not watch.gaps
    await yard.backplane.close()


async def test_a_resume_on_another_gateway_has_no_seam(yard: Yard) -> None:
    watch = yard.watch()
    await watch.subscribe("namespace")
    seqs = await append(yard.bus, 10)
    await watch.wait_seen("namespace", lambda seen: len(seen) == 10)
    await watch.end()
    seqs += await append(yard.bus, 10)
    other = yard.make_backplane()
    again = yard.watch(at=other)
    await again.subscribe("namespace", after=watch.cursor["namespace"])
    seqs += await append(yard.bus, 10)
    await again.wait_seen("namespace", lambda seen: len(seen) == 20)
    again.check("namespace", seqs[10:])
    await other.close()


async def test_a_gateway_that_is_behind_the_clients_cursor_gives_nothing_twice() -> None:
    """Another gateway had told more than this one has flushed."""
    yard = await make_yard(window_seconds=0.05)
    first = yard.watch()
    await first.subscribe("namespace")
    seqs = await append(yard.bus, 10)
    await first.wait_seen("namespace", lambda seen: len(seen) == 10)
    seqs += await append(yard.bus, 10)  # in the window, not flushed
    again = yard.watch()
    await again.subscribe("namespace", after=seqs[-1])
    late = await append(yard.bus, 3)
    await again.wait_seen("namespace", lambda seen: late[-1] in seen)
    again.check("namespace", late)
    await yard.backplane.close()


async def test_what_lies_too_far_back_is_a_gap() -> None:
    yard = await make_yard(ring=10, backlog=10, replay=100)
    seqs = await append(yard.bus, 500)
    watch = yard.watch()
    await watch.subscribe("namespace", after=50)
    await watch.wait_seen("namespace", lambda seen: seqs[-1] in seen)
    assert watch.of_type("gap")[0] == {
        "type": "gap",
        "namespace": "shop",
        "topic": "namespace",
        "reason": "history",
        "after": 50,
        "seq": 400,
    }
    watch.check("namespace", [seq for seq in seqs if seq > 50])
    await yard.backplane.close()


async def test_what_was_purged_is_a_gap(yard: Yard) -> None:
    yard.backplane = yard.make_backplane()
    ids = [make_job_id() for _ in range(10)]
    for job_id in ids:
        await append_to(yard.bus, job_id, State.QUEUED, expected=0)
    for job_id in ids[:6]:
        await yard.bus.ledger.purge(job_id, up_to=11)
    small = StreamOptions(ring=1, backlog=1, window_seconds=0.001)
    backplane = Backplane({"shop": yard.bus}.get, options=small)
    watch = yard.watch(at=backplane)
    await watch.subscribe("namespace", after=2)
    await watch.wait_seen("namespace", lambda seen: 10 in seen)
    assert watch.gaps["namespace"] == [(2, 6)]
    watch.check("namespace", range(3, 11))
    gone = yard.watch(at=backplane)
    await gone.subscribe(f"job:{ids[0]}", after=1)
    assert (await gone.wait_for("gap"))["reason"] == "history"
    await backplane.close()


async def test_a_cursor_of_another_ledger_is_a_gap(yard: Yard) -> None:
    await append(yard.bus, 3)
    watch = yard.watch()
    await watch.subscribe("namespace", after=9_000)
    gap = await watch.wait_for("gap")
    assert (gap["reason"], gap["after"], gap["seq"]) == ("reset", 9_000, 3)
    seqs = await append(yard.bus, 2)
    await watch.wait_seen("namespace", lambda seen: len(seen) == 2)
    watch.check("namespace", seqs)


async def test_a_slow_client_is_told_what_it_missed_and_can_ask_for_it() -> None:
    yard = await make_yard(max_frames=4)
    watch = yard.watch(reading=False)
    await watch.session.feed('{"op":"subscribe","topic":"namespace"}')
    hub = await yard.backplane.find_hub("shop")
    seqs: list[int] = []
    for _ in range(30):
        seqs += await append(yard.bus, 5)
        await hub.ledger.reached(seqs[-1])
    assert len(watch.session.outbox) <= 5
    watch.read()
    await watch.wait_for("gap")
    watch.check("namespace", seqs)
    [(after, end)] = watch.gaps["namespace"]
    assert yard.backplane.dropped == len([seq for seq in seqs if after < seq <= end])
    again = yard.watch()
    await again.subscribe("namespace", after=after)
    await again.wait_seen("namespace", lambda seen: seqs[-1] in seen)
    again.check("namespace", [seq for seq in seqs if seq > after])
    await yard.backplane.close()


async def test_a_heartbeat_moves_the_cursors_of_quiet_topics() -> None:
    yard = await make_yard()
    watch = yard.watch()
    await watch.subscribe("jobs:quiet")
    seqs = await append(yard.bus, 30)
    hub = await yard.backplane.find_hub("shop")
    await eventually(lambda: hub.ledger.seq == seqs[-1])
    await sweep(watch, later_seconds=15)
    beat = await watch.wait_for("heartbeat")
    assert beat["cursors"] == {"shop": {"ledger": seqs[-1]}}
    await yard.backplane.close()


# Snapshots


async def test_a_jobs_snapshot_comes_before_what_follows(yard: Yard) -> None:
    job_id = make_job_id()
    first = await append_to(yard.bus, job_id, State.QUEUED, expected=0)
    watch = yard.watch()
    await watch.subscribe(f"job:{job_id}", snapshot=True)
    snapshot = await watch.wait_for("snapshot")
    assert [item["state"] for item in snapshot["items"]] == ["queued"]
    second = await append_to(yard.bus, job_id, State.RUNNING, expected=first)
    await watch.wait_seen(f"job:{job_id}", bool)
    watch.check(f"job:{job_id}", [second])


class Shelf:
    """The port `Snapshots`: what a projection that lags would say."""

    def __init__(self, seq: int) -> None:
        self.seq = seq

    async def take(self, namespace: str, topic: Topic) -> Snapshot | None:
        if str(topic) == "namespace":
            return Snapshot([b'{"id":"%d"}' % number for number in range(1200)], self.seq, 2400)
        return None


async def test_a_snapshot_that_lags_is_followed_by_what_it_lacks(yard: Yard) -> None:
    seqs = await append(yard.bus, 20)
    backplane = yard.make_backplane(snapshots=Shelf(seqs[9]))
    watch = yard.watch(at=backplane)
    await watch.subscribe("namespace", snapshot=True)
    seqs += await append(yard.bus, 5)
    await watch.wait_seen("namespace", lambda seen: seqs[-1] in seen)
    watch.check("namespace", seqs[10:])
    parts = watch.of_type("snapshot")
    assert [(len(part["items"]), part.get("more", False)) for part in parts] == [(500, True), (500, True), (200, False)]
    assert [part.get("seq") for part in parts] == [None, None, seqs[9]]  # only the whole of it is a cursor
    assert {part["total"] for part in parts} == {2400}
    assert "seq" not in watch.of_type("subscribed")[0]
    await watch.subscribe("jobs:mail", snapshot=True)
    error = await watch.wait_for("error")
    assert (error["code"], error["seq"]) == ("no-snapshot", seqs[-1])
    await backplane.close()


# Another ledger


async def test_a_restored_ledger_is_told_to_all_and_followed_anew(yard: Yard) -> None:
    await append(yard.bus, 10)
    watch = yard.watch()
    await watch.subscribe("namespace")
    hub = await yard.backplane.find_hub("shop")
    fresh = MemoryWorld("shop")
    await fresh.connect().admin.apply_namespace()
    hub.ledger.source._ledger = fresh.connect().ledger  # type: ignore[attr-defined]
    seqs = await append(fresh.connect(), 2)
    await hub.check()
    gap = await watch.wait_for("gap")
    assert (gap["reason"], gap["after"], gap["seq"]) == ("reset", 10, 2)
    seqs = await append(fresh.connect(), 2)
    await watch.wait_seen("namespace", lambda seen: len(seen) == 2)
    watch.check("namespace", seqs)
