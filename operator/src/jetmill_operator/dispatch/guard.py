"""The only way out: a name is resolved once, every address of it is checked, and a checked one is dialled.

```
 host ─▶ resolve ─▶ each address allowed? ─ one is not ─▶ DeniedError, nothing is dialled
                              │ all are
                              ▼
                        dial them in order; TLS goes by the name
```

It stands where connections are made, beneath TLS and HTTP: whatever is asked above, nothing else opens a socket.
Between check and connect no name is looked up again, so an answer that changes (DNS rebinding) changes nothing.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol, TypeVar

from jetmill.errors import JetmillError
from jetmill_operator.dispatch.address import AddressPolicy
from jetmill_operator.dispatch.resolver import Resolve

CONNECT_SECONDS = 10.0
"""For one address, TLS included; the next one may answer."""
P = TypeVar("P", bound=asyncio.Protocol)


class DeniedError(JetmillError):
    """An address, port or scheme that the policy does not allow."""


class Dial(Protocol):
    """Connects to an address, which is no name; OSError."""

    async def __call__(
        self, make: Callable[[], P], address: str, port: int, *, tls: ssl.SSLContext | None, name: str
    ) -> P:
        """Give the protocol that was made, connected; with `tls` the certificate has to be that of `name`."""
        ...


async def dial_address(make: Callable[[], P], address: str, port: int, *, tls: ssl.SSLContext | None, name: str) -> P:
    """Connect by the event loop."""
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(
        make, address, port, ssl=tls, server_hostname=name if tls is not None else None
    )
    return protocol


class Guard:
    """Opens connections, for every endpoint."""

    def __init__(self, policy: AddressPolicy, resolve: Resolve, *, dial: Dial = dial_address) -> None:
        self._policy = policy
        self._resolve = resolve
        self._dial = dial

    async def connect(self, make: Callable[[], P], host: str, port: int, *, tls: ssl.SSLContext | None) -> P:
        """Connect to a checked address of a host; DeniedError, OSError."""
        last: OSError = OSError(f"{host} has no address")
        for address in await self._find_addresses(host, port):
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await self._dial(make, address, port, tls=tls, name=host)
            except TimeoutError:
                last = OSError(f"{address} does not answer within {CONNECT_SECONDS:g} s")
            except OSError as err:
                last = err
        raise last

    async def _find_addresses(self, host: str, port: int) -> list[str]:
        try:
            addresses = await self._resolve(host, port)
        except UnicodeError as err:
            raise OSError(f"{host} cannot be looked up: {err}") from err
        for address in addresses:
            fault = self._policy.find_fault(address)
            if fault is not None:
                raise DeniedError(
                    f"{host} is {address}, which is not to be reached: {fault}",
                    cure="an administrator may allow its network (JETMILL_DISPATCH_ALLOW)",
                )
        return addresses
