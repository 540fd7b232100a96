"""Schedules on a page: `jetmill dev` obeys them, and people trigger, suspend and try them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from browser.conftest import Open
from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import SCHEDULED_JOB
from support.browser import open_window
from support.dev import declare, run_dev
from support.gateway import NAMESPACE, RunningGateway

pytestmark = pytest.mark.timeout(600)
TASKS = """
from jetmill import job

@job
async def report(kind: str) -> str:
    return f"the {kind} report"
"""
NIGHTLY = """\
apiVersion: jetmill.dev/v1alpha1
kind: ScheduledJob
metadata: {name: nightly}
spec: {jobRef: {name: report}, schedule: "30 2 * * *", timeZone: America/New_York, payload: {kind: nightly}}
"""


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    """The gateway of a `jetmill dev` with a schedule of a file, and one that was declared over REST."""
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "report.yaml").write_text(declare("report", "tasks:report"))
    (tmp_path / "nightly.yaml").write_text(NIGHTLY)
    async with run_dev(tmp_path, "--gateway-port", "0") as dev:
        await dev.ready()
        url = (await dev.says(r"gateway (http://127\.0\.0\.1:\d+)"))[1]
        spec = {"jobRef": {"name": "report"}, "every": "1h", "payload": {"kind": "hourly"}}
        async with httpx.AsyncClient(base_url=f"{url}/api/v1/", trust_env=False, timeout=60.0) as http:
            made = await http.post("declarations/scheduledjobs", json={"name": "hourly", "spec": spec})
            assert made.status_code == 201, made.text
        yield url


async def test_a_schedule_is_shown_by_two_clocks_triggered_suspended_and_resumed(address: str, browser: object) -> None:
    async with open_window(browser, address) as window:
        await window.open("schedules")
        row = await window.find("tr:has-text('ready')", "nightly")
        await row.get_by_text("30 2 * * *").wait_for()
        await window.find("tr:has-text('ready')", "hourly")
        await window.check_access()

        await window.press("nightly", role="link")
        runs = window.page.get_by_role("region", name="Next runs of nightly")
        await runs.get_by_text("Yours: Europe/Berlin").wait_for()
        await window.count(20, runs.locator("tbody tr"))
        await window.count(20, runs.locator("tbody tr td:first-child", has_text="02:30:00"))
        await window.check_access()

        await window.press("Trigger")
        await window.press("Trigger", within=await window.find("dialog"))
        await window.find(".title [data-state=succeeded]")
        await window.find("pre[aria-label=Result]", "the nightly report")
        await window.press("nightly", role="link")
        await window.find("[aria-label='Recent runs'] [data-state=succeeded]")

        await window.open("schedules/hourly")
        await window.press("Suspend")
        await window.press("Suspend", within=await window.find("dialog"))
        await window.see("None while it is suspended")
        await window.find(".title .state", "suspended")
        await window.check_access()
        await window.see("It has not run yet")  # what was withdrawn never was a run
        await window.press("Resume")
        await window.find(".title .state", "ready")
        await window.find("[aria-label='Next runs of hourly'] tbody tr")


async def test_what_a_file_declares_is_said_to_be_edited_there(address: str, browser: object) -> None:
    async with open_window(browser, address) as window:
        window.allowed.append("409")
        await window.open("schedules/nightly")
        await window.press("Suspend")
        await window.press("Suspend", within=await window.find("dialog"))
        await window.see("nightly.yaml")


async def test_an_expression_is_tried_before_it_is_declared(
    local: RunningGateway, cluster: LocalCluster, window_on: Open
) -> None:
    await declare_object(cluster)
    async with window_on(local) as window:
        window.allowed += ["422", "404"]  # the expression that is none; nobody plans here
        await window.open("schedules/nightly")
        sheet = window.page.get_by_role("region", name="Try an expression")
        await sheet.get_by_label("Cron expression").fill("0 9 29 2 *")
        await sheet.get_by_label("Zone").fill("Asia/Kathmandu")
        await window.press("Preview", within=sheet)
        times = sheet.locator("tbody td:first-child")
        await times.nth(7).wait_for()
        await window.count(8, times.filter(has_text="09:00:00").filter(has_text="29 Feb 20"))
        await sheet.get_by_label("Cron expression").fill("0 25 * * *")
        await window.press("Preview", within=sheet)
        await sheet.get_by_role("alert").get_by_text("25").first.wait_for()
        await window.check_access()


async def test_who_may_only_look_is_offered_nothing_that_would_be_refused(
    gateway: RunningGateway, cluster: LocalCluster, reviewer: object, window_on: Open
) -> None:
    reviewer.allow("viewer", "list scheduledjobs", "get scheduledjobs")  # type: ignore[attr-defined]
    await declare_object(cluster)
    async with window_on(gateway) as window:
        window.allowed.append("404")  # nobody plans here
        await window.enter("token-of-viewer")
        await window.open("schedules/nightly")
        for name, what in (("Trigger", "trigger"), ("Suspend", "change")):
            button = await window.find("button:disabled", name)
            assert await button.get_attribute("title") == f"You may not {what} schedules in this namespace"
        await window.check_access()


async def test_one_that_is_not_declared_is_said_to_be_none(local: RunningGateway, window_on: Open) -> None:
    async with window_on(local) as window:
        window.allowed.append("404")
        await window.open("schedules/nobody")
        await window.see("No ScheduledJob nobody is declared in shop")
        await window.check_access()


async def declare_object(cluster: LocalCluster) -> None:
    """A ScheduledJob that no operator has seen yet."""
    body = {
        "apiVersion": "jetmill.dev/v1alpha1",
        "kind": "ScheduledJob",
        "metadata": {"name": "nightly", "namespace": NAMESPACE},
        "spec": {"jobRef": {"name": "send-email"}, "schedule": "30 2 * * *", "timeZone": "America/New_York"},
    }
    await cluster.apply(SCHEDULED_JOB, body, manager="kubectl")
