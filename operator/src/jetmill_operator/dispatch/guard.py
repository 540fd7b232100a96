"""The only way out: a name is resolved once, every address of it is checked, and a checked one is dialled.

```
 host ─▶ resolve ─▶ each address allowed? ─ one is not ─▶ DeniedError, nothing is dialled
                              │ all are
                              ▼
                        a socket for one of them ─ checked once more ─▶ dialled; TLS goes by the name
```

It stands where sockets are made, beneath TLS and HTTP: the client above asks it for addresses and for each socket, and
has no other. Between check and connect no name is looked up again, so an answer that changes (DNS rebinding) changes
nothing; an address that was written instead of a name is not looked up at all, and meets the second check.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from jetmill.errors import JetmillError
from jetmill_operator.dispatch.address import AddressPolicy
from jetmill_operator.dispatch.resolver import Resolve

MOST_ADDRESSES = 4
"""Of a host are dialled; all of them are checked. Whoever owns a name must not have us knock at a thousand doors."""

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
"""What is to be dialled: family, kind, protocol, name, (address, port, …), as `socket.getaddrinfo` has it."""
MakeSocket = Callable[[AddressInfo], socket.socket]


class DeniedError(JetmillError):
    """An address, port or scheme that the policy does not allow."""


def make_socket(info: AddressInfo) -> socket.socket:
    """A socket that an address can be dialled with; OSError."""
    family, kind, protocol, *_ = info
    return socket.socket(family, kind, protocol)


class Guard:
    """Checks what is dialled, for every endpoint. `make` makes the sockets."""

    def __init__(self, policy: AddressPolicy, resolve: Resolve, *, make: MakeSocket = make_socket) -> None:
        self._policy = policy
        self._resolve = resolve
        self._make = make

    async def find_addresses(self, host: str, port: int) -> list[str]:
        """Look a host up, once; every address has been checked. DeniedError, OSError."""
        try:
            addresses = await self._resolve(host, port)
        except UnicodeError as err:
            raise OSError(f"{host} cannot be looked up: {err}") from err
        if not addresses:
            raise OSError(f"{host} has no address")
        for address in addresses:
            self._check(address, f"{host} is {address}")
        return addresses[:MOST_ADDRESSES]

    def open_socket(self, info: AddressInfo) -> socket.socket:
        """A socket for an address that is about to be dialled; DeniedError, OSError."""
        address = str(info[4][0])
        self._check(address, address)
        return self._make(info)

    def _check(self, address: str, said: str) -> None:
        fault = self._policy.find_fault(address)
        if fault is not None:
            raise DeniedError(
                f"{said}, which is not to be reached: {fault}",
                cure="an administrator may allow its network (JETMILL_DISPATCH_ALLOW)",
            )
