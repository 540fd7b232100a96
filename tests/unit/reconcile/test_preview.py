"""What would be done, and nothing done."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from jetmill.bus.memory import MemoryTrunk
from jetmill.cli.main import app
from jetmill_operator.api.webhook import Webhook
from jetmill_operator.cluster.errors import AbsentError
from jetmill_operator.cluster.ports import DEPLOYMENT, JOB, WEBHOOK, Key
from jetmill_operator.reconcile.bus import Buses
from jetmill_operator.reconcile.command import suspend_object
from jetmill_operator.reconcile.event import Recorder
from jetmill_operator.reconcile.preview import Previewer, build_body
from jetmill_operator.reconcile.status import StatusWriter
from jetmill_operator.reconcile.webhook import WebhookReconciler
from jetmill_operator.resources.deployment import WorkerLink
from support.declare import make_body, parse_body
from support.site import Site

LINK = WorkerLink("nats://nats:4222")
MANIFEST = """
apiVersion: jetmill.dev/v1alpha1
kind: Job
metadata: {name: send-email, namespace: shop}
spec: {handler: "shop.tasks:send", worker: {image: "shop:1"}}
"""


@pytest.fixture
async def site() -> Site:
    return Site(MemoryTrunk("preview"))


async def test_without_a_cluster_everything_is_new() -> None:
    [preview] = await Previewer("shop", link=LINK).preview([parse_body(make_body())])
    assert "+ stream jm_shop_q_send-email" in str(preview)
    assert "+++ wanted Deployment send-email-worker" in str(preview)
    assert preview.fault == ""


async def test_riders_of_the_same_folder_are_known() -> None:
    rider = make_body("report", worker={"from": {"name": "send-email"}})
    found = await Previewer("shop", link=LINK).preview([parse_body(make_body()), parse_body(rider)])
    assert [preview.fault for preview in found] == ["", ""]
    [alone] = await Previewer("shop", link=LINK).preview([parse_body(rider)])
    assert "no Job send-email" in alone.fault


async def test_with_a_cluster_only_what_differs_is_shown_and_nothing_is_written(site: Site) -> None:
    await site.declare(make_body())
    await site.settle()
    before = [await site.cluster.list(kind) for kind in (JOB, DEPLOYMENT)]
    buses = Buses(MemoryTrunk("preview"))
    previewer = Previewer("shop", link=LINK, cluster=site.cluster, buses=buses)
    [same] = await previewer.preview([parse_body(make_body())])
    assert str(same) == "Job send-email: nothing to do\n"
    [changed] = await previewer.preview([parse_body(make_body(worker={"image": "shop:2"}, timeoutSeconds=60))])
    assert "-        image: shop:1\n+        image: shop:2" in str(changed).replace("\n ", "\n")
    assert "~ settings of send-email: generation, timeout_seconds" in str(changed)
    assert [await site.cluster.list(kind) for kind in (JOB, DEPLOYMENT)] == before


def test_the_command_shows_a_file_and_names_what_is_wrong(tmp_path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(MANIFEST)
    bad.write_text(MANIFEST.replace("handler", "handlr"))
    runner = CliRunner()
    shown = runner.invoke(app, ["plan", "-f", str(good)])
    assert shown.exit_code == 0, shown.output
    assert "Job send-email: 5 steps" in shown.output
    assert "jm_shop_q_send-email" in shown.output
    refused = runner.invoke(app, ["plan", "-f", str(bad)])
    assert refused.exit_code == 2
    assert "did you mean handler?" in refused.output


async def test_pausing_is_a_persons_patch_and_tells_whether_it_changed_something(site: Site) -> None:
    await site.declare(make_body())
    assert await suspend_object(site.cluster, JOB, "shop", "send-email", suspend=True)
    assert not await suspend_object(site.cluster, JOB, "shop", "send-email", suspend=True)
    assert (await site.job())["spec"]["suspend"] is True
    with pytest.raises(AbsentError, match="no Job nobody"):
        await suspend_object(site.cluster, JOB, "shop", "nobody", suspend=True)


def make_hook(**spec: object) -> Webhook:
    meta, given = {"name": "orders"}, {"events": ["order.*"], "url": "https://hooks.example.com/a", **spec}
    return Webhook.model_validate(
        {"apiVersion": "jetmill.dev/v1alpha1", "kind": "Webhook", "metadata": meta, "spec": given}
    )


async def test_a_webhook_is_shown_by_its_queue() -> None:
    [new] = await Previewer("shop", link=LINK).preview_webhooks([make_hook()])
    assert str(new).startswith(
        "Webhook orders: 1 steps (as if nothing were there yet)\n+ stream jm_shop_q_wh--orders\n"
    )
    [bad] = await Previewer("shop", link=LINK).preview_webhooks([make_hook(filter={"expression": "event.data.("})])
    assert "spec.filter.expression" in bad.fault


async def test_of_a_webhook_what_an_edit_changes_is_named_and_nothing_is_written(site: Site) -> None:
    buses = Buses(MemoryTrunk("preview"))
    status = StatusWriter(site.cluster, Recorder(site.cluster))
    hook = make_hook()
    await site.cluster.apply(WEBHOOK, build_body(hook, "shop"), manager="kubectl")
    reconciler = WebhookReconciler(site.cluster, buses, status=status)
    for _ in range(3):
        await reconciler.reconcile(Key(WEBHOOK.name, "shop", "orders"))
    previewer = Previewer("shop", link=LINK, cluster=site.cluster, buses=buses)
    before = await site.cluster.list(WEBHOOK), await buses.of("shop").admin.all_settings()
    [same] = await previewer.preview_webhooks([hook])
    assert str(same) == "Webhook orders: nothing to do\n"
    [other] = await previewer.preview_webhooks([make_hook(url="https://hooks.example.com/b", concurrency=3)])
    assert "~ settings of wh--orders: generation, concurrency, webhook.url\n" in str(other)
    assert (await site.cluster.list(WEBHOOK), await buses.of("shop").admin.all_settings()) == before


def test_the_command_shows_webhooks_beside_jobs(tmp_path: Path) -> None:
    hook = "apiVersion: jetmill.dev/v1alpha1\nkind: Webhook\nmetadata: {name: orders}\nspec: {events: ['*'], url: https://a.example/}\n"
    (tmp_path / "job.yaml").write_text(f"{MANIFEST}---\n{hook}")
    result = CliRunner().invoke(app, ["plan", "-f", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "Job send-email: " in result.stdout
    assert "Webhook orders: 1 steps" in result.stdout
