"""`jetmill schedule`: what is in force, when it fires, and a job by hand."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from factories import JOB, make_plan
from jetmill.protocol.plan import Template
from support.shell import Shell

UID = "0f0e6c3c-0000-4000-8000-000000000001"


def plan(shell: Shell, **fields: object) -> int:
    """A schedule that fires in half an hour; the time is given back, µs."""

    async def write() -> int:
        bus = shell.world.connect()
        now = bus.link.now() // 1_000_000 * 1_000_000
        given = {
            "slots": [now - 60_000_000, now + 1_800_000_000],
            "complete": True,
            "expression": "30 2 * * *",
            "time_zone": "Europe/Berlin",
            "template": Template(payload=msgspec.Raw(b'{"to":"ada"}')),
            **fields,
        }
        await bus.ledger.append_plan(UID, make_plan(**given), expected=0)
        await bus.link.close()
        return now

    return asyncio.run(write())


def test_schedules_are_listed_as_they_are_in_force(shell: Shell) -> None:
    assert shell.run("schedule", "list").stdout == "none\n"
    plan(shell, missed=2)
    heads, row = shell.run("schedule", "list").stdout.splitlines()
    assert heads.split() == ["NAME", "JOB", "SCHEDULE", "ZONE", "NEXT", "LAST", "STATE", "MISSED"]
    assert row.split()[:8] == ["nightly", JOB, "30", "2", "*", "*", "*", "Europe/Berlin"]
    assert row.split()[8:10] == ["in", "30m"]
    assert row.split()[-1] == "2"
    [found] = shell.ask("schedule", "list")
    assert (found["name"], found["schedule"], found["missed"]) == ("nightly", "30 2 * * *", 2)


def test_when_a_schedule_fires_is_told_by_its_name(shell: Shell) -> None:
    plan(shell)
    found = shell.ask("schedule", "next", "nightly", "--count", "2", "--from", "2027-03-27T12:00:00Z")
    assert [one["local"] for one in found] == ["2027-03-28T03:00:00+02:00", "2027-03-29T02:30:00+02:00"]
    assert found[0]["note"] == "clocks go forward: instead of 02:30:00"
    answer = shell.run("schedule", "next", "nobody")
    assert answer.exit_code == 2
    assert "no schedule nobody" in answer.stderr


def test_an_expression_is_tried_without_any_connection(shell: Shell) -> None:
    shell._name = "nobody-is-there"
    words = ("30 2 * * *", "--zone", "Europe/Berlin", "--from", "2026-10-24T12:00:00Z", "--count", "2")
    lines = shell.run("schedule", "next", *words).stdout.splitlines()
    assert lines[0].split() == ["LOCAL", "UTC", "DUE", "CLOCKS"]
    assert lines[1].startswith("Sun 2026-10-25 02:30:00 +0200  2026-10-25T00:30:00Z")
    assert lines[1].endswith("clocks go back: the first pass, not again at the second")
    assert lines[2].startswith("Mon 2026-10-26 02:30:00 +0100  2026-10-26T01:30:00Z")
    [step] = shell.ask("schedule", "next", "--every", "90s", "--from", "2026-01-01T00:00:00Z", "--count", "1")
    assert step["time"] == "2026-01-01T00:01:30Z"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("0 25 * * *",), "schedule at character 3: hour: '25' does not fit"),
        (("0 9 * * *", "--zone", "Mars/X"), "timeZone: 'Mars/X' is no time zone"),
        (("--every", "90"), "every at character 1: '90' is no length of time"),
        ((), "next of what?"),
        (("0 9 * * *", "--every", "90s"), "next of what?"),
        (("0 9 * * *", "--from", "2026-01-01T00:00:00"), "has no time zone"),
    ],
)
def test_what_is_no_calendar_is_usage(shell: Shell, words: tuple[str, ...], says: str) -> None:
    answer = shell.run("schedule", "next", *words)
    assert answer.exit_code == 2
    assert says in answer.stderr
    assert "cure:" in answer.stderr


def test_a_trigger_prints_the_id_of_its_job(shell: Shell) -> None:
    plan(shell)
    job_id = shell.run("schedule", "trigger", "nightly").stdout.strip()
    assert shell.ask("job", "status", job_id)["payload"] == {"to": "ada"}
    given = json.dumps({"to": "bob"})
    made = shell.ask("schedule", "trigger", "nightly", "--id", "by-hand", "--payload", given)
    assert made == {"id": "by-hand", "created": True}
    assert shell.ask("schedule", "trigger", "nightly", "--id", "by-hand")["created"] is False
    assert shell.ask("job", "status", "by-hand")["payload"] == {"to": "bob"}
    for wrong in ("[1]", "{"):
        assert shell.run("schedule", "trigger", "nightly", "--payload", wrong).exit_code == 2
    assert shell.run("schedule", "trigger", "nobody").exit_code == 2


def test_to_suspend_takes_a_cluster(shell: Shell) -> None:
    answer = shell.run("schedule", "suspend", "nightly")
    assert answer.exit_code == 2
    assert "with `jetmill dev` write `suspend: true` into the manifest" in answer.stderr
