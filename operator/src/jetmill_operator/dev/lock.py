"""One `jetmill dev` per data folder, and one nats-server in its store.

Two locks, both given back by the kernel however a process ends. `dev.lock` is held by dev alone: taken means that
another dev is at work here. `server.lock` is handed down to nats-server too: after a dev was killed its server may
still be closing the store, and whoever comes next waits for that.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

from jetmill.errors import ConfigError

_POLL_SECONDS = 0.05
CLOSING_SECONDS = 20.0


class FileLock:
    """An advisory lock on a file; `fd` can be passed to a child, which then holds it as well."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def try_take(self) -> bool:
        """Take it if nobody has it."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Give up our hold."""
        os.close(self.fd)


def take_folder(data: Path) -> FileLock:
    """Take a data folder for this dev; raise ConfigError that names the process of the one that has it."""
    lock = FileLock(data / "dev.lock")
    if not lock.try_take():
        owner = os.pread(lock.fd, 32, 0).decode().strip()
        lock.close()
        raise ConfigError(
            f"another jetmill dev (process {owner or 'unknown'}) works on {data}",
            cure="stop that one, or give another --data",
        )
    os.ftruncate(lock.fd, 0)
    os.pwrite(lock.fd, f"{os.getpid()}\n".encode(), 0)
    return lock


async def take_store(data: Path, *, seconds: float = CLOSING_SECONDS) -> FileLock:
    """Take the store, waiting for a nats-server that still closes it; raise ConfigError after `seconds`."""
    lock = FileLock(data / "server.lock")
    try:
        async with asyncio.timeout(seconds):
            while not lock.try_take():  # noqa: ASYNC110  the kernel has no event for this
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        lock.close()
        raise ConfigError(
            f"a nats-server of an earlier run still holds {data}", cure="end that nats-server, or give another --data"
        ) from None
    return lock
