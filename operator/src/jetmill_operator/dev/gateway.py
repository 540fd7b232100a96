"""The gateway of `jetmill dev`: for whoever sits at this machine, over the connection and the cluster of dev itself."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from jetmill.bus.ports import Trunk
from jetmill.client.settings import ClientSettings
from jetmill.errors import ConfigError
from jetmill_operator.cluster.ports import Cluster, Kind
from jetmill_operator.dev.folder import IMAGE
from jetmill_operator.gateway.process import Listening, Outside, open_gateway
from jetmill_operator.gateway.settings import PORT, GatewaySettings
from jetmill_operator.gateway.web.parts import Ground

FindFile = Callable[[Kind, str, str], str | None]
RATE_PER_SECOND = 10_000.0
"""Nobody has to be held back from their own machine."""


@contextlib.asynccontextmanager
async def open_dev_gateway(
    trunk: Trunk, cluster: Cluster, *, url: str, namespace: str, find_file: FindFile, port: int | None = None
) -> AsyncIterator[str]:
    """Serve until the block ends, and give the address. Without a port, the usual one or, if that is taken, a free one;
    ConfigError if a port that was asked for is taken.
    """
    settings = GatewaySettings(
        connection=ClientSettings(url=url),
        namespaces=(namespace,),
        auth="none",
        port=PORT if port is None else port,
        rate_per_second=RATE_PER_SECOND,
        rate_burst=round(RATE_PER_SECOND),
        grace_seconds=1,
    )
    outside = Outside(cluster=cluster, ground=Ground(find_file, IMAGE))
    async with contextlib.AsyncExitStack() as stack:
        try:
            served: Listening = await stack.enter_async_context(open_gateway(settings, trunk, outside))
        except ConfigError:
            if port is not None:
                raise
            served = await stack.enter_async_context(open_gateway(replace(settings, port=0), trunk, outside))
        yield f"http://{settings.host}:{served.port}"
