"""A plain script on memory://: what `@on` and `on_event` declare runs without a worker being asked for."""

from __future__ import annotations

import uuid

from jetmill import Client, ClientSettings, Event, Registry, job, on, on_event
from support.wait import eventually


async def test_handlers_and_triggers_of_a_script_run_in_its_own_process() -> None:
    registry = Registry()
    heard: list[str] = []

    @on("order.*", name="mails", registry=registry)
    async def mail(event: Event) -> None:
        heard.append(event.type)

    @on_event("order.placed", registry=registry)
    @job("ship", registry=registry)
    async def ship(event: Event) -> int:
        return int(event.data["order"])

    async with Client(ClientSettings(url=f"memory://{uuid.uuid4()}"), registry=registry) as client:
        await client.publish("order.placed", {"order": 7}, id="e1")
        await eventually(lambda: heard)

        async def shipped() -> bool:
            return len(await client.list(job="ship", state="succeeded")) == 1

        await eventually(shipped)
        [one] = await client.list(job="ship")
        assert await client.result(one.id) == 7
    assert heard == ["order.placed"]


async def test_a_script_with_handlers_and_no_job_is_served_too() -> None:
    registry = Registry()
    heard: list[str] = []

    @on("order.*", name="mails", registry=registry)
    def mail(event: Event) -> None:
        heard.append(event.id)

    async with Client(ClientSettings(url=f"memory://{uuid.uuid4()}"), registry=registry) as client:
        made = await client.publish("order.placed")
        await eventually(lambda: heard)
    assert heard == [made]
