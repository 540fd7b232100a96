"""Which addresses a Webhook may be sent to: pure, asked of every address that a name resolves to.

```
 metadata of a cloud ─▶ never · denied by the settings ─▶ no · allowed by the settings ─▶ yes
 not of the open Internet ─▶ no · an address that carries another one ─▶ as the one that it carries
```

Python's `is_global` is not enough: it takes NAT64, 6to4 and v4-compatible forms of loopback and of metadata services
for global, and knows nothing of Azure's (measured). So the open Internet is spelled out here: of IPv6 only what is
given out (2000::/3) and carries nothing else, of IPv4 all but what IANA keeps for special purposes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_V4 = {
    "0.0.0.0/8": "this host",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "shared address space",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "reserved for protocols",
    "192.0.2.0/24": "documentation",
    "192.88.99.0/24": "6to4 relays",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
}
_V6 = {
    "::1/128": "loopback",
    "::/128": "this host",
    "::/96": "an IPv4 address in a form that is not used any more",
    "64:ff9b:1::/48": "private NAT64",
    "100::/64": "discarded",
    "fc00::/7": "private",
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
    "2001::/23": "reserved for protocols (Teredo and others)",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4",
    "3fff::/20": "documentation",
}
_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        ("169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192",
         "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"),
    )
)  # fmt: skip
_MAPPED, _TRANSLATED, _NAT64, _GIVEN_OUT = map(
    ipaddress.IPv6Network, ("::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "2000::/3")
)
_CARRIERS = (_MAPPED, _TRANSLATED, _NAT64)
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
_SPECIAL: dict[Network, str] = {ipaddress.ip_network(text): what for text, what in (_V4 | _V6).items()}


class AddressPolicy:
    """What may be reached. `allow` and `deny` are networks; `deny` outranks `allow`, which outranks what is special."""

    def __init__(self, *, allow: Iterable[str] = (), deny: Iterable[str] = ()) -> None:
        self._allow = tuple(map(ipaddress.ip_network, allow))
        self._deny = tuple(map(ipaddress.ip_network, deny))

    def find_fault(self, text: str) -> str | None:
        """Why an address may not be reached; None: it may."""
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return "no address"
        return next((fault for face in list_faces(address) if (fault := self._find(face))), None)

    def _find(self, address: Address) -> str | None:
        if isinstance(address, ipaddress.IPv6Address):
            address = ipaddress.IPv6Address(int(address))  # without a scope, which no network contains
        if address in _METADATA:
            return "the metadata service of a cloud"
        if any(address in network for network in self._deny):
            return "denied by the settings"
        if any(address in network for network in self._allow):
            return None
        return _find_special(address)


def list_faces(address: Address) -> Iterator[Address]:
    """The address, and those that it carries."""
    yield address
    if isinstance(address, ipaddress.IPv6Address):
        number = int(address)
        if (
            any(ipaddress.IPv6Address(number) in network for network in _CARRIERS)
            or number >> 32 & 0xFFFF_FFFF in _ISATAP
        ):
            yield ipaddress.IPv4Address(number & 0xFFFF_FFFF)


@lru_cache(maxsize=4096)
def _find_special(address: Address) -> str | None:
    for network, what in _SPECIAL.items():
        if address in network:
            return what
    if isinstance(address, ipaddress.IPv6Address):
        carries = any(address in network for network in _CARRIERS)
        return None if carries or address in _GIVEN_OUT else "not given out"
    return None
