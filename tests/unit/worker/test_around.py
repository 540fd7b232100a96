"""What stands around a handler: filters and resources."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest

from jetmill.client.filter import Filter, add_filter, remove_filter
from jetmill.client.inject import Inject
from jetmill.protocol.outcome import Failed, Outcome, Succeeded
from jetmill.protocol.record import ErrorInfo
from jetmill.protocol.state import Reason, State
from jetmill.worker import JobContext
from support.rig import Rig


class Recorder(Filter):
    def __init__(self, name: str, notes: list[str]) -> None:
        self.name = name
        self.notes = notes

    async def on_performing(self, ctx: Any) -> None:
        self.notes.append(f"{self.name} before {ctx.job}")

    def on_performed(self, ctx: Any, outcome: Outcome) -> None:
        self.notes.append(f"{self.name} after {type(outcome).__name__}")


async def test_filters_see_a_job_in_order_the_global_ones_first(rig: Rig) -> None:
    notes: list[str] = []
    everywhere = add_filter(Recorder("all", notes))
    try:

        @rig.job(filters=[Recorder("own", notes)])
        async def work() -> None:
            notes.append("work")

        await rig.start()
        await rig.run(work)
    finally:
        remove_filter(everywhere)
    assert notes == ["all before work", "own before work", "work", "all after Succeeded", "own after Succeeded"]


async def test_a_filter_elects_the_outcome(rig: Rig) -> None:
    class Lenient(Filter):
        def on_state_election(self, ctx: Any, outcome: Outcome) -> Outcome:
            return Succeeded(b'"forgiven"') if isinstance(outcome, Failed) else outcome

    class Strict(Filter):
        async def on_state_election(self, ctx: Any, outcome: Outcome) -> Outcome:
            return Failed(Reason.NON_RETRYABLE, ErrorInfo(type="Strict", message="no"))

    @rig.job(filters=[Lenient()], max_retries=0)
    async def fails() -> None:
        raise ValueError

    @rig.job(filters=[Strict()])
    async def works() -> None: ...

    await rig.start()
    assert (await rig.run(fails)).result == "forgiven"
    assert (await rig.run(works)).error == ErrorInfo(type="Strict", message="no")


async def test_a_filter_that_raises_does_not_lose_the_job(rig: Rig) -> None:
    class Broken(Filter):
        def on_performed(self, ctx: Any, outcome: Outcome) -> None:
            raise RuntimeError("performed")

        def on_state_election(self, ctx: Any, outcome: Outcome) -> Outcome:
            raise RuntimeError("elected")

    class Nonsense(Filter):
        def on_state_election(self, ctx: Any, outcome: Outcome) -> Outcome:
            return "succeeded"  # type: ignore[return-value]

    @rig.job(filters=[Broken(), Nonsense()])
    async def work() -> int:
        return 1

    await rig.start()
    assert (await rig.run(work)).result == 1


async def test_on_performing_may_end_the_attempt(rig: Rig) -> None:
    class Guard(Filter):
        def on_performing(self, ctx: Any) -> None:
            raise PermissionError("closed")

    @rig.job(filters=[Guard()], max_retries=0)
    async def work() -> None: ...

    await rig.start()
    status = await rig.run(work)
    assert (status.state, status.error and status.error.type) == (State.FAILED, "PermissionError")


class Pool:
    def __init__(self, name: str) -> None:
        self.name = name


class Session:
    def __init__(self, text: str) -> None:
        self.text = text


@pytest.mark.parametrize("on_thread", [False, True])
async def test_resources_are_made_once_per_worker_or_for_each_job(rig: Rig, on_thread: bool) -> None:
    notes: list[str] = []

    async def open_pool() -> AsyncIterator[Pool]:
        notes.append("open pool")
        yield Pool("pool")
        notes.append("close pool")

    def open_session(ctx: JobContext, pool: Pool) -> Iterator[Session]:
        notes.append("open session")
        yield Session(f"{pool.name} of {ctx.job}")
        notes.append("close session")

    resources: dict[type, Any] = {Pool: open_pool, Session: Inject(open_session, scope="job")}

    def work(session: Session, n: int, pool: Annotated[Pool, Inject]) -> str:
        return f"{session.text} {n} {pool.name}"

    async def work_async(session: Session, n: int, pool: Annotated[Pool, Inject]) -> str:
        return work(session, n, pool)

    from jetmill.worker.resource import Resources

    Resources(resources)  # marks the types, as the declaring module of an application would
    handler = rig.job(name="work")(work if on_thread else work_async)
    worker = await rig.start(resources=resources)
    assert (await rig.run(handler, {"n": 1})).result == "pool of work 1 pool"
    assert (await rig.run(handler, {"n": 2})).result == "pool of work 2 pool"
    await worker.close()
    assert notes == ["open pool", *["open session", "close session"] * 2, "close pool"]


calls: list[int] = []


async def open_late() -> Pool:
    calls.append(1)
    if len(calls) == 1:
        raise ConnectionError("database down")
    return Pool("late")


async def test_a_resource_that_cannot_be_opened_fails_the_attempt_not_the_worker(rig: Rig) -> None:
    calls.clear()

    @rig.job(max_retries=1)
    async def work(pool: Annotated[Pool, Inject(open_late)]) -> str:
        return pool.name

    await rig.declare("work", initial_delay_seconds=0.0)
    await rig.start()
    status = await rig.run(work)
    assert (status.result, status.attempt) == ("late", 2)


async def test_a_resource_that_nobody_provides_is_named(rig: Rig) -> None:
    @rig.job
    async def work(pool: Annotated[Pool, Inject]) -> None: ...

    worker = await rig.start()
    assert "'pool': nobody provides Pool" in worker.service._served["work"].missing
