"""Jobs that are programs: payload on stdin, result on stdout, killed with all that they started."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jetmill.protocol.state import Reason, State
from support.rig import Rig
from support.wait import eventually

pytestmark = pytest.mark.integration


def command(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.field("Job.spec.command")
async def test_a_command_reads_its_payload_and_writes_its_result(rig: Rig) -> None:
    await rig.declare("echo", command=command("import json,sys; print(json.dumps({'got': json.load(sys.stdin)}))"))
    await rig.start(jobs=("echo",))
    assert (await rig.run("echo", {"a": 1})).result == {"got": {"a": 1}}


async def test_a_command_may_write_a_text_and_need_not_read(rig: Rig) -> None:
    await rig.declare("say", command=command("import os; print('hello', os.environ['JETMILL_ATTEMPT'])"))
    await rig.start(jobs=("say",))
    assert (await rig.run("say", {"a": "x" * 200_000})).result == "hello 1"


@pytest.mark.parametrize(
    ("code", "max_retries", "attempts", "reason"),
    [(1, 1, 2, Reason.EXHAUSTED), (75, 1, 2, Reason.EXHAUSTED), (65, 1, 1, Reason.NON_RETRYABLE)],
)
async def test_a_commands_exit_code_says_whether_to_try_again(
    rig: Rig, code: int, max_retries: int, attempts: int, reason: Reason
) -> None:
    await rig.declare(
        "fail",
        command=command(f"import sys; print('why', file=sys.stderr); sys.exit({code})"),
        max_retries=max_retries,
        initial_delay_seconds=0.0,
    )
    await rig.start(jobs=("fail",))
    status = await rig.run("fail")
    assert (status.state, status.reason, status.attempt) == (State.FAILED, reason, attempts)
    assert status.error is not None
    assert "why" in status.error.message
    assert f"exit code {code}" in status.error.message


async def test_a_command_is_killed_with_what_it_started(rig: Rig, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "import subprocess,sys,pathlib;"
        "p=subprocess.Popen([sys.executable,'-c','import time; time.sleep(60)']);"
        f"f=pathlib.Path({str(pid_file)!r});"
        "f.with_suffix('.new').write_text(str(p.pid)); f.with_suffix('.new').rename(f);"
        "p.wait()"
    )
    await rig.declare("family", command=command(code), max_retries=0)
    await rig.start(jobs=("family",))
    handle = await rig.client.enqueue("family")
    await eventually(pid_file.exists)
    await handle.cancel()
    await handle.wait(60)
    assert (await handle.status()).state is State.CANCELLED
    await eventually(lambda: _is_gone(int(pid_file.read_text())))


def _is_gone(pid: int) -> bool:
    try:
        return "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True


async def test_a_command_that_is_not_there_fails_as_any_other_attempt(rig: Rig) -> None:
    await rig.declare("missing", command=["/no/such/program"], max_retries=0)
    await rig.start(jobs=("missing",))
    status = await rig.run("missing")
    assert status.error is not None
    assert (status.reason, status.error.type) == (Reason.EXHAUSTED, "FileNotFoundError")


async def test_a_command_that_writes_too_much_has_no_result(rig: Rig) -> None:
    await rig.declare("loud", command=command("print('x' * 2_000_000)"))
    await rig.start(jobs=("loud",), result_max_bytes=1_000_000)
    assert (await rig.run("loud")).reason is Reason.INVALID_RESULT
