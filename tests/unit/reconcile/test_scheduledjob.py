"""A ScheduledJob as people see it: what is planned when, what its policies do, what its status says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from factories import JOB, make_error
from jetmill.errors import NoAnswerError
from jetmill.ledger.cancel import cancel
from jetmill.ledger.schedule import trigger
from jetmill.protocol.outcome import Failed
from jetmill.protocol.state import Reason, State
from jetmill_operator.cluster.ports import SCHEDULED_JOB
from jetmill_operator.resources.label import FINALIZER
from support.almanac import KEY, NAMESPACE, Almanac

pytestmark = pytest.mark.virtual_time

CONDITION = ("type", "status", "reason", "message", "lastTransitionTime", "observedGeneration")
QUARTERLY = {"schedule": "*/15 * * * *"}


@pytest.fixture
async def almanac() -> AsyncIterator[Almanac]:
    almanac = Almanac()
    await almanac.prepare()
    yield almanac
    await almanac.bench.prove()
    await almanac.bus.link.close()


# What is planned


@pytest.mark.field(
    "ScheduledJob.status.observedGeneration",
    "ScheduledJob.status.nextRuns",
    "ScheduledJob.status.active",
    "ScheduledJob.status.missed",
    *(f"ScheduledJob.status.conditions.{name}" for name in CONDITION),
)
async def test_the_next_slots_are_planned_and_shown(almanac: Almanac) -> None:
    await almanac.declare(schedule="0 9 * * *", timeZone="Europe/Berlin")
    status = await almanac.status()
    assert status["nextRuns"] == [f"2026-03-0{day}T08:00:00Z" for day in range(3, 8)]
    assert (status["observedGeneration"], status["active"], status["missed"]) == (1, 0, 0)
    ready, suspended = status["conditions"]
    assert (ready["type"], ready["status"], ready["reason"]) == ("Ready", "True", "Scheduled")
    assert ready["message"] == "the next slots are planned"
    assert (suspended["type"], suspended["reason"]) == ("Suspended", "NotSuspended")
    assert ready["observedGeneration"] == 1
    assert ready["lastTransitionTime"] == "2026-03-02T12:00:00Z"
    assert await almanac.planned() == ["08:00"] * 4
    assert (await almanac.plan()).complete


async def test_fifteen_minutes_or_three_slots_are_planned_ahead_whatever_is_more(almanac: Almanac) -> None:
    await almanac.declare(every="60s")
    assert (await almanac.planned())[-1] >= "12:20"
    await almanac.pass_time(1_200)
    ahead = await almanac.planned()
    assert len(ahead) >= 15
    assert await almanac.state("12:35") == "scheduled"


async def test_a_schedule_fires_while_no_operator_runs(almanac: Almanac) -> None:
    hand = await almanac.hand()
    await almanac.declare(**QUARTERLY)
    ran = []
    for _ in range(4):
        await almanac.pass_time(900, operator=False)
        ran += await almanac.run_due(hand)
    assert ran == ["12:15", "12:30", "12:45", "13:00"]


@pytest.mark.field("ScheduledJob.spec.payload")
async def test_each_job_has_the_payload_and_the_time_that_it_stands_for(almanac: Almanac) -> None:
    hand = await almanac.hand()
    await almanac.declare(**QUARTERLY, payload={"region": "eu", "more": [1, None]})
    await almanac.pass_time(1_000)
    [claim] = await almanac.start_due(hand)
    assert json.loads(bytes(claim.payload or b"")) == {"region": "eu", "more": [1, None]}
    assert claim.call.slot == almanac.at("12:15")
    assert (claim.entry.record.schedule, claim.entry.record.generation) == ("nightly", 1)
    await hand.settle(claim)


@pytest.mark.field(
    "ScheduledJob.status.lastScheduleTime",
    *(f"ScheduledJob.status.lastRun.{name}" for name in ("id", "scheduleTime", "state", "reason")),
)
async def test_the_status_says_how_the_last_run_did(almanac: Almanac) -> None:
    hand = await almanac.hand()
    await almanac.declare(**QUARTERLY)
    await almanac.pass_time(880)
    [claim] = await almanac.start_due(hand)
    await almanac.pass_time(15)
    status = await almanac.status()
    assert status["lastScheduleTime"] == "2026-03-02T12:15:00Z"
    entry = await almanac.slot("12:15")
    assert entry is not None
    assert status["lastRun"] == {"id": entry.id, "scheduleTime": "2026-03-02T12:15:00Z", "state": "running"}
    assert status["active"] == 1
    await hand.settle(claim, Failed(Reason.NON_RETRYABLE, make_error()))
    await almanac.pass_time(15)
    status = await almanac.status()
    assert (status["lastRun"]["state"], status["lastRun"]["reason"]) == ("failed", "non_retryable")
    assert status["active"] == 0
    assert (await almanac.conditions())["Ready"] == "True Scheduled", "a job that fails is no fault of its schedule"


@pytest.mark.field("ScheduledJob.spec.startAt", "ScheduledJob.spec.endAt")
async def test_it_begins_and_ends_when_it_is_told_to(almanac: Almanac) -> None:
    await almanac.declare(
        every="10m", startAt="2026-03-02T12:05:00Z", endAt="2026-03-02T12:26:00+00:00"
    )  # fmt: skip
    assert await almanac.planned() == ["12:05", "12:15", "12:25"]
    assert (await almanac.conditions())["Ready"] == "True Scheduled"
    await almanac.pass_time(1_800)
    assert (await almanac.conditions())["Ready"] == "True Ended"
    assert (await almanac.status())["nextRuns"] == []


@pytest.mark.field("ScheduledJob.spec.jitterSeconds")
async def test_jitter_delays_each_slot_by_an_amount_of_its_own(almanac: Almanac) -> None:
    await almanac.declare(**QUARTERLY, jitterSeconds=300)
    slots = (await almanac.plan()).slots
    late = [(slot.due - slot.time) / 1e6 for slot in slots]
    assert all(0 <= one < 300 for one in late)
    assert len(set(late)) == len(late)
    for slot in slots:
        entry = await almanac.slot(almanac.show(slot.time))
        assert entry is not None
        assert entry.record.due == slot.due
        assert entry.record.call is not None
        assert entry.record.call.slot == slot.time


async def test_a_schedule_that_was_created_while_no_operator_ran_counts_from_its_creation(almanac: Almanac) -> None:
    body = {"apiVersion": SCHEDULED_JOB.api_version, "kind": "ScheduledJob"}
    head = {"name": KEY.name, "namespace": NAMESPACE}
    spec = {"jobRef": {"name": JOB}, "every": "10m"}
    await almanac.cluster.apply(SCHEDULED_JOB, {**body, "metadata": head, "spec": spec}, manager="kubectl")
    almanac.bench.pass_time(1_500)
    await almanac.look()
    assert await almanac.state("12:20") == "scheduled", "the newest that was missed is made up for"
    assert await almanac.state("12:10") == "none"
    assert (await almanac.status())["missed"] == 1
    assert almanac.count("missed") == 1


# Edits


async def test_an_edit_withdraws_what_is_not_meant_any_more_before_it_is_observed(almanac: Almanac) -> None:
    await almanac.declare(**QUARTERLY)
    await almanac.declare(schedule="30 * * * *", payload={"n": 2})
    assert [await almanac.state(time) for time in ("12:15", "12:30", "12:45")] == [
        "withdrawn", "replanned", "withdrawn",
    ]  # fmt: skip
    assert (await almanac.status())["observedGeneration"] == 2
    half = await almanac.slot("12:30")
    assert half is not None
    assert (half.record.generation, bytes(half.record.payload or b"")) == (2, b'{"n":2}')


@pytest.mark.field("ScheduledJob.spec.suspend")
async def test_a_suspended_schedule_plans_nothing_and_goes_on_from_when_it_is_resumed(almanac: Almanac) -> None:
    hand = await almanac.hand()
    await almanac.declare(**QUARTERLY)
    await almanac.declare(**QUARTERLY, suspend=True)
    assert await almanac.conditions() == {"Ready": "True Suspended", "Suspended": "True Suspended"}
    assert await almanac.state("12:15") == "withdrawn"
    assert (await almanac.status())["nextRuns"] == []
    await almanac.pass_time(3_000)
    assert await almanac.run_due(hand) == []
    await almanac.declare(**QUARTERLY, suspend=False)
    assert (await almanac.status())["missed"] == 0, "nothing was missed: it was suspended"
    await almanac.pass_time(900)
    assert await almanac.run_due(hand) == ["13:00"]
    assert "Normal Suspended" in await almanac.events()


async def test_a_schedule_goes_when_its_slots_are_withdrawn(almanac: Almanac) -> None:
    await almanac.declare(**QUARTERLY)
    body = await almanac.body()
    assert body is not None
    assert body["metadata"]["finalizers"] == [FINALIZER]
    await almanac.cluster.delete(SCHEDULED_JOB, NAMESPACE, KEY.name)
    await almanac.look()
    assert await almanac.body() is None
    assert await almanac.state("12:15") == "withdrawn"
    assert (await almanac.plan()).gone


@pytest.mark.parametrize(
    ("spec", "reason", "says"),
    [
        ({"schedule": "0 25 * * *"}, "InvalidSchedule", "spec.schedule at character 3: hour: '25' does not fit"),
        ({"every": "60s", "timeZone": "Mars/X"}, "InvalidSchedule", "spec.timeZone: 'Mars/X' is no time zone"),
        ({"schedule": "0 0 30 2 *"}, "InvalidSchedule", "never fires"),
        ({"schedule": "0 9 * * *", "foo": 1}, "InvalidSpec", "spec.foo: unknown field"),
        ({"schedule": "0 9 * * *", "payload": {"x": "y" * 600_000}}, "InvalidSpec", "spec.payload has 600008 bytes"),
    ],
)
async def test_a_spec_that_cannot_be_obeyed_is_stalled_and_nothing_of_the_old_one_fires(
    almanac: Almanac, spec, reason: str, says: str
) -> None:
    await almanac.declare(**QUARTERLY)
    body = await almanac.body()
    assert body is not None
    head = {"name": KEY.name, "namespace": NAMESPACE}
    broken = {"apiVersion": SCHEDULED_JOB.api_version, "kind": "ScheduledJob", "metadata": head}
    spec = {"jobRef": {"name": JOB}, **spec}
    await almanac.cluster.apply(SCHEDULED_JOB, {**broken, "spec": spec}, manager="kubectl")
    await almanac.look()
    assert {**await almanac.conditions(), "Suspended": ""} == {
        "Ready": f"False {reason}", "Stalled": f"True {reason}", "Suspended": "",
    }  # fmt: skip
    assert says in await almanac.message("Stalled")
    assert await almanac.state("12:15") == "withdrawn"
    assert (await almanac.status())["observedGeneration"] == 2
    await almanac.declare(**QUARTERLY)
    assert (await almanac.conditions())["Ready"] == "True Scheduled"
    assert await almanac.state("12:15") == "scheduled"


async def test_a_schedule_of_a_job_that_is_not_there_says_so_and_begins_when_it_is(almanac: Almanac) -> None:
    almanac.index.put(NAMESPACE, JOB, None)
    await almanac.declare(**QUARTERLY)
    assert (await almanac.conditions())["Ready"] == "False JobMissing"
    assert JOB in await almanac.message()
    assert await almanac.planned() == []
    assert almanac.wait == 60
    job = {"metadata": {"name": JOB, "namespace": NAMESPACE}, "spec": {}}
    almanac.index.put(NAMESPACE, JOB, job)
    await almanac.look()
    assert (await almanac.conditions())["Ready"] == "True Scheduled"
    assert await almanac.planned() == ["12:15", "12:30", "12:45", "13:00"]


# Policies


@pytest.mark.field("ScheduledJob.spec.concurrencyPolicy")
async def test_forbid_skips_a_slot_while_one_before_has_not_ended(almanac: Almanac) -> None:
    hand = await almanac.hand()
    await almanac.declare(**QUARTERLY, concurrencyPolicy="Forbid")
    await almanac.pass_time(880)
    [first] = await almanac.start_due(hand)
    await almanac.pass_time(900)
    assert await almanac.start_due(hand) == []
    skipped = await almanac.slot("12:30")
    assert skipped is not None
    assert (skipped.record.state, skipped.record.reason) == (State.SKIPPED, Reason.OVERLAP)
    await hand.settle(first)
    await almanac.pass_time(900)
    assert await almanac.run_due(hand) == ["12:45"]


async def test_forbid_skips_a_slot_that_was_planned_again_too(almanac: Almanac) -> None:
    """One that an edit withdrew and another brought back is no job that a person retries: those would wait."""
    hand = await almanac.hand()
    await almanac.declare(**QUARTERLY, concurrencyPolicy="Forbid")
    await almanac.declare(**QUARTERLY, concurrencyPolicy="Forbid", suspend=True)
    await almanac.declare(**QUARTERLY, concurrencyPolicy="Forbid")
    await almanac.pass_time(880)
    [first] = await almanac.start_due(hand)
    await almanac.pass_time(900)
    assert await almanac.start_due(hand) == []
    assert await almanac.state("12:30") == "overlap"
    await hand.settle(first)


async def test_replace_cancels_the_one_before(almanac: Almanac) -> None:
    hand = await almanac.hand()
    await almanac.declare(**QUARTERLY, concurrencyPolicy="Replace")
    await almanac.pass_time(880)
    [first] = await almanac.start_due(hand)
    await almanac.pass_time(900)
    assert await almanac.start_due(hand) == []
    assert await almanac.state("12:15") == "cancelling"
    await hand.settle(first)
    await almanac.pass_time(10)
    assert await almanac.run_due(hand) == ["12:30"]


async def test_allow_runs_them_side_by_side(almanac: Almanac) -> None:
    hand = await almanac.hand()
    await almanac.declare(**QUARTERLY)
    await almanac.pass_time(1_800)
    claims = await almanac.start_due(hand)
    assert [almanac.show(claim.call.slot or 0) for claim in claims] == ["12:15", "12:30"]
    await almanac.pass_time(15)
    assert (await almanac.status())["active"] == 2
    for claim in claims:
        await hand.settle(claim)


@pytest.mark.field("ScheduledJob.spec.startingDeadlineSeconds")
async def test_a_job_that_is_not_started_in_time_is_skipped(almanac: Almanac) -> None:
    hand = await almanac.hand()
    await almanac.declare(**QUARTERLY, startingDeadlineSeconds=120)
    await almanac.pass_time(880 + 300)  # 12:19:40
    assert await almanac.start_due(hand) == []
    assert await almanac.state("12:15") == "expired"
    await almanac.pass_time(700)
    assert await almanac.run_due(hand) == ["12:30"]


@pytest.mark.field("ScheduledJob.spec.catchUp.policy", "ScheduledJob.spec.catchUp.max")
@pytest.mark.parametrize(
    ("catch_up", "expected", "missed"),
    [
        ({"policy": "None"}, [], 4),
        ({"policy": "Last"}, ["14:00"], 3),
        ({"policy": "All"}, ["13:15", "13:30", "13:45", "14:00"], 0),
        ({"policy": "All", "max": 2}, ["13:45", "14:00"], 2),
        (None, ["14:00"], 3),
    ],
)
async def test_what_was_missed_is_made_up_for_as_the_policy_says(
    almanac: Almanac, catch_up, expected: list[str], missed: int
) -> None:
    """Four slots are planned ahead; the operator comes back after eight."""
    hand = await almanac.hand()
    await almanac.declare(**QUARTERLY, **({} if catch_up is None else {"catchUp": catch_up}))
    await almanac.pass_time(2 * 3_600, operator=False)
    assert await almanac.run_due(hand) == ["12:15", "12:30", "12:45", "13:00"]
    await almanac.look()
    assert await almanac.run_due(hand) == expected
    assert (await almanac.status())["missed"] == missed
    assert ("Warning Missed" in await almanac.events()) is (missed > 0)
    told = [message async for messages in _events(almanac) for message in messages] if missed else []
    assert len(told) == missed
    if told:
        assert told[0]["type"] == "schedule.missed"
        assert told[0]["data"]["time"] == "2026-03-02T13:15:00Z"
        assert (told[0]["data"]["schedule"], told[0]["data"]["job"]) == ("nightly", JOB)
    before = await almanac.bus.ledger.last_seq()
    await almanac.look()
    assert await almanac.bus.ledger.last_seq() == before, "once"


async def _events(almanac: Almanac):
    until = await almanac.bus.events.last_seq()
    async for messages in almanac.bus.events.follow():
        yield [json.loads(message.data) for message in messages]
        if messages[-1].seq >= until:
            return


async def test_what_may_not_be_started_any_more_is_not_made_up_for(almanac: Almanac) -> None:
    hand = await almanac.hand()
    await almanac.declare(**QUARTERLY, catchUp={"policy": "All"}, startingDeadlineSeconds=1_000)
    await almanac.pass_time(2 * 3_600, operator=False)
    await almanac.look()
    await almanac.run_due(hand)
    assert [await almanac.state(time) for time in ("13:15", "13:30", "13:45", "14:00")] == [
        "none", "none", "succeeded", "succeeded",
    ]  # fmt: skip
    assert (await almanac.status())["missed"] == 2


@pytest.mark.field("ScheduledJob.spec.successfulJobsHistoryLimit", "ScheduledJob.spec.failedJobsHistoryLimit")
async def test_history_limits_keep_the_newest(almanac: Almanac) -> None:
    hand = await almanac.hand()
    await almanac.declare(**QUARTERLY, successfulJobsHistoryLimit=1, failedJobsHistoryLimit=1)
    for number in range(6):
        await almanac.pass_time(900)
        for claim in await almanac.start_due(hand):
            if number % 2:
                await hand.settle(claim, Failed(Reason.NON_RETRYABLE, make_error()))
            else:
                await hand.settle(claim)
        await almanac.pass_time(10)
    times = ("12:15", "12:30", "12:45", "13:00", "13:15", "13:30")
    assert [await almanac.state(time) for time in times] == [
        "none", "none", "none", "none", "succeeded", "non_retryable",
    ]  # fmt: skip


async def test_a_trigger_enqueues_beside_the_slots_even_while_suspended(almanac: Almanac) -> None:
    hand = await almanac.hand()
    await almanac.declare(**QUARTERLY, suspend=True, payload={"n": 1}, concurrencyPolicy="Forbid")
    submitted = await trigger(almanac.bus, "nightly", by="ada")
    again = await trigger(almanac.bus, "nightly", by="ada", job_id="by-hand", payload=b'{"n":2}')
    assert submitted.id != again.id
    claims = await almanac.start_due(hand)
    assert [claim.entry.id for claim in claims] == [submitted.id], "the other would overlap"
    assert bytes(claims[0].payload or b"") == b'{"n":1}'
    assert claims[0].call.slot is not None
    await hand.settle(claims[0])
    last = await almanac.bus.ledger.read("by-hand")
    assert last is not None
    assert last.record.reason == Reason.OVERLAP


async def test_a_slot_is_cancelled_like_any_job(almanac: Almanac) -> None:
    hand = await almanac.hand()
    await almanac.declare(**QUARTERLY)
    entry = await almanac.slot("12:15")
    assert entry is not None
    await cancel(almanac.bus, entry.id, by="ada")
    await almanac.pass_time(1_800)
    assert await almanac.run_due(hand) == ["12:30"]


# When NATS is away


@pytest.mark.field("ScheduledJob.status.nextRetryTime")
async def test_while_nats_is_away_nothing_is_said_to_be_in_force_that_is_not(almanac: Almanac) -> None:
    await almanac.declare(**QUARTERLY)
    ledger = almanac.buses.of(NAMESPACE).ledger
    almanac.buses.of(NAMESPACE).ledger = _Silent(ledger)  # type: ignore[assignment]
    await almanac.declare(schedule="30 * * * *")
    status = await almanac.status()
    assert status["observedGeneration"] == 1
    assert (await almanac.conditions())["Reconciling"] == "True BusUnavailable"
    assert status["nextRetryTime"] == "2026-03-02T12:01:00Z"
    assert len(status["nextRuns"]) == 5, "what was known is kept"
    almanac.buses.of(NAMESPACE).ledger = ledger
    await almanac.look()
    assert (await almanac.status())["observedGeneration"] == 2
    assert "nextRetryTime" not in await almanac.status()


class _Silent:
    """A ledger that nobody answers for."""

    def __init__(self, ledger: object) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)

    async def read_plan(self, _uid: str) -> None:
        raise NoAnswerError("nobody answers")
