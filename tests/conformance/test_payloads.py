"""The port `Payloads`: what every adapter promises."""

from __future__ import annotations

import pytest

from conformance.place import Place
from jetmill.bus.ports import Bus
from jetmill.errors import NotFoundError

pytestmark = pytest.mark.conformance

LARGE = bytes(range(256)) * 4 * 1024 * 3
"""3 MiB, more than one message holds."""


@pytest.mark.parametrize("data", [b"", b"{}", LARGE], ids=["empty", "small", "large"])
async def test_a_payload_is_fetched_as_it_was_put(bus: Bus, place: Place, data: bytes) -> None:
    await bus.payloads.put("job-1.payload", data)
    reader = await place.connect()
    assert await reader.payloads.get("job-1.payload") == data


async def test_the_same_name_again_replaces(bus: Bus) -> None:
    await bus.payloads.put("name", b"one")
    await bus.payloads.put("name", b"two")
    assert await bus.payloads.get("name") == b"two"


async def test_what_is_not_there_cannot_be_fetched(bus: Bus) -> None:
    with pytest.raises(NotFoundError):
        await bus.payloads.get("nothing")


async def test_what_was_removed_is_gone(bus: Bus) -> None:
    await bus.payloads.put("name", b"one")
    await bus.payloads.remove("name")
    with pytest.raises(NotFoundError):
        await bus.payloads.get("name")


async def test_removing_what_is_not_there_is_no_error(bus: Bus) -> None:
    await bus.payloads.remove("nothing")
    await bus.payloads.put("name", b"one")
    await bus.payloads.remove("name")
    await bus.payloads.remove("name")
