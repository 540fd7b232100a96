"""What comes in, in which order, and how much of it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import msgspec
import pytest

from jetmill.bus.ports import Delivery
from jetmill.protocol.record import JobSettings
from jetmill.protocol.subject import BANDS
from jetmill.worker.intake import MAX_UNSETTLED, Intake
from support.rig import Rig
from support.wait import eventually

pytestmark = pytest.mark.virtual_time


class Field:
    """An intake whose jobs the test ends."""

    def __init__(self, rig: Rig, *, slots: int) -> None:
        self.begun: list[Delivery] = []
        self.running: list[Delivery] = []
        self.intake = Intake(rig.bus.queue, slots=slots, start=self._start)

    def _start(self, delivery: Delivery) -> None:
        self.begun.append(delivery)
        self.running.append(delivery)

    def end(self, *, settle: bool = True) -> None:
        delivery = self.running.pop(0)
        self.intake.freed(delivery)
        if settle:
            delivery.ack()
            self.intake.settled(delivery)


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def fill(rig: Rig, job: str, count: int, *, band: str = "normal") -> None:
    await rig.bus.admin.apply_job(JobSettings(job=job))
    for n in range(count):
        await rig.client.enqueue(job, {"n": n}, priority=band)  # type: ignore[arg-type]


async def test_deliveries_start_at_once_while_there_are_slots(rig: Rig) -> None:
    await fill(rig, "work", 10)
    field = Field(rig, slots=4)
    field.intake.serve("work", limit=4)
    await eventually(lambda: len(field.begun) == 4)
    assert field.intake.free == 0
    while len(field.begun) < 10:
        field.end()
        await turns()
    assert [number(delivery) for delivery in field.begun] == list(range(10))
    field.intake.stop()


def number(delivery: Delivery) -> int:
    payload = msgspec.json.decode(delivery.body)["payload"]
    return int(payload["n"] if isinstance(payload, dict) else json.loads(payload)["n"])


async def test_full_bands_share_the_slots_and_none_starves(rig: Rig) -> None:
    """The order itself: with every band full all the time, low gets its tenth from the beginning on."""
    for band in BANDS:
        await fill(rig, "work", 120, band=band)
    field = Field(rig, slots=1)
    field.intake.serve("work", limit=1)
    while len(field.begun) < 100:
        await eventually(lambda: field.running)
        await turns(3)
        field.end()
    field.intake.stop()
    order = [delivery.band for delivery in field.begun[:100]]
    counts = Counter(order)
    assert counts["low"] >= 8
    assert counts["high"] > counts["normal"] > counts["low"]
    waits = [index for index, band in enumerate(order) if band == "low"]
    assert max(b - a for a, b in zip([0, *waits], waits, strict=False)) <= 20


async def test_jobs_of_one_band_take_turns(rig: Rig) -> None:
    for job in ("one", "two"):
        await fill(rig, job, 20)
    field = Field(rig, slots=2)
    for job in ("one", "two"):
        field.intake.serve(job, limit=2)
    while len(field.begun) < 20:
        await eventually(lambda: field.running)
        await turns(3)
        field.end()
    field.intake.stop()
    counts = Counter(delivery.job for delivery in field.begun[:20])
    assert min(counts.values()) >= 8


async def test_a_job_at_its_own_limit_leaves_slots_to_others(rig: Rig) -> None:
    await fill(rig, "heavy", 10)
    await fill(rig, "light", 10)
    field = Field(rig, slots=6)
    field.intake.serve("heavy", limit=2)
    field.intake.serve("light", limit=6)
    await eventually(lambda: len(field.begun) == 6)
    assert Counter(delivery.job for delivery in field.begun) == {"heavy": 2, "light": 4}
    field.intake.stop()


async def test_what_waited_too_long_for_a_slot_is_given_back_and_not_asked_for_again(rig: Rig) -> None:
    await fill(rig, "work", 30)
    field = Field(rig, slots=1)
    field.intake.serve("work", limit=1)
    await eventually(lambda: field.running)
    await eventually(lambda: field.intake.held == 0, seconds=5)
    await turns()
    assert len(field.intake.in_hand) == 1
    other = Field(rig, slots=50)
    other.intake.serve("work", limit=50)
    await eventually(lambda: len(other.begun) == 29)
    field.intake.stop()
    other.intake.stop()


async def test_a_slot_that_frees_lets_it_ask_again(rig: Rig) -> None:
    await fill(rig, "work", 3)
    field = Field(rig, slots=1)
    field.intake.serve("work", limit=1)
    await eventually(lambda: field.running)
    await eventually(lambda: field.intake.held == 0, seconds=5)
    for count in (2, 3):
        field.end()
        await eventually(lambda wanted=count: len(field.begun) == wanted)  # type: ignore[misc]
    field.intake.stop()


async def test_a_job_in_an_empty_band_is_noticed_at_once(rig: Rig) -> None:
    await fill(rig, "work", 0)
    field = Field(rig, slots=5)
    field.intake.serve("work", limit=5)
    await turns()
    for band in ("low", "high", "normal"):
        await rig.client.enqueue("work", {"n": 1}, priority=band)
        await eventually(lambda wanted=band: field.begun and field.begun[-1].band == wanted)  # type: ignore[misc]
    field.intake.stop()


async def test_stopping_gives_back_what_waits_and_takes_nothing_more(rig: Rig) -> None:
    await fill(rig, "work", 20)
    field = Field(rig, slots=2)
    field.intake.serve("work", limit=2)
    await eventually(lambda: len(field.begun) == 2)
    field.intake.stop()
    await turns()
    other = Field(rig, slots=50)
    other.intake.serve("work", limit=50)
    await eventually(lambda: len(other.begun) == 18)
    assert len(field.begun) == 2
    other.intake.stop()


async def test_a_job_that_is_dropped_gives_back_what_waits_and_the_others_go_on(rig: Rig) -> None:
    await fill(rig, "leaves", 20)
    field = Field(rig, slots=3)
    field.intake.serve("leaves", limit=2)
    await eventually(lambda: len(field.begun) == 2)
    field.intake.drop("leaves")
    field.intake.drop("leaves")
    field.intake.drop("unheard-of")
    await turns()
    assert field.intake.held == 0
    assert len(field.intake.in_hand) == 2
    other = Field(rig, slots=50)
    other.intake.serve("leaves", limit=50)
    await eventually(lambda: len(other.begun) == 18)
    await fill(rig, "stays", 1)
    field.intake.serve("stays", limit=3)
    await eventually(lambda: len(field.begun) == 3)
    for field_ in (field, other):
        field_.intake.stop()


async def test_a_job_that_is_served_again_counts_what_still_runs_of_it(rig: Rig) -> None:
    await fill(rig, "work", 4)
    field = Field(rig, slots=9)
    field.intake.serve("work", limit=2)
    await eventually(lambda: len(field.begun) == 2)
    field.intake.drop("work")
    field.intake.serve("work", limit=3)
    await eventually(lambda: len(field.begun) == 3)
    await turns()
    assert field.intake.running == 3
    field.end()
    await eventually(lambda: len(field.begun) == 4)
    field.intake.stop()


async def test_nothing_starts_while_too_many_outcomes_wait_to_be_recorded(rig: Rig) -> None:
    await fill(rig, "work", MAX_UNSETTLED + 50)
    field = Field(rig, slots=100)
    field.intake.serve("work", limit=100)
    unsettled: list[Delivery] = []
    while len(unsettled) < MAX_UNSETTLED:
        await eventually(lambda: field.running)
        unsettled.append(field.running[0])
        field.end(settle=False)
    await turns()
    begun = len(field.begun)
    assert field.intake.free == 0
    for delivery in unsettled:
        field.intake.settled(delivery)
    await eventually(lambda: len(field.begun) > begun or len(field.begun) == MAX_UNSETTLED + 50)
    field.intake.stop()
