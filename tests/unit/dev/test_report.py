"""A person hears of a Job when its queue is as declared, and of what goes wrong."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest

from jetmill_operator.cluster.ports import EVENT, JOB, POD
from jetmill_operator.dev.report import Reporter
from jetmill_operator.dev.screen import Screen


class Ear:
    """What a reporter says."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.reporter = Reporter(Screen(self.stream))
        self.reporter.begun = True

    def tell(
        self, generation: int, *, observed: int = 0, queue: str = "True", event: str = "MODIFIED", **spec: Any
    ) -> None:
        conditions = [{"type": "QueueReady", "status": queue}]
        status = {"observedGeneration": observed or generation, "conditions": conditions}
        body = {"metadata": {"name": "mail", "generation": generation}, "spec": spec, "status": status}
        self.reporter.notice(JOB, event, body)

    @property
    def said(self) -> list[str]:
        return [line.partition("│ ")[2] for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def ear() -> Ear:
    return Ear()


def test_a_new_job_is_declared_a_changed_one_changed_and_each_once(ear):
    for generation in (1, 1, 2, 2):
        ear.tell(generation)
    assert ear.said == ["Job mail declared", "Job mail changed"]


def test_what_is_not_obeyed_yet_is_not_said(ear):
    ear.tell(2, observed=1)
    ear.tell(2, queue="Unknown")
    assert ear.said == []
    ear.tell(2)
    assert ear.said == ["Job mail declared"]


def test_the_jobs_of_the_beginning_are_no_news(ear):
    ear.reporter.begun = False
    ear.tell(1)
    ear.reporter.begun = True
    ear.tell(1)
    assert ear.said == []


@pytest.mark.parametrize(
    ("spec", "end"),
    [({}, "Retain: its jobs wait"), ({"deletionPolicy": "Delete"}, "Delete: its waiting jobs are cancelled")],
)
def test_a_job_is_said_to_be_deleted_with_what_becomes_of_its_jobs(ear, spec, end):
    ear.tell(1)
    ear.tell(1, event="DELETED", **spec)
    ear.tell(1)
    assert ear.said == ["Job mail declared", f"Job mail deleted ({end})", "Job mail declared"]


def test_a_warning_is_said_unless_dev_says_it_itself(ear):
    about = {"kind": "Job", "name": "mail"}
    for kind, reason in (("Warning", "CarrierMissing"), ("Warning", "CrashLooping"), ("Normal", "Ready")):
        event = {"type": kind, "reason": reason, "message": f"it is {reason}", "involvedObject": about}
        ear.reporter.notice(EVENT, "ADDED", event)
        ear.reporter.notice(EVENT, "MODIFIED", event)
    ear.reporter.notice(POD, "ADDED", {})
    assert ear.said == ["Job mail: it is CarrierMissing"]


async def test_it_waits_until_all_were_looked_at(ear):
    waiting = asyncio.create_task(ear.reporter.wait_for(["mail"]))
    await asyncio.sleep(0)
    assert not waiting.done()
    ear.tell(1, queue="Unknown")
    await waiting
