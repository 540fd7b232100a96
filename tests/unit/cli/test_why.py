"""`why`, `stats`, `verify`: each cause that can be seen is named, with what to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from factories import JOB, NOON, make_entry, make_error, make_plan, make_presence, make_settings
from jetmill.cli.cause import Seen, decide_causes, decide_job_causes
from jetmill.client.status import JobStats, build_status
from jetmill.protocol.plan import Plan, Template
from jetmill.protocol.state import Reason, State
from support.shell import Shell

NOW = datetime.fromtimestamp(NOON / 1e6, UTC) + timedelta(seconds=10)


def see(**fields: Any) -> Seen:
    stats = JobStats(job=JOB, ready=3, in_flight=0, delayed=0, workers=1, slots=10, busy=0, suspended=False)
    return Seen(
        **{"job": JOB, "now": NOW, "settings": make_settings(), "stats": stats, "workers": [make_presence()], **fields}
    )


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"settings": None}, "unknown_job"),
        ({"settings": make_settings(suspend=True)}, "suspended"),
        ({"workers": []}, "no_worker"),
        ({"workers": [make_presence(jobs=["other"])]}, "no_worker"),
        ({"workers": [make_presence(draining=True)]}, "draining"),
        ({"workers": [make_presence(missing=[JOB]), make_presence("other", missing=[JOB])]}, "unknown_handler"),
        ({"workers": [make_presence(busy=10)]}, "busy"),
    ],
)
def test_what_holds_a_job_is_named_with_a_cure(fields: dict[str, Any], code: str) -> None:
    (cause,) = decide_job_causes(see(**fields))
    assert cause.code == code
    assert cause.cure


@pytest.mark.parametrize(
    ("fields", "code"),
    [({}, "schedule_suspended"), ({"template": Template()}, "schedule_invalid")],
    ids=["suspended", "without a payload"],
)
def test_a_schedule_that_plans_nothing_is_named_with_a_cure(fields: dict[str, Any], code: str) -> None:
    resting = make_plan(schedule="nightly", suspended=True, **fields)
    (cause,) = decide_job_causes(see(plans=[make_plan(schedule="hourly"), resting]))
    assert (cause.code, "nightly" in cause.cure) == (code, True)


@pytest.mark.parametrize(
    ("plans", "code", "said"),
    [
        ([make_plan(suspended=True)], "schedule_suspended", "is suspended"),
        ([make_plan()], "withdrawn", "was edited"),
        ([], "withdrawn", "not there any more"),
    ],
    ids=["suspended", "edited", "gone"],
)
def test_a_slot_that_was_withdrawn_says_what_became_of_its_schedule(plans: list[Plan], code: str, said: str) -> None:
    entry = make_entry(State.CANCELLED, reason=Reason.WITHDRAWN, schedule="nightly")
    (cause,) = decide_causes(build_status([entry], namespace="shop"), see(plans=plans), holder=None)
    assert cause.code == code
    assert said in cause.text


def test_nothing_holds_a_job_that_is_served() -> None:
    assert decide_job_causes(see()) == []
    assert decide_job_causes(see(workers=[make_presence(), make_presence("old", missing=[JOB])])) == []


@pytest.mark.parametrize(
    ("state", "fields", "code"),
    [
        (State.QUEUED, {}, "next"),
        (State.SCHEDULED, {}, "waiting_until"),
        (State.RETRYING, {}, "retrying_until"),
        (State.RUNNING, {}, "running"),
        (State.RUNNING, {"worker": "gone"}, "worker_absent"),
        (State.CANCELLING, {}, "cancelling"),
        (State.SUCCEEDED, {}, "done"),
        (State.FAILED, {"reason": Reason.POISON, "error": make_error()}, "poison"),
        (State.SKIPPED, {"reason": Reason.OVERLAP}, "overlap"),
    ],
)
def test_each_state_has_its_first_cause(state: State, fields: dict[str, Any], code: str) -> None:
    status = build_status([make_entry(state, **fields)], namespace="shop")
    assert decide_causes(status, see(), holder=None)[0].code == code


def test_a_held_job_names_its_holder() -> None:
    status = build_status([make_entry(gate="forbid:report")], namespace="shop")
    (cause,) = decide_causes(status, see(), holder="other-id")
    assert (cause.code, cause.cure) == ("held", "jetmill why other-id")


def test_why_asks_for_a_job_and_for_an_id(shell: Shell) -> None:
    assert shell.ask("why", JOB) == []
    later = shell.ask("job", "run", JOB, "--delay", "1h")["id"]
    for name in (JOB, later):
        assert [cause["code"] for cause in shell.ask("why", name)] == ["waiting_until"]
    job_id = shell.ask("job", "run", JOB)["id"]
    for name in (JOB, job_id):
        assert [cause["code"] for cause in shell.ask("why", name)] == ["no_worker"]
    assert [cause["code"] for cause in shell.ask("why", later)] == ["waiting_until"]
    assert "cure: start one" in shell.run("why", job_id).stdout


def test_a_suspended_job_says_so(shell: Shell) -> None:
    shell.declare(suspend=True)
    assert shell.ask("why", JOB)[0]["code"] == "suspended"


def test_stats_count_what_waits(shell: Shell) -> None:
    shell.run("job", "run", JOB)
    shell.run("job", "run", JOB, "--delay", "1h")
    (stats,) = shell.ask("stats")["jobs"]
    assert (stats["ready"], stats["delayed"], stats["workers"]) == (1, 1, 0)


def test_verify_counts_and_finds_nothing(shell: Shell) -> None:
    shell.run("job", "run", JOB)
    report = shell.ask("verify", "-n", "shop")
    assert (report["jobs"], report["records"], report["violation_count"]) == (1, 1, 0)


def test_verify_says_no_to_a_chain_that_breaks_a_rule(shell: Shell) -> None:
    from factories import make_data

    async def corrupt(hand: Any) -> None:
        seq = await hand.bus.ledger.append("bad", make_data(State.QUEUED), expected=0)
        await hand.bus.ledger.append("bad", make_data(State.SUCCEEDED), expected=seq)

    shell.work(corrupt)
    result = shell.run("verify", "-o", "json")
    assert result.exit_code == 1
    assert '"id": "bad"' in result.stdout


def test_version_is_printed(shell: Shell) -> None:
    assert shell.ask("version")["jetmill"] == "0.1.0"
