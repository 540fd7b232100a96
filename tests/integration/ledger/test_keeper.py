"""The keeper on a real server that crashes."""

from __future__ import annotations

from pathlib import Path

from factories import JOB, make_settings
from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.errors import BusError
from jetmill.ledger.keeper import Keeper
from jetmill.ledger.submit import Submission, submit
from support.nats import NatsServer
from support.wait import eventually


async def answers(bus: Bus) -> bool:
    try:
        await bus.ledger.last_seq()
    except BusError:  # not connected, or not JetStream yet
        return False
    return True


async def test_hints_that_a_crashed_server_lost_come_back_at_the_next_pass(tmp_path: Path) -> None:
    """A queue need not wait for the disk: what a crash takes of it, the keeper puts back, long before its minute."""
    with NatsServer.start(tmp_path, sync_interval="always") as server:
        bus = await connect(BusOptions(server.url))
        await bus.admin.apply_namespace()
        await bus.admin.apply_job(make_settings())
        keeper = Keeper(bus, check_after_seconds=3600, check_after_break_seconds=0)
        jobs = [await submit(bus, Submission(job=JOB, payload=b"{}"), by="client:test") for _ in range(3)]
        assert (await keeper.pass_once()).restored == 0
        server.kill()
        await eventually(lambda: not bus.link.connected)
        server.restart()
        await eventually(lambda: answers(bus))
        for job in jobs[:2]:  # whatever the crash took, these two are gone now
            await bus.queue.purge(JOB, job.id, up_to=1_000_000)

        assert (await keeper.pass_once()).restored >= 2
        assert await bus.queue.hinted(JOB) == {job.id for job in jobs}
        assert (await keeper.pass_once()).restored == 0
        await bus.link.close()
