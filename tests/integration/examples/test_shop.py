"""The shop runs as its README says, on a laptop; in a cluster the end-to-end tests apply the same file."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path

import pytest
import yaml

from jetmill import Client, ClientSettings, JobFailedError
from jetmill.errors import InvalidPayloadError
from jetmill_operator.api.job import IN_CLUSTER, Job
from jetmill_operator.dev.handler import take_handlers
from jetmill_operator.dev.manifest import read_manifests

pytestmark = pytest.mark.integration
FOLDER = Path(__file__).parents[3] / "examples" / "shop"


async def test_its_manifests_have_no_fault_and_their_handlers_are_there():
    manifests = read_manifests(FOLDER)
    await take_handlers(manifests, FOLDER)
    assert manifests.faults == []
    assert list(manifests.jobs) == ["send-email", "charge-card", "sales-report"]


def test_a_cluster_takes_them_too():
    jobs = [
        Job.model_validate(document, context=IN_CLUSTER)
        for document in yaml.safe_load_all((FOLDER / "jobs.yaml").read_text())
    ]
    assert {job.spec.worker.image for job in jobs} == {"jetmill/shop:dev"}


def test_its_image_holds_the_module_of_the_handlers():
    assert "COPY tasks.py /app/" in (FOLDER / "Dockerfile").read_text()


async def test_its_handlers_can_be_called_as_they_are():
    spec = importlib.util.spec_from_file_location("shop_tasks", FOLDER / "tasks.py")
    assert spec is not None
    assert spec.loader is not None
    tasks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tasks)
    assert await tasks.send_email("ada@example.com", "Thank you") == "nobody -> ada@example.com: Thank you"
    assert tasks.sales_report(1000) == tasks.sales_report(1000, seed=1) != tasks.sales_report(1000, seed=2)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.field(
    "Job.spec.worker.env.name",
    "Job.spec.worker.env.value",
    "Job.spec.worker.executor",
    "Job.spec.retry.maxRetries",
    "Job.spec.payload.schema",
)
async def test_its_jobs_run_in_dev(start):
    dev = await start(FOLDER)
    client = Client(ClientSettings(url=await dev.ready()))
    await client.connect()
    mails = [
        await client.enqueue("send-email", {"to": f"{number}@shop.example", "subject": "Hi"}) for number in range(30)
    ]
    charges = [await client.enqueue("charge-card", {"order": order, "amount": 12.5}) for order in range(1, 10)]
    report = await client.enqueue("sales-report", {"orders": 20_000})
    refused = await client.enqueue("charge-card", {"order": 10, "amount": -1})
    with pytest.raises(InvalidPayloadError):
        await client.enqueue("charge-card", {"order": 0, "amount": 1})

    sent = {await mail.result(timeout=120) for mail in mails}
    assert sent == {f"orders@shop.example -> {number}@shop.example: Hi" for number in range(30)}
    charged = [await charge.result(timeout=120) for charge in charges]
    assert Counter(one["attempts"] for one in charged) == {1: 6, 3: 3}
    assert (await report.result(timeout=120))["median"] == pytest.approx(20, rel=0.1)
    with pytest.raises(JobFailedError, match="the bank refuses"):
        await refused.result(timeout=120)
    assert (await refused.status()).attempt == 1
    await client.close()
    await dev.stop()
