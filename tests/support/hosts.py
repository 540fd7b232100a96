"""Hosts that a Webhook may not reach, and some that it may: as an attacker would write them.

A host that is an address in some spelling is resolved by the system's own resolver, which needs no network for it; a
name stands for the answers of a name server that is the attacker's.
"""

from __future__ import annotations

LITERALS: tuple[str, ...] = (
    # loopback, in every spelling that getaddrinfo takes
    "127.0.0.1", "127.0.0.2", "127.1", "127.0.1", "127.255.255.255", "2130706433", "0x7f000001", "0x7f.1", "0x7f.0.0.1",
    "0177.0.0.1", "017700000001", "127.0.0.1.", "0", "0.0.0.0", "0x0", "00000000", "0.1", "0.255.255.255",
    "[::1]", "[0:0:0:0:0:0:0:1]", "[::0001]", "[::]", "[0::0]", "localhost", "LOCALHOST", "localhost.",
    # IPv4 in IPv6
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::127.0.0.1]", "[::7f00:1]",
    "[::ffff:0:127.0.0.1]", "[::ffff:10.0.0.1]", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[::ffff:c0a8:1]",
    "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::169.254.169.254]", "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b::10.0.0.1]", "[64:ff9b::c0a8:101]", "[64:ff9b:1::1]", "[64:ff9b:1:ffff::a9fe:a9fe]",
    "[2002:7f00:1::]", "[2002:a9fe:a9fe::1]", "[2002:c0a8:101::1]", "[2002:a00:1::]",
    "[2001:0:4136:e378:8000:63bf:3fff:fdd2]", "[2001:0:7f00:1::]", "[2001::1]",
    "[2606:4700::5efe:7f00:1]", "[2606:4700::200:5efe:127.0.0.1]", "[2606:4700::5efe:169.254.169.254]",
    # private, shared, special
    "10.0.0.1", "10.255.255.255", "10.1", "167772161", "0xa000001", "012.0.0.1",
    "172.16.0.1", "172.31.255.254", "172.20.1.1", "2886729729",
    "192.168.0.1", "192.168.1.254", "3232235777", "0xc0a80101", "192.168.257",
    "100.64.0.1", "100.127.255.254", "192.0.0.1", "192.0.0.8", "192.0.0.170", "192.0.2.1", "192.88.99.1",
    "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9",
    # metadata and link-local
    "169.254.169.254", "169.254.0.1", "169.254.255.255", "2852039166", "0xa9fea9fe", "0xa9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376", "169.254.43518", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16",
    "192.0.0.192", "[fd00:ec2::254]", "[fd00:ec2::23]", "[fd20:ce::254]", "[fe80::1]", "[fe80::a9fe:a9fe]", "[febf::1]",
    # multicast, reserved, broadcast
    "224.0.0.1", "224.0.0.251", "239.255.255.250", "240.0.0.1", "250.1.2.3", "255.255.255.255", "4294967295",
    "0xffffffff", "[ff02::1]", "[ff02::fb]", "[ff0e::1]",
    # unique local, site local, documentation, discard, not given out
    "[fc00::1]", "[fd12:3456:789a::1]", "[fdff::1]", "[fec0::1]", "[feff::1]", "[2001:db8::1]", "[3fff::1]",
    "[3fff:fff::1]", "[100::1]", "[2001:2::1]", "[2001:10::1]", "[2001:20::1]", "[4000::1]", "[5f00::1]",
    "[8000::1]", "[e000::1]",
)  # fmt: skip
"""None of these may be dialled."""

NAMES: dict[str, tuple[str, ...]] = {
    "inside.attacker.test": ("10.1.2.3",),
    "metadata.attacker.test": ("169.254.169.254",),
    "loop.attacker.test": ("127.0.0.1",),
    "loop6.attacker.test": ("::1",),
    "mixed.attacker.test": ("93.184.215.14", "127.0.0.1"),
    "mixed6.attacker.test": ("93.184.215.14", "fe80::1"),
    "late.attacker.test": ("1.1.1.1", "8.8.8.8", "9.9.9.9", "10.0.0.1"),
    "nat64.attacker.test": ("64:ff9b::a9fe:a9fe",),
    "mapped.attacker.test": ("::ffff:192.168.1.1",),
    "kubernetes.default.svc": ("10.96.0.1",),
    "api.internal": ("172.20.0.1",),
    "scoped.attacker.test": ("fe80::1%lo",),
    "nothing.attacker.test": (),
}
"""Names of which at least one answer is forbidden, or that have none."""

ALLOWED: tuple[str, ...] = (
    "93.184.215.14", "1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "126.255.255.255", "128.0.0.1",
    "172.15.255.255", "172.32.0.1", "169.253.255.255", "169.255.0.1", "192.0.1.1", "192.167.255.255", "192.169.0.1",
    "198.17.255.255", "198.20.0.1", "223.255.255.255", "11.0.0.1", "9.255.255.255", "1.0.0.1",
    "2606:4700:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888", "2001:200::1", "2400:cb00::1",
    "64:ff9b::808:808", "::ffff:8.8.8.8", "2606:4700::5efe:808:808",
)  # fmt: skip
"""Addresses of the open Internet, right beside those that are not."""
