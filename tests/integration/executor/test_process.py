"""Handlers that run on processes of their own, on a bus in memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from jetmill.protocol.state import Reason, State
from support.rig import Rig
from support.wait import eventually

pytestmark = pytest.mark.integration


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
    assert await rig.client.result(status.result["child"], 60) == 3
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
