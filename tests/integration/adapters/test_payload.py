"""Large payloads on a real object store: whole or an error, readable by others, and gone when they are removed."""

from __future__ import annotations

import asyncio
import random

import pytest

from jetmill.bus.ports import Bus
from jetmill.errors import BusError, NotFoundError
from support.nats import NatsServer
from support.raw import Raw
from support.wait import eventually, soon

pytestmark = pytest.mark.integration
DATA = random.Random(1).randbytes(5_000_000)


async def test_megabytes_come_back_as_they_went(bus: Bus) -> None:
    await bus.payloads.put("big", DATA)
    assert await bus.payloads.get("big") == DATA


async def test_nats_own_tools_read_and_write_the_same_objects(bus: Bus, raw: Raw) -> None:
    store = await raw.js.object_store(bus.subjects.payloads_bucket)
    await bus.payloads.put("ours", DATA)
    assert (await store.get("ours")).data == DATA
    await store.put("theirs", DATA[:300_000])
    assert await bus.payloads.get("theirs") == DATA[:300_000]
    await store.delete("theirs")
    with pytest.raises(NotFoundError):
        await bus.payloads.get("theirs")


async def test_what_was_replaced_or_removed_leaves_nothing_behind(bus: Bus, raw: Raw) -> None:
    await bus.payloads.put("one", DATA)
    await bus.payloads.put("one", b"short")
    await bus.payloads.put("two", DATA[:1000])
    stream = f"OBJ_{bus.subjects.payloads_bucket}"
    assert (await raw.stream(stream))["state"]["messages"] == 4
    await bus.payloads.remove("one")
    await bus.payloads.remove("two")
    assert (await raw.stream(stream))["state"]["messages"] == 0


async def test_a_payload_whose_chunks_are_damaged_is_an_error(bus: Bus, raw: Raw) -> None:
    await bus.payloads.put("torn", DATA)
    stream = f"OBJ_{bus.subjects.payloads_bucket}"
    await raw.js.delete_msg(stream, (await raw.stream(stream))["state"]["first_seq"] + 3)
    with pytest.raises(BusError, match="torn"):
        await soon(bus.payloads.get("torn"))


async def test_a_server_that_is_killed_meanwhile_gives_the_payload_or_an_error(
    own_server: NatsServer, own_bus: Bus
) -> None:
    await own_bus.payloads.put("big", DATA)
    ends: set[str] = set()

    async def fetch() -> None:
        try:
            assert await own_bus.payloads.get("big") == DATA
            ends.add("whole")
        except BusError as error:
            ends.add("may be tried again" if error.retryable else str(error))

    async def store(name: str) -> None:
        try:
            await own_bus.payloads.put(name, DATA)
        except BusError as error:
            ends.add("may be tried again" if error.retryable else str(error))

    for turn in range(3):
        fetches = [asyncio.create_task(fetch()) for _ in range(10)]
        stores = [asyncio.create_task(store(f"{turn}-{n}")) for n in range(3)]
        await soon(asyncio.wait(fetches, return_when=asyncio.FIRST_COMPLETED))
        own_server.kill()
        await soon(asyncio.gather(*fetches, *stores))
        await asyncio.to_thread(own_server.restart)
        await eventually(lambda: own_bus.link.connected)
        await eventually(lambda: is_back(own_bus))
    await soon(fetch())
    assert ends == {"whole", "may be tried again"}


async def is_back(bus: Bus) -> bool:
    try:
        await bus.ledger.last_seq()
    except BusError:
        return False
    return True
