"""Looking names up without standing in anybody's way: one lookup of a host at a time, in threads of their own.

A name server that hangs holds one thread for its host, however many deliveries wait for it; those of other hosts go on.
Nothing is kept: each connection asks anew, and who asks meanwhile shares the answer that is on its way.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

THREADS = 64

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a host, in the order of preference; OSError."""


class Resolver:
    """The system's own way to look names up; close it."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="jetmill-dns")
        self._asked: dict[tuple[str, int], asyncio.Future[list[str]]] = {}

    async def resolve(self, host: str, port: int) -> list[str]:
        """See `Resolve`; cancelling leaves the lookup to the others that wait for it."""
        key = (host, port)
        asked = self._asked.get(key)
        if asked is None:
            asked = asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host, port)
            self._asked[key] = asked
            asked.add_done_callback(lambda done: self._forget(key, done))
        return list(await asyncio.shield(asked))

    def close(self) -> None:
        """Leave; lookups under way are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _forget(self, key: tuple[str, int], done: asyncio.Future[list[str]]) -> None:
        del self._asked[key]
        if not done.cancelled():
            done.exception()  # whoever waited has it; nobody may be left


def _look_up(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
