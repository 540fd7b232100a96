"""The dispatcher of `jetmill dev`: over the connection and the cluster of dev, and free to reach this machine."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping

from jetmill.bus.ports import Trunk
from jetmill.client.settings import ClientSettings
from jetmill_operator.dev.environment import SECRET, Sources
from jetmill_operator.dispatch.branch import Branches
from jetmill_operator.dispatch.process import Office, find_namespaces
from jetmill_operator.dispatch.secret import ReadSecret
from jetmill_operator.dispatch.settings import SCHEMES, DispatchSettings

GRACE_SECONDS = 5.0


@contextlib.asynccontextmanager
async def open_dev_branches(trunk: Trunk, sources: Sources, *, url: str, namespace: str) -> AsyncIterator[Branches]:
    """What the dispatcher does in dev's one namespace: receivers are on this machine, and speak plain HTTP."""
    settings = DispatchSettings(
        connection=ClientSettings(url=url),
        namespaces=(namespace,),
        schemes=SCHEMES,
        ports=(),
        allow=("127.0.0.0/8", "::1/128"),
        grace_seconds=GRACE_SECONDS,
    )
    office = Office(settings, read_folder(sources))
    try:
        yield Branches(trunk.open, find_namespaces(settings, None), office.hire)
    finally:
        office.close()


def read_folder(sources: Sources) -> ReadSecret:
    """Read the Secrets that the folder holds as documents, whatever namespace they name."""

    async def read(_namespace: str, name: str) -> Mapping[str, bytes] | None:
        held = sources.get((SECRET, name))
        return None if held is None else {key: text.encode() for key, text in held.items()}

    return read
