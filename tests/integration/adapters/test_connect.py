"""The first connection: one that works, or an error that says what to do, soon."""

from __future__ import annotations

import pytest

from jetmill.bus.connect import BusOptions, connect
from jetmill.errors import BusError, ConfigError, DisconnectedError
from support.nats import NatsServer, find_free_port

pytestmark = pytest.mark.integration


async def test_where_nobody_listens_the_error_names_the_address_and_a_cure() -> None:
    url = f"nats://127.0.0.1:{find_free_port()}"
    with pytest.raises(DisconnectedError) as failed:
        await connect(BusOptions(url=url))
    assert url in str(failed.value)
    assert failed.value.cure


async def test_of_several_addresses_one_that_answers_is_enough(shared_server: NatsServer) -> None:
    bus = await connect(BusOptions(url=f"nats://127.0.0.1:{find_free_port()}, {shared_server.url}"))
    assert bus.link.connected
    await bus.link.close()


async def test_a_ca_bundle_that_cannot_be_read_is_a_fault_of_the_settings(shared_server: NatsServer) -> None:
    with pytest.raises(ConfigError, match="no-such-file"):
        await connect(BusOptions(url=shared_server.url, tls_ca="no-such-file.pem"))


async def test_a_server_without_jetstream_is_told_as_such(tmp_path) -> None:
    config = "accounts {plain {users: [{user: u, password: p}]}}"
    with NatsServer.start(tmp_path, config=config) as server:
        bus = await connect(BusOptions(url=server.url, user="u", password="p"))
        with pytest.raises(BusError, match=r"(?i)jetstream"):
            await bus.admin.apply_namespace()
        await bus.link.close()
