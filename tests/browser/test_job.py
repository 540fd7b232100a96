"""One job's page: it changes as the job does, and does to the job what its buttons say."""

from __future__ import annotations

from browser.conftest import Open, Stage
from support.gateway import RunningGateway


async def test_a_job_is_watched_from_its_queue_to_its_result(
    stage: Stage, local: RunningGateway, window_on: Open
) -> None:
    handle = await stage.client.enqueue("import-orders", {"lines": 50})
    async with window_on(local) as window:
        await window.open(f"jobs/{handle.id}")
        await window.find(".title [data-state=queued]")
        await stage.start_worker()
        await window.find(".title [data-state=running]")
        await window.see("opened the file")
        await window.see("20 of 50 lines")
        await window.find("[role=progressbar][aria-valuenow='40']")
        await window.check_access()
        stage.gate.set()
        await window.find(".title [data-state=succeeded]")
        result = await window.find("pre[aria-label=Result]")
        assert await result.inner_text() == "50"


async def test_a_running_job_is_cancelled_once_that_is_confirmed(
    stage: Stage, local: RunningGateway, window_on: Open
) -> None:
    await stage.start_worker()
    handle = await stage.client.enqueue("import-orders")
    async with window_on(local) as window:
        await window.open(f"jobs/{handle.id}")
        await window.find(".title [data-state=running]")
        await window.press("Cancel")
        dialog = await window.find("dialog")
        await window.press("Leave it", within=dialog)
        await window.press("Cancel")
        await window.press("Cancel", within=await window.find("dialog"))
        await window.find(".title [data-state=cancelled]")
    assert (await handle.status()).state == "cancelled"


async def test_a_failed_job_shows_its_traceback_and_runs_again_when_it_is_retried(
    stage: Stage, local: RunningGateway, window_on: Open
) -> None:
    await stage.start_worker()
    handle = await stage.client.enqueue("charge", {"card": "4711"}, max_retries=0)
    async with window_on(local) as window:
        await window.open(f"jobs/{handle.id}")
        await window.find(".title [data-state=failed]")
        await window.see("the bank hung up on card 4711")
        await window.find("pre[aria-label=Traceback]", "ConnectionError")
        await window.check_access()
        stage.healed.set()
        await window.press("Retry")
        await window.find(".title [data-state=succeeded]")
        await window.see("queued 2 times")
        await window.count(0, "pre[aria-label=Traceback]")


async def test_who_may_only_look_is_shown_no_payload_and_no_button_that_would_be_refused(
    stage: Stage, gateway: RunningGateway, window_on: Open
) -> None:
    handle = await stage.client.enqueue("send-email", {"to": "ada@example.com"})
    async with window_on(gateway) as window:
        await window.enter("token-of-viewer")
        await window.open(f"jobs/{handle.id}")
        button = await window.find("button:disabled:has-text('Cancel')")
        assert await button.get_attribute("title") == "You may not cancel jobs in this namespace"
        await window.see("Payload and result are not shown")
        assert "ada@example.com" not in await window.page.content()
        await window.check_access()


async def test_who_may_act_acts_by_a_session(stage: Stage, gateway: RunningGateway, window_on: Open) -> None:
    handle = await stage.client.enqueue("send-email", {"to": "ada@example.com"})
    async with window_on(gateway) as window:
        await window.enter("token-of-editor")
        await window.open(f"jobs/{handle.id}")
        await window.see('"ada@example.com"')
        await window.press("Cancel")
        await window.press("Cancel", within=await window.find("dialog"))
        await window.find(".title [data-state=cancelled]")
    status = await handle.status()
    assert status.history[-1].by == "editor"


async def test_a_job_that_is_not_there_is_said_to_be_gone(local: RunningGateway, window_on: Open) -> None:
    async with window_on(local) as window:
        window.allowed.append("404")
        await window.open("jobs/0199f3c2-0000-7000-8000-000000000000")
        await window.see("There is no such job here")
        await window.check_access()
