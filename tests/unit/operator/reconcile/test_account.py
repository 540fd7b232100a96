"""Accounts: a namespace that has one is reached over its own connection, all others over the operator's."""

from __future__ import annotations

import pytest

from jetmill.bus.connect import BusOptions
from jetmill.bus.memory import MemoryTrunk
from jetmill.errors import ConfigError
from jetmill_operator.reconcile.account import Accounts, build_options, connect_accounts

OPTIONS = BusOptions(url="memory://accounts", user="operator", password="p")


def test_the_login_to_an_account_is_made_of_the_operators_own() -> None:
    options = build_options(OPTIONS, "shop")
    assert (options.user, options.password, options.url) == ("operator-shop", "p", OPTIONS.url)


def test_without_a_user_there_is_none_to_make_it_of() -> None:
    with pytest.raises(ConfigError, match="JETMILL_NATS_ACCOUNTS"):
        build_options(BusOptions(url="nats://x"), "shop")


async def test_each_namespace_has_the_streams_of_its_own_account() -> None:
    shared, own = MemoryTrunk("shared", prefix="jm"), MemoryTrunk("own", prefix="jm")
    trunk = Accounts(shared, {"shop": own})
    await trunk.open("shop").admin.apply_namespace()
    await trunk.open("billing").admin.apply_namespace()
    assert not await own.open("shop").admin.inspect_namespace()
    assert await shared.open("shop").admin.inspect_namespace()
    assert not await shared.open("billing").admin.inspect_namespace()
    assert trunk.connected
    await trunk.close()
    assert not trunk.connected


async def test_without_accounts_there_is_one_connection() -> None:
    trunk = await connect_accounts(OPTIONS)
    assert isinstance(trunk, MemoryTrunk)
    await trunk.close()
