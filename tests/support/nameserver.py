"""A name server on loopback whose answers change: for DNS rebinding. And the way to ask it."""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

_A, _AAAA = 1, 28


class NameServer(asyncio.DatagramProtocol):
    """Answers with a TTL of 0 what `answer(name, count)` gives for the count-th question (A and AAAA count as one)."""

    def __init__(self, answer: Callable[[str, int], tuple[str, ...]]) -> None:
        self._answer = answer
        self._transport: asyncio.DatagramTransport | None = None
        self.questions: dict[str, int] = {}
        self.port = 0

    @classmethod
    @asynccontextmanager
    async def serve(cls, answer: Callable[[str, int], tuple[str, ...]], *, port: int = 0) -> AsyncIterator[NameServer]:
        loop = asyncio.get_running_loop()
        transport, server = await loop.create_datagram_endpoint(lambda: cls(answer), local_addr=("127.0.0.1", port))
        server.port = transport.get_extra_info("sockname")[1]
        try:
            yield server
        finally:
            transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        name, kind, end = _read_question(data)
        if kind == _A:
            self.questions[name] = self.questions.get(name, 0) + 1
        found = [ipaddress.ip_address(one) for one in self._answer(name, self.questions.get(name, 1))]
        wanted = [one for one in found if one.version == (4 if kind == _A else 6)]
        head = data[:2] + struct.pack(">HHHHH", 0x8180, 1, len(wanted), 0, 0)
        records = b"".join(
            b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, len(one.packed)) + one.packed for one in wanted
        )
        assert self._transport is not None
        self._transport.sendto(head + data[12:end] + records, addr)

    async def resolve(self, host: str, port: int) -> list[str]:
        """Ask it, as the system's resolver would ask a name server."""
        found: list[str] = []
        for kind in (_A, _AAAA):
            found += await _ask(self.port, host, kind)
        return found


async def _ask(port: int, name: str, kind: int) -> list[str]:
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[bytes] = loop.create_future()

    class Client(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            answered.set_result(data)

    transport, _ = await loop.create_datagram_endpoint(Client, remote_addr=("127.0.0.1", port))
    try:
        labels = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split("."))
        query = (
            struct.pack(">HHHHHH", secrets.randbits(16), 0x0100, 1, 0, 0, 0)
            + labels
            + b"\0"
            + struct.pack(">HH", kind, 1)
        )
        transport.sendto(query)
        data = await asyncio.wait_for(answered, 60)
    finally:
        transport.close()
    _, _, offset = _read_question(data)
    found = []
    for _ in range(struct.unpack(">H", data[6:8])[0]):
        _, _, _, _, size = struct.unpack(">HHHIH", data[offset : offset + 12])
        found.append(str(ipaddress.ip_address(data[offset + 12 : offset + 12 + size])))
        offset += 12 + size
    return found


def _read_question(data: bytes) -> tuple[str, int, int]:
    """Name, type, and where the question ends."""
    labels, offset = [], 12
    while data[offset]:
        labels.append(data[offset + 1 : offset + 1 + data[offset]].decode())
        offset += 1 + data[offset]
    return ".".join(labels).lower(), struct.unpack(">H", data[offset + 1 : offset + 3])[0], offset + 5
