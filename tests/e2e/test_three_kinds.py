"""All three kinds from one file, with pods: examples/events, and the warehouse as a pod that takes what is signed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.chart import ROOT
from support.release import TAG, Release, names, run_cli
from support.wait import eventually

FOLDER = ROOT / "examples/events"
PORT = 8099
LOOK_SECONDS = 0.5
"""Between two questions to the cluster, which cost its processors something."""


@pytest.fixture(scope="module")
def warehouse(release: Release) -> Iterator[str]:
    """The receiver of the example behind a Service, which the dispatcher may send to; its address."""
    files = {"receiver.py": (FOLDER / "receiver.py").read_text()}
    container = {
        "name": "warehouse",
        "image": f"jetmill/worker:{TAG}",
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "/app/receiver.py", str(PORT), "0.0.0.0"],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": "code", "mountPath": "/app"}],
    }
    bodies: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "warehouse"}, "data": files},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "warehouse", "labels": {"app": "warehouse"}},
            "spec": {"containers": [container], "volumes": [{"name": "code", "configMap": {"name": "warehouse"}}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "warehouse"},
            "spec": {"selector": {"app": "warehouse"}, "ports": [{"port": PORT}]},
        },
    ]
    release.kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies}))
    release.kubectl("wait", "--for=condition=Ready", "pod/warehouse", "--timeout=180s")
    [service] = [one for one in release.get("services") if one["metadata"]["name"] == "warehouse"]
    allow = [f"{service['spec']['clusterIP']}/32"]
    release.install(
        dispatcher={"schemes": ["https", "http"], "ports": [PORT], "allow": allow, "secrets": ["warehouse-hook"]}
    )
    yield f"http://warehouse.{release.shop}.svc.cluster.local:{PORT}/shipped"
    release.kubectl("delete", "pod/warehouse", "service/warehouse", "configmap/warehouse", "--wait=false")
    release.install()


@pytest.fixture(scope="module")
def shop(release: Release, warehouse: str) -> Iterator[Release]:
    """The file of the example, applied; only the tag of the image and the warehouse's address are this cluster's."""
    text = (FOLDER / "jobs.yaml").read_text()
    text = text.replace("jetmill/events:dev", f"jetmill/events:{TAG}")
    text = text.replace(f"http://127.0.0.1:{PORT}/shipped", warehouse)
    release.kubectl("apply", "-f", "-", text=text)
    for kind in ("jobs", "scheduledjobs", "webhooks"):
        release.kubectl("wait", "--for=condition=Ready", f"{kind}.jetmill.dev", "--all", "--timeout=180s")
    yield release
    release.kubectl("delete", "-f", "-", "--wait=false", text=text)


async def until(condition: Callable[[], Any], what: str) -> Any:
    return await eventually(condition, seconds=300, every_seconds=LOOK_SECONDS, what=what)


def shipped(release: Release) -> dict[int, set[str]]:
    """The orders that the warehouse believed to be shipped, with the ids of their deliveries."""
    found: dict[int, set[str]] = {}
    for line in release.kubectl("logs", "pod/warehouse").splitlines():
        kind, delivery, body = line.split(" ", 2)
        assert kind == "order.shipped"
        found.setdefault(json.loads(body)["data"]["order"], set()).add(delivery)
    return found


def jobs_of(environ: dict[str, str], job: str) -> list[dict[str, Any]]:
    return list(json.loads(run_cli(environ, "job", "list", "--job", job, "-o", "json")))


def states(environ: dict[str, str], job: str) -> list[str]:
    return [one["state"] for one in jobs_of(environ, job)]


async def test_an_order_goes_its_way_by_events_alone(shop: Release) -> None:
    with shop.forwarded() as environ:
        for order in (
            {"order": 1, "amount": 30, "country": "DE"},
            {"order": 2, "amount": 300, "country": "DE"},
            {"order": 3, "amount": 30, "country": "XX"},
        ):
            run_cli(environ, "job", "run", "place-order", "--payload", json.dumps(order), "--wait")
        for _ in range(2):  # the same event twice
            run_cli(environ, "event", "publish", "order.placed", "--data", '{"order": 4, "amount": 5}', "--id", "o-4")
        found = await until(lambda: (orders := shipped(shop)).keys() >= {1, 2, 4} and orders, "the warehouse to hear")
        assert {order: len(ids) for order, ids in found.items()} == {1: 1, 2: 1, 4: 1}
        await until(lambda: states(environ, "call-customer") == ["succeeded"], "the customer of order 3 to be called")
        await until(lambda: states(environ, "check-fraud") == ["succeeded"], "order 2 alone costs more than 100")
        wanted = ["failed", "succeeded", "succeeded", "succeeded"]
        await until(lambda: sorted(states(environ, "ship-order")) == wanted, "all but order 3 to have been shipped")


async def test_deliveries_are_seen_with_what_the_receiver_answered(shop: Release) -> None:
    with shop.forwarded() as environ:

        def delivered() -> list[dict[str, Any]]:
            """What the warehouse has heard is delivered once its answer is written down."""
            rows = list(json.loads(run_cli(environ, "webhook", "deliveries", "warehouse", "-o", "json")))
            return rows if {row["state"] for row in rows} == {"succeeded"} else []

        rows = await until(delivered, "every delivery to be done with")
    assert {order for ids in shipped(shop).values() for order in ids} == {row["id"] for row in rows}


async def test_the_calendar_has_planned_its_nights_and_runs_when_told(shop: Release) -> None:
    [schedule] = shop.get("scheduledjobs.jetmill.dev")
    assert len(schedule["status"]["nextRuns"]) == 5
    with shop.forwarded() as environ:
        planned = states(environ, "report")
        assert planned
        assert set(planned) == {"scheduled"}
        run_cli(environ, "schedule", "trigger", "nightly-report", "--id", "tonight")
        await until(lambda: states(environ, "report").count("succeeded") == 1, "the report")
        run_cli(environ, "verify")


async def test_a_refused_signature_is_seen_until_the_secret_is_right_again(shop: Release) -> None:
    """Rotated without a restart: the dispatcher reads the Secret when it delivers."""

    def rotate(secret: str) -> None:
        data = {"secret": base64.b64encode(secret.encode()).decode()}
        shop.kubectl("patch", "secret", "warehouse-hook", "--type=merge", "-p", json.dumps({"data": data}))

    [body] = shop.get("secrets", "--field-selector", "metadata.name=warehouse-hook")
    right = base64.b64decode(body["data"]["secret"]).decode()
    shop.kubectl("patch", "jmwh", "warehouse", "--type=merge", "-p", '{"spec": {"retry": {"preset": "short"}}}')
    rotate("whsec_" + base64.b64encode(b"another secret, thirty-two bytes!").decode())
    with shop.forwarded() as environ:
        run_cli(environ, "event", "publish", "order.shipped", "--data", '{"order": 5, "parcel": "P-5"}', "--id", "s-5")

        def refused() -> list[str]:
            rows = run_cli(environ, "webhook", "deliveries", "warehouse", "--state", "retrying", "-o", "json")
            return [row["id"] for row in json.loads(rows)]

        [delivery] = await until(refused, "the warehouse to refuse")
        assert "401" in run_cli(environ, "webhook", "show", delivery)
        assert 5 not in shipped(shop)
        rotate(right)
        await until(lambda: 5 in shipped(shop), "the next attempt, signed with the right secret")


async def test_its_workers_go_back_to_zero(shop: Release) -> None:
    await until(lambda: names(shop.get("pods", "-l", "app.kubernetes.io/name=jetmill-worker")) == [], "no worker")
