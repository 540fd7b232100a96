"""Namespaces with a NATS account of their own, and thus a connection of their own.

JetStream's API names a stream in one token, so within one account no permission can tell the queues of one namespace
from those of another. The chart therefore gives each of its `namespaces` an account, in which the operator has the user
`<its own>-<namespace>` with its own password. Namespaces without one share the operator's own account.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace

from jetmill.bus.connect import BusOptions, connect_trunk
from jetmill.bus.ports import Bus, Trunk
from jetmill.errors import ConfigError


class Accounts:
    """The port `Trunk` over several: one for each namespace that has an account, one for all others."""

    def __init__(self, shared: Trunk, own: Mapping[str, Trunk]) -> None:
        self._shared = shared
        self._own = dict(own)

    @property
    def connected(self) -> bool:
        """All are connected now."""
        return all(trunk.connected for trunk in self._trunks())

    @property
    def connected_seconds(self) -> float:
        """For how long all are; 0.0 if one is not."""
        return min(trunk.connected_seconds for trunk in self._trunks())

    def open(self, namespace: str) -> Bus:
        """See the port."""
        return self._own.get(namespace, self._shared).open(namespace)

    async def close(self) -> None:
        """See the port."""
        await asyncio.gather(*(trunk.close() for trunk in self._trunks()))

    def _trunks(self) -> list[Trunk]:
        return [self._shared, *self._own.values()]


def build_options(options: BusOptions, namespace: str) -> BusOptions:
    """The login to a namespace's account; ConfigError without a user, for its name is made of it."""
    if options.user is None:
        raise ConfigError(
            f"namespace {namespace} has an account of its own, and there is no user to log in to it",
            cure="set JETMILL_NATS_USER and JETMILL_NATS_PASSWORD, or leave JETMILL_NATS_ACCOUNTS empty",
        )
    return replace(options, user=f"{options.user}-{namespace}")


async def connect_accounts(options: BusOptions, namespaces: Iterable[str] = ()) -> Trunk:
    """Connect to the operator's own account and to those of the namespaces; raises as `connect_trunk`."""
    logins = {name: build_options(options, name) for name in sorted(set(namespaces))}
    shared = await connect_trunk(options)
    own: dict[str, Trunk] = {}
    try:
        for name, login in logins.items():
            own[name] = await connect_trunk(login)
    except BaseException:
        await Accounts(shared, own).close()
        raise
    return Accounts(shared, own) if own else shared
