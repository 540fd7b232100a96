"""The only way out: a name is resolved once, every address of it is checked, and a checked one is dialled.

```
 host ─▶ resolve ─▶ each address allowed? ─ one is not ─▶ DeniedError, nothing is dialled
                              │ all are
                              ▼
                        dial them in order; TLS and Host go by the name
```

It is httpcore's network backend, beneath TLS and HTTP: whatever is asked above, nothing else can open a socket. Between
check and connect no name is looked up again, so an answer that changes (DNS rebinding) changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import httpcore

from jetmill.errors import JetmillError
from jetmill_operator.dispatch.address import AddressPolicy
from jetmill_operator.dispatch.resolver import Resolve

CONNECT_SECONDS = 10.0
"""For one address; the next one may answer."""


class DeniedError(JetmillError):
    """An address, port or scheme that the policy does not allow."""


class Guard(httpcore.AsyncNetworkBackend):
    """Opens connections; `dial` does so to an address, as httpcore's own backend does."""

    def __init__(
        self, policy: AddressPolicy, resolve: Resolve, *, dial: httpcore.AsyncNetworkBackend | None = None
    ) -> None:
        self._policy = policy
        self._resolve = resolve
        self._dial = dial or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to a checked address of a host; DeniedError, httpcore.ConnectError."""
        addresses = await self._find_addresses(host, port)
        last: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return await self._dial.connect_tcp(
                    address, port, timeout or CONNECT_SECONDS, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as err:
                last = err
        raise last

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - the same
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        """Never."""
        raise DeniedError(f"{path}: a Webhook is sent over TCP")

    async def sleep(self, seconds: float) -> None:
        """See httpcore."""
        await asyncio.sleep(seconds)

    async def _find_addresses(self, host: str, port: int) -> list[str]:
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as err:
            raise httpcore.ConnectError(f"{host} cannot be looked up: {err}") from err
        for address in addresses:
            fault = self._policy.find_fault(address)
            if fault is not None:
                raise DeniedError(
                    f"{host} is {address}, which is not to be reached: {fault}",
                    cure="an administrator may allow its network (JETMILL_DISPATCH_ALLOW)",
                )
        return addresses
