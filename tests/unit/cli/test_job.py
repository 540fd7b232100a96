"""`jetmill job` and `jetmill dead`: what they print, and how they end."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from factories import JOB, make_data, make_error
from jetmill.ledger.submit import Submission, submit
from jetmill.protocol.outcome import Failed
from jetmill.protocol.record import WebhookSettings
from jetmill.protocol.state import Reason, State
from support.bench import Hand
from support.shell import Shell


async def succeed(hand: Hand) -> None:
    await hand.settle(await hand.start())


async def fail(hand: Hand) -> None:
    await hand.settle(await hand.start(), Failed(Reason.NON_RETRYABLE, make_error()))


def enqueue(shell: Shell, *words: str) -> str:
    answer: dict[str, str] = shell.ask("job", "run", JOB, *words)
    return answer["id"]


def test_a_job_that_is_run_prints_its_id_alone(shell: Shell) -> None:
    result = shell.run("job", "run", JOB, "--payload", '{"to": "ada"}', "--id", "order-1")
    assert (result.exit_code, result.stdout) == (0, "order-1\n")


def test_what_a_webhook_sends_is_never_what_somebody_enqueues(shell: Shell) -> None:
    result = shell.run("job", "run", "wh--crm", "--payload", '{"event": "{}"}')
    assert result.exit_code != 0
    assert "deliveries of a Webhook" in result.stderr
    assert "jetmill webhook test" in result.stderr


def test_all_that_is_asked_for_one_call_is_in_its_status(shell: Shell) -> None:
    job_id = enqueue(
        shell, "-p", '{"to":"ada"}', "--priority", "-3", "--delay", "1h30m", "--max-retries", "7",
        "--attempt-timeout", "90s", "--label", "team=shop", "--user", "bob",
        "--concurrency-key", "shop 7", "--concurrency-policy", "skip",
    )  # fmt: skip
    status = shell.ask("job", "status", job_id)
    assert (status["state"], status["priority"], status["payload"]) == ("scheduled", "low", {"to": "ada"})
    assert (status["max_retries"], status["timeout_seconds"], status["labels"], status["user"]) == (
        7,
        90,
        {"team": "shop"},
        "bob",
    )
    assert (status["concurrency_key"], status["concurrency_policy"]) == ("shop 7", "skip")
    assert "shop 7" in shell.run("job", "status", job_id).stdout


def test_a_status_is_shown_with_its_history_and_its_error(shell: Shell) -> None:
    job_id = enqueue(shell)
    shell.work(fail)
    text = shell.run("job", "status", job_id).stdout
    for part in ("shop/send-email", "non_retryable", "ValueError: no such thing", "queued", "running", "Traceback"):
        assert part in text


def test_a_payload_comes_from_a_file_or_from_stdin(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "payload.json"
    path.write_text('{"from": "file"}')
    assert shell.ask("job", "status", enqueue(shell, "-p", f"@{path}"))["payload"] == {"from": "file"}
    answer = shell.ask("job", "run", JOB, "-p", "-", stdin='{"from": "stdin"}')
    assert shell.ask("job", "status", answer["id"])["payload"] == {"from": "stdin"}


def test_a_batch_enqueues_each_line_and_names_the_bad_ones(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    path.write_text('{"n": 1}\nnope\n\n{"n": 3}\n')
    result = shell.run("job", "run", JOB, "--batch", str(path))
    assert result.exit_code == 2
    assert "line 2" in result.stderr
    assert len(result.stdout.split()) == 2


def test_the_list_can_be_had_as_a_table_json_and_yaml(shell: Shell) -> None:
    job_id = enqueue(shell)
    assert job_id in shell.run("job", "list").stdout
    assert [one["id"] for one in shell.ask("job", "list", "--state", "queued")] == [job_id]
    assert shell.ask("job", "list", "--state", "failed", "--since", "1h") == []
    assert yaml.safe_load(shell.run("job", "list", "-o", "yaml").stdout)[0]["job"] == JOB
    assert "no jobs" in shell.run("job", "list", "--job", "other").stdout


def test_types_are_the_jobs_that_are_declared(shell: Shell) -> None:
    shell.declare(job="other", handler="shop.tasks:other", max_retries=3)
    assert [one["job"] for one in shell.ask("job", "types")] == ["other", JOB]


def test_types_of_a_module_are_its_handlers(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_tasks.py").write_text("from jetmill import job\n@job('from-module')\ndef task(): ...\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    found = shell.ask("job", "types", "--import", "my_tasks")
    assert {"job": "from-module", "handler": "my_tasks:task"}.items() <= found[0].items()
    assert shell.run("job", "types", "--import", "no_such_module").exit_code == 2


def test_jobs_are_cancelled_and_retried_by_the_person_who_asks(shell: Shell) -> None:
    job_id = enqueue(shell)
    assert shell.ask("job", "cancel", job_id)[0]["state"] == "cancelled"
    again = shell.ask("job", "retry", job_id)[0]
    assert (again["state"], again["enqueueing"]) == ("queued", 2)
    assert not again["by"].startswith("client:")


def test_one_bad_id_stops_no_other(shell: Shell) -> None:
    job_id = enqueue(shell)
    result = shell.run("job", "cancel", "no-such-job", job_id)
    assert result.exit_code == 3
    assert "no-such-job" in result.stderr
    assert "cancelled" in result.stdout


def test_logs_are_shown(shell: Shell) -> None:
    job_id = enqueue(shell)

    async def log(hand: Hand) -> None:
        hand.bus.events.trace(job_id, "log", b'{"level":"info","message":"hello","fields":{"n":1}}')

    shell.work(log)
    assert "hello" in shell.run("job", "logs", job_id).stdout
    assert shell.ask("job", "logs", job_id)[0]["fields"] == {"n": 1}
    assert shell.run("job", "logs", "no-such-job").exit_code == 3


def test_dead_jobs_are_listed_retried_and_discarded(shell: Shell) -> None:
    first, second = enqueue(shell), enqueue(shell)
    shell.work(fail)
    shell.work(fail)
    assert {one["id"] for one in shell.ask("dead", "list", "--reason", "non_retryable")} == {first, second}
    assert shell.ask("dead", "list", "--reason", "poison") == []
    assert shell.ask("dead", "retry", first)[0]["state"] == "queued"
    assert [one["id"] for one in shell.ask("dead", "discard", "--all", "--yes")] == [second]
    assert shell.ask("dead", "list") == []


def test_all_needs_a_yes_without_a_terminal(shell: Shell) -> None:
    enqueue(shell)
    shell.work(fail)
    result = shell.run("dead", "retry", "--all")
    assert (result.exit_code, "--yes" in result.stderr) == (2, True)
    assert shell.run("dead", "retry").exit_code == 2


def test_waiting_for_a_job_that_is_done_shows_its_result(shell: Shell) -> None:
    enqueue(shell, "--id", "order-1")
    shell.work(succeed)
    result = shell.run("job", "run", JOB, "--id", "order-1", "--wait")
    assert (result.exit_code, result.stdout) == (0, "42\n")


def test_waiting_for_a_job_that_failed_is_a_no(shell: Shell) -> None:
    enqueue(shell, "--id", "order-1")
    shell.work(fail)
    result = shell.run("job", "run", JOB, "--id", "order-1", "--wait")
    assert result.exit_code == 1
    assert "ValueError: no such thing" in result.stderr
    assert "jetmill job status order-1" in result.stderr


def test_waiting_in_vain_has_a_code_of_its_own(shell: Shell) -> None:
    result = shell.run("job", "run", JOB, "--wait", "--timeout", "10ms")
    assert result.exit_code == 5
    assert "goes on" in result.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("job", "run", "nope"), 2, JOB),
        (("job", "run", JOB, "-p", "[1]"), 2, "object"),
        (("job", "run", JOB, "-p", "@/no/such/file"), 2, "cannot read"),
        (("job", "run", JOB, "--delay", "soon"), 2, "--delay"),
        (("job", "run", JOB, "--at", "2030-01-01T00:00:00"), 2, "time zone"),
        (("job", "run", JOB, "--label", "team"), 2, "NAME=VALUE"),
        (("job", "run", JOB, "--priority", "urgent"), 2, "high, normal, low"),
        (("job", "status", "no-such-job"), 3, "no-such-job"),
        (("job", "list", "--state", "done"), 2, "succeeded"),
        (("why", "no-such-thing"), 3, "neither"),
        (("job", "list", "-n", "a.b"), 2, "JETMILL_NAMESPACE"),
    ],
)
def test_an_error_goes_to_stderr_and_has_its_code(shell: Shell, words: tuple[str, ...], code: int, said: str) -> None:
    result = shell.run(*words)
    assert result.exit_code == code, result.output
    assert said in result.stderr
    assert result.stderr.startswith("error:")
    assert result.stdout == ""


def test_withdrawn_slots_are_listed_only_if_they_are_asked_for(shell: Shell) -> None:
    async def withdraw(hand: Hand) -> None:
        record = make_data(State.CANCELLED, reason=Reason.WITHDRAWN)
        await hand.bus.ledger.append("slot", record, expected=0)

    mine = enqueue(shell)
    shell.work(withdraw)
    assert [one["id"] for one in shell.ask("job", "list")] == [mine]
    assert [one["id"] for one in shell.ask("job", "list", "--reason", "withdrawn")] == ["slot"]


def test_deliveries_of_webhooks_are_listed_and_counted_only_if_they_are_asked_for(shell: Shell) -> None:
    shell.declare(job="wh--hook", webhook=WebhookSettings(events=["*"], url="https://a.example"))
    shell.work(lambda hand: submit(hand.bus, Submission(job="wh--hook", id="sent", payload=b"{}"), by="dispatcher"))
    mine = enqueue(shell)
    assert [one["id"] for one in shell.ask("job", "list")] == [mine]
    assert [one["id"] for one in shell.ask("job", "list", "--job", "wh--hook")] == ["sent"]
    assert [one["job"] for one in shell.ask("stats")["jobs"]] == [JOB]
    assert [(one["job"], one["ready"]) for one in shell.ask("stats", "wh--hook")["jobs"]] == [("wh--hook", 1)]
