"""The list of jobs and the dead letters: filters in the address, rows that change by themselves, many at once."""

from __future__ import annotations

from browser.conftest import Open, Stage
from jetmill.client.handle import JobHandle
from support.gateway import RunningGateway
from support.wait import eventually


async def test_a_filter_stands_in_the_address_and_comes_back_with_it(
    stage: Stage, local: RunningGateway, window_on: Open
) -> None:
    mine = await stage.client.enqueue("send-email", {"to": "a@example.com"}, labels={"tenant": "acme"})
    await stage.client.enqueue("import-orders")
    async with window_on(local) as window:
        await window.open("jobs")
        await window.find("[role=row]", "import-orders")
        await window.page.get_by_label("Job", exact=True).select_option("send-email")
        await window.page.locator("[role=row]", has_text="import-orders").wait_for(state="detached")
        search = window.page.get_by_role("searchbox")
        await search.fill("state:queued label:tenant=acme")
        await search.press("Enter")
        await window.find(".chip", "tenant=acme")
        await window.reach("jobs?job=send-email&state=queued&label=tenant%3Dacme")
        await window.page.reload()
        await window.find(f"#row-{mine.id}")
        await window.count(2, "[role=row]")
        await window.page.go_back()
        await window.page.go_back()
        await window.find("[role=row]", "import-orders")


async def test_rows_come_and_change_by_themselves(stage: Stage, local: RunningGateway, window_on: Open) -> None:
    async with window_on(local) as window:
        await window.open("jobs")
        await window.see("No job yet")
        handle = await stage.client.enqueue("import-orders")
        await window.find(f"#row-{handle.id} [data-state=queued]")
        await stage.start_worker()
        await window.find(f"#row-{handle.id} [data-state=running]")
        stage.gate.set()
        await window.find(f"#row-{handle.id} [data-state=succeeded]")
        await window.check_access()


async def test_selected_jobs_are_cancelled_together_once_that_is_confirmed(
    stage: Stage, local: RunningGateway, window_on: Open
) -> None:
    handles = [await stage.client.enqueue("send-email", {"to": f"{n}@example.com"}) for n in range(5)]
    async with window_on(local) as window:
        await window.open("jobs")
        await window.find(f"#row-{handles[4].id}")
        await window.page.get_by_label("Select all rows that are loaded").check()
        await window.page.get_by_label(f"Select {handles[0].id}").uncheck()
        await window.see("4 selected")
        await window.check_access()
        await window.press("Cancel 4")
        dialog = await window.find("dialog")
        await dialog.get_by_text("Cancel 4 jobs?").wait_for()
        await window.press("Cancel", within=dialog)
        await window.see("Cancelled: 4 jobs")
        await window.find(f"#row-{handles[4].id} [data-state=cancelled]")
    states = [(await handle.status()).state for handle in handles]
    assert states == ["queued", *["cancelled"] * 4]


async def test_all_that_match_are_cancelled_by_the_gateway_once_their_number_is_typed(
    stage: Stage, local: RunningGateway, window_on: Open
) -> None:
    calls = [{"to": f"{n}@example.com"} for n in range(150)]
    handles = [one for one in await stage.client.enqueue_many("send-email", calls) if isinstance(one, JobHandle)]
    other = await stage.client.enqueue("charge", {"card": "1"})
    async with window_on(local) as window:
        await window.open("jobs?job=send-email")
        await window.find(f"#row-{handles[149].id}")
        await window.page.get_by_label("Select all rows that are loaded").check()
        await window.press("Select all 150 that match")
        await window.check_access()
        await window.press("Cancel", within=await window.find(".bulk"))
        dialog = await window.find("dialog")
        await dialog.get_by_text("Cancel 150 jobs?").wait_for()
        await dialog.get_by_role("textbox").fill("150")
        await window.press("Cancel", within=dialog)
        await window.see("Cancelled: 150 jobs")
    assert {(await handle.status()).state for handle in handles} == {"cancelled"}
    assert (await other.status()).state == "queued"


async def test_a_group_of_dead_letters_is_given_up_and_another_retried(
    stage: Stage, local: RunningGateway, window_on: Open
) -> None:
    await stage.start_worker()
    charges = [await stage.client.enqueue("charge", {"card": str(n)}, max_retries=0) for n in range(3)]
    wrong = await stage.client.enqueue("send-email", {"to": "nobody"}, max_retries=0)
    async with window_on(local) as window:
        await window.open("dead")
        group = await window.find("li", "the bank hung up")
        await group.get_by_text("3", exact=True).wait_for()
        stage.healed.set()
        await window.press("Retry all", within=group)
        await window.press("Retry", within=await window.find("dialog"))
        await window.see("Queued again: 3 jobs")
        await group.wait_for(state="detached")
        other = await window.find("li[data-group]")
        await window.press("Discard", within=other)
        await window.press("Discard", within=await window.find("dialog"))
        await window.see("Discarded: 1 job")
        await window.see("Nothing has failed for good")
        await window.check_access()

    async def settled() -> bool:
        return all([(await one.status()).state == "succeeded" for one in charges])

    await eventually(settled)
    assert (await wrong.status()).state == "discarded"
