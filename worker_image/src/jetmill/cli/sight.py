"""What `why` looks at: a Job, or one job, with who works on it, read now. What follows from it stands in `cause`."""

from __future__ import annotations

from datetime import UTC, datetime

from jetmill.cli.cause import Cause, Seen, decide_causes, decide_job_causes
from jetmill.client.client import Client
from jetmill.client.status import JobStatus
from jetmill.ledger.gate import hash_key
from jetmill.ledger.schedule import list_schedules


async def find_job_causes(client: Client, job: str) -> list[Cause]:
    """What keeps the jobs of a Job from starting; empty: nothing does."""
    return decide_job_causes(await observe(client, job))


async def find_causes(client: Client, status: JobStatus) -> list[Cause]:
    """Why one job stands where it stands."""
    return decide_causes(status, await observe(client, status.job), holder=await find_holder(client, status))


async def find_holder(client: Client, status: JobStatus) -> str | None:
    """Another job that has this one's key and is not done with; None: none."""
    if status.concurrency_key is None:
        return None
    ledger = (await client.connect()).ledger
    found = await ledger.read_holder(hash_key(status.concurrency_key))
    if found is None or found[1].id == status.id:
        return None
    other = await ledger.read(found[1].id)
    return found[1].id if other is not None and other.record.open else None


async def observe(client: Client, job: str) -> Seen:
    """Read a Job's settings, its queue, and who works."""
    bus = await client.connect()
    counted = await client.stats(job)
    return Seen(
        job=job,
        now=datetime.fromtimestamp(bus.link.now() / 1_000_000, UTC),
        settings=next((one for one in await client.jobs() if one.job == job), None),
        stats=counted[0] if counted else None,
        workers=await client.workers(),
        plans=[stored.plan for stored in await list_schedules(bus) if stored.plan.job == job],
    )
