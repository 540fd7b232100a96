"""The shop of events runs as its README says, on a laptop."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from jetmill import Client, ClientSettings
from jetmill_operator.api.job import IN_CLUSTER, Job
from jetmill_operator.dev.handler import take_handlers
from jetmill_operator.dev.manifest import read_manifests
from support.nats import find_free_port
from support.wait import eventually

pytestmark = pytest.mark.integration
FOLDER = Path(__file__).parents[3] / "examples" / "events"
JOBS = ["place-order", "ship-order", "check-fraud", "call-customer", "report"]


async def test_its_manifests_have_no_fault_and_their_handlers_are_there():
    manifests = read_manifests(FOLDER)
    await take_handlers(manifests, FOLDER)
    assert manifests.faults == []
    assert set(JOBS) <= set(manifests.jobs)


def test_a_cluster_takes_them_too():
    documents = yaml.safe_load_all((FOLDER / "jobs.yaml").read_text())
    jobs = [Job.model_validate(one, context=IN_CLUSTER) for one in documents if one["kind"] == "Job"]
    assert {job.spec.worker.image for job in jobs} == {"jetmill/events:dev", None}


def test_its_image_holds_the_module_of_the_handlers():
    assert "COPY tasks.py /app/" in (FOLDER / "Dockerfile").read_text()


@asynccontextmanager
async def warehouse(folder: Path) -> AsyncIterator[asyncio.StreamReader]:
    """The example's own receiver on a free port, which its Webhook is told; what it prints."""
    port = find_free_port()
    manifest = folder / "jobs.yaml"
    manifest.write_text(manifest.read_text().replace(":8099/", f":{port}/"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(folder / "receiver.py"), str(port)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.kill()
        await process.wait()


async def count(client: Client, job: str) -> int:
    return len(await client.list(job=job, state="succeeded"))


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_its_orders_go_from_part_to_part_by_events(start: Any, tmp_path: Path) -> None:
    folder = tmp_path / "events"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns(".jetmill", "__pycache__"))
    async with warehouse(folder) as received:
        await _run_the_shop(await start(folder), received)


async def _run_the_shop(dev: Any, received: asyncio.StreamReader) -> None:
    client = Client(ClientSettings(url=await dev.ready()))
    await client.connect()
    for order, amount in enumerate((30, 300, 60, 600), 1):
        await client.enqueue("place-order", {"order": order, "amount": amount, "country": "DE"})
    await client.enqueue("place-order", {"order": 9, "amount": 10, "country": "XX"})
    for _ in range(2):
        await client.publish("order.placed", {"order": 5, "amount": 50}, id="order-5")

    async def all_done() -> bool:
        wanted = {"place-order": 5, "ship-order": 5, "check-fraud": 2, "call-customer": 1}
        return {job: await count(client, job) for job in wanted} == wanted

    await eventually(all_done, seconds=90, every_seconds=0.2, what="every order to go its way")
    [call] = await client.list(job="call-customer")
    assert "nobody delivers to XX" in await client.result(call.id)
    shipped = {event.data["parcel"] async for event in client.events.read("order.shipped")}
    assert shipped == {f"P-{order:04}" for order in range(1, 6)}
    async with asyncio.timeout(60):
        told = [(await received.readline()).decode() for _ in shipped]  # it prints what is signed with its secret
    assert {line.split()[0] for line in told} == {"order.shipped"}
    assert all(any(parcel in line for line in told) for parcel in shipped)
    handle = await client.trigger("nightly-report")
    assert (await client.result(handle.id, timeout=120)).startswith("orders to DE before 2")
    types = {event.type async for event in client.events.read("job.*")}
    assert {"job.queued", "job.running", "job.succeeded", "job.failed"} <= types

    async def heard() -> bool:
        [info] = [one for one in await client.events.subscriptions() if one.name == "ledger-of-orders"]
        return (info.waiting, info.in_hand) == (0, 0)

    await eventually(heard, seconds=120)
    await dev.says(r"order\.shipped \d")
    await client.close()
    assert await dev.stop() == 0
