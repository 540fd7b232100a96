"""Events: told once, counted afterwards, never a storm."""

from __future__ import annotations

import pytest

from jetmill_operator.cluster.errors import NotLeaderError
from jetmill_operator.cluster.fence import FencedCluster
from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import EVENT
from jetmill_operator.reconcile.event import BURST, QUIET_SECONDS, REFILL_SECONDS, Recorder
from support.declare import make_body


@pytest.fixture
def recorder(cluster: LocalCluster, hand) -> Recorder:
    return Recorder(cluster, instance="pod-1", clock=hand.clock)


async def test_an_event_says_of_what_it_is_why_and_who_says_it(cluster, recorder) -> None:
    assert await recorder.tell(make_body(), "Conflict", "it is taken", kind="Warning")
    [event] = await cluster.list(EVENT)
    assert (event["type"], event["reason"], event["message"], event["count"]) == (
        "Warning",
        "Conflict",
        "it is taken",
        1,
    )
    assert event["involvedObject"]["uid"] == "uid-of-send-email"
    assert event["source"]["component"] == "jetmill-operator"
    assert event["reportingInstance"] == "pod-1"
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-01-31T12:00:00Z"


async def test_the_same_again_is_counted_and_written_seldom(cluster, recorder, hand) -> None:
    for _ in range(5):
        await recorder.tell(make_body(), "Conflict", "it is taken")
    [event] = await cluster.list(EVENT)
    assert event["count"] == 1
    hand.seconds += QUIET_SECONDS
    await recorder.tell(make_body(), "Conflict", "it is taken")
    [event] = await cluster.list(EVENT)
    assert (event["count"], event["lastTimestamp"]) == (6, "2026-01-31T12:10:00Z")


async def test_an_event_that_the_server_has_forgotten_is_told_anew(cluster, recorder, hand) -> None:
    await recorder.tell(make_body(), "Conflict", "it is taken")
    [event] = await cluster.list(EVENT)
    await cluster.delete(EVENT, "shop", event["metadata"]["name"])
    hand.seconds += QUIET_SECONDS
    await recorder.tell(make_body(), "Conflict", "it is taken")
    await recorder.tell(make_body(), "Conflict", "it is taken")
    assert len(await cluster.list(EVENT)) == 1


async def test_one_object_causes_only_so_many_and_more_with_time(cluster, recorder, hand) -> None:
    for number in range(BURST * 2):
        await recorder.tell(make_body(), "Scaled", f"to {number}")
    assert len(await cluster.list(EVENT)) == BURST
    await recorder.tell(make_body("other"), "Scaled", "to 1")
    hand.seconds += REFILL_SECONDS
    await recorder.tell(make_body(), "Scaled", "at last")
    assert len(await cluster.list(EVENT)) == BURST + 2


async def test_in_a_namespace_that_goes_away_nothing_can_be_said(cluster, recorder) -> None:
    await cluster.terminate("shop")
    assert not await recorder.tell(make_body(), "Conflict", "it is taken")


async def test_a_long_message_is_cut_and_a_long_name_fits(cluster, recorder) -> None:
    await recorder.tell(make_body("a" * 63), "Conflict", "x" * 5_000)
    [event] = await cluster.list(EVENT)
    assert len(event["message"]) <= 1_024


async def test_who_does_not_lead_says_nothing(cluster, hand) -> None:
    class Fence:
        def require(self) -> float:
            raise NotLeaderError("the lease has run out")

    with pytest.raises(NotLeaderError):
        await Recorder(FencedCluster(cluster, Fence()), clock=hand.clock).tell(make_body(), "a", "b")
    assert await cluster.list(EVENT) == []
