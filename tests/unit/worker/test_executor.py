"""Where handlers run, and how they are stopped there."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from jetmill.protocol.state import Reason, State
from jetmill.worker import JobContext
from support.wait import eventually
from unit.worker.conftest import Rig


async def test_a_coroutine_runs_on_the_workers_loop(rig: Rig) -> None:
    @rig.job
    async def where() -> bool:
        return asyncio.get_running_loop() is loop

    loop = asyncio.get_running_loop()
    await rig.start()
    assert (await rig.run(where)).result is True


async def test_a_function_runs_on_a_thread_and_many_run_at_once(rig: Rig) -> None:
    barrier = threading.Barrier(5, timeout=10)

    @rig.job
    def meet() -> str:
        barrier.wait()
        return threading.current_thread().name

    await rig.start()
    handles = [await rig.client.enqueue(meet) for _ in range(5)]
    assert [await handle.result(10) for handle in handles] == ["jetmill-handler"] * 5


async def test_an_endless_loop_on_a_thread_times_out_and_its_thread_ends(rig: Rig) -> None:
    @rig.job(timeout_seconds=0.2, max_retries=0)
    def spin() -> None:
        while True:
            pass

    worker = await rig.start()
    status = await rig.run(spin)
    assert (status.state, status.reason) == (State.FAILED, Reason.TIMEOUT)
    assert worker.service.metrics.abandoned_total == 1
    await eventually(lambda: worker.service.abandoned == 0)


async def test_a_thread_that_waits_in_c_is_left_alone_and_replaced(rig: Rig) -> None:
    gate = threading.Event()

    @rig.job(timeout_seconds=0.1, max_retries=0)
    def hang() -> None:
        gate.wait(60)

    @rig.job
    def ok() -> int:
        return 1

    worker = await rig.start(concurrency=2)
    assert (await rig.run(hang)).reason is Reason.TIMEOUT
    assert worker.service.abandoned == 1
    assert (await rig.run(ok)).result == 1
    gate.set()
    await eventually(lambda: worker.service.abandoned == 0)


async def test_a_thread_that_looks_at_its_flag_can_end_well(rig: Rig) -> None:
    @rig.job(timeout_seconds=0.1)
    def patient(ctx: JobContext) -> str:
        return "told" if ctx.cancelled.wait(10) else "not told"

    await rig.start(stop_seconds=10.0)
    assert (await rig.run(patient)).result == "told"


async def test_a_coroutine_that_swallows_its_cancellation_is_abandoned(rig: Rig) -> None:
    done = asyncio.Event()

    @rig.job(timeout_seconds=0.1, max_retries=0)
    async def stubborn() -> None:
        while not done.is_set():
            try:
                await done.wait()
            except asyncio.CancelledError:
                continue

    worker = await rig.start(stop_seconds=0.05, concurrency=1)
    assert (await rig.run(stubborn)).reason is Reason.TIMEOUT
    assert worker.service.metrics.abandoned_total == 1
    done.set()


async def test_a_cpu_bound_handler_runs_in_a_process_that_is_kept(rig: Rig, jobs_module: Any) -> None:
    await rig.start(jobs=("pid",), concurrency=1)
    first, second = [(await rig.run("pid")).result for _ in range(2)]
    assert first == second != os.getpid()


@pytest.mark.parametrize(
    ("name", "reason", "error"),
    [
        ("exits", Reason.EXHAUSTED, "WorkerProcessError"),
        ("kills-itself", Reason.EXHAUSTED, "WorkerProcessError"),
        ("spins", Reason.TIMEOUT, "TimeoutError"),
        ("unpicklable", Reason.INVALID_RESULT, "InvalidResultError"),
        ("huge", Reason.INVALID_RESULT, "InvalidResultError"),
        ("speechless", Reason.EXHAUSTED, "poison_jobs.SpeechlessError"),
        ("quits", Reason.EXHAUSTED, "SystemExit"),
        ("useless", Reason.NON_RETRYABLE, "jetmill.client.flow.NonRetryable"),
        ("discarded", Reason.NON_RETRYABLE, "KeyError"),
    ],
)
async def test_nothing_that_a_process_does_harms_the_worker(
    rig: Rig, jobs_module: Any, name: str, reason: Reason, error: str
) -> None:
    await rig.start(jobs=(name, "pid"), concurrency=2)
    status = await rig.run(name)
    assert (status.state, status.reason) == (State.FAILED, reason)
    assert status.error is not None
    assert status.error.type == error
    assert (await rig.run("pid")).state is State.SUCCEEDED


async def test_a_process_has_its_context_and_resources(rig: Rig, jobs_module: Any) -> None:
    @rig.job
    async def follow_up(n: int) -> int:
        return n

    await rig.start(jobs=("talks", "follow-up"))
    status = await rig.run("talks", {"n": 3}, labels={"a": "b"})
    assert status.result == {"labels": {"a": "b"}, "attempt": 1, "pool": "open", "child": status.result["child"]}
    assert await rig.client.result(status.result["child"], 10) == 3
    async for lines in rig.bus.events.traces(status.id, kind="progress"):
        assert b"half" in lines[0].data


async def test_a_bad_payload_fails_in_a_process_as_elsewhere(rig: Rig, jobs_module: Any) -> None:
    await rig.start(jobs=("talks",))
    status = await rig.run("talks", b'{"n": "x"}')
    assert (status.reason, status.attempt) == (Reason.INVALID_PAYLOAD, 1)
    assert status.error is not None
    assert "n: " in status.error.message


async def test_the_processes_end_with_the_worker(rig: Rig, jobs_module: Any) -> None:
    worker = await rig.start(jobs=("pid",))
    pid = (await rig.run("pid")).result
    await worker.close()
    await eventually(lambda: not Path(f"/proc/{pid}").exists())


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
    await handle.wait(10)
    assert (await handle.status()).state is State.CANCELLED
    await eventually(lambda: _is_gone(int(pid_file.read_text())))


def _is_gone(pid: int) -> bool:
    try:
        return "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
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
