"""The port `Trunk`: one connection, a Bus for each namespace."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest

from factories import JOB, make_hint, make_settings
from jetmill.bus.connect import BusOptions, connect_trunk
from jetmill.bus.ports import Trunk
from jetmill.errors import BusError, ConfigError, InvalidNameError
from support.taker import Taker

pytestmark = pytest.mark.conformance


@pytest.fixture(params=["memory", pytest.param("jetstream", marks=pytest.mark.integration)])
async def trunk(request: pytest.FixtureRequest) -> AsyncIterator[Trunk]:
    memory = request.param == "memory"
    url = f"memory://{secrets.token_hex(6)}" if memory else request.getfixturevalue("nats_server").url
    trunk = await connect_trunk(BusOptions(url=url))
    yield trunk
    await trunk.close()


def make_namespace() -> str:
    return f"t-{secrets.token_hex(6)}"


async def test_each_namespace_has_a_bus_of_its_own(trunk: Trunk) -> None:
    shop, lab = trunk.open(make_namespace()), trunk.open(make_namespace())
    for bus in (shop, lab):
        await bus.admin.apply_namespace()
    await shop.admin.apply_job(make_settings())
    hint = make_hint()
    await shop.queue.publish(hint)
    assert (await Taker(shop, want=1).next()).id == hint.id
    assert await lab.admin.settings(JOB) is None


async def test_closing_one_bus_leaves_the_others_connected(trunk: Trunk) -> None:
    shop, lab = trunk.open(make_namespace()), trunk.open(make_namespace())
    await lab.admin.apply_namespace()
    await shop.link.close()
    await shop.link.close()
    assert trunk.connected
    assert lab.link.connected
    await lab.admin.apply_job(make_settings())


async def test_closing_the_trunk_closes_every_bus(trunk: Trunk) -> None:
    bus = trunk.open(make_namespace())
    await bus.admin.apply_namespace()
    assert trunk.connected_seconds > 0
    await trunk.close()
    await trunk.close()
    assert (trunk.connected, bus.link.connected, trunk.connected_seconds) == (False, False, 0.0)
    with pytest.raises(BusError):
        await bus.admin.settings(JOB)


async def test_a_namespace_that_can_be_no_subject_is_refused(trunk: Trunk) -> None:
    with pytest.raises(InvalidNameError):
        trunk.open("not.a.label")


async def test_a_scheme_of_no_known_bus_is_a_fault_of_the_settings() -> None:
    with pytest.raises(ConfigError, match="redis"):
        await connect_trunk(BusOptions(url="redis://127.0.0.1"))
