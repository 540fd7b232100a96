"""The client of the process: what `await send_email.enqueue(...)` uses when it is given none.

One for each event loop (a connection cannot move between loops) and one for code without a loop, all with the settings
that `configure` set, or else the environment's. A forked child begins anew.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from jetmill.client.settings import ClientSettings, settings_from_env

if TYPE_CHECKING:
    from jetmill.client.client import Client
    from jetmill.client.subscription import Subscription
    from jetmill.client.sync import SyncClient


class _Ambient:
    """What there is one of per process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.given: dict[str, Any] = {}
        self.settings: ClientSettings | None = None
        self.clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Client] = WeakKeyDictionary()
        self.sync: SyncClient | None = None


_ambient = _Ambient()


def _here() -> _Ambient:
    global _ambient  # noqa: PLW0603 - a forked child may not use its parent's connections
    if _ambient.pid != os.getpid():
        given = _ambient.given
        _ambient = _Ambient()
        _ambient.given = given
    return _ambient


def configure(**settings: Any) -> ClientSettings:
    """Set what the process's clients use from now on, over the environment: `configure(url=…, namespace=…)`.

    Names are the fields of ClientSettings; ConfigError lists every fault. Clients that are connected stay as they are.
    """
    here = _here()
    chosen = settings_from_env(**settings)
    here.given, here.settings = settings, chosen
    return chosen


def current_settings() -> ClientSettings:
    """What the process's clients use."""
    here = _here()
    if here.settings is None:
        here.settings = settings_from_env(**here.given)
    return here.settings


async def get_client() -> Client:
    """The process's client for the running event loop, connected at its first call."""
    from jetmill.client.client import Client

    here = _here()
    loop = asyncio.get_running_loop()
    client = here.clients.get(loop)
    if client is None:
        client = here.clients[loop] = Client(current_settings())
    return client


def use_client(client: Client | None) -> Client | None:
    """Let the running event loop use this client (None: make one again when asked); returns the one before."""
    here = _here()
    loop = asyncio.get_running_loop()
    before = here.clients.pop(loop, None)
    if client is not None:
        here.clients[loop] = client
    return before


def get_sync_client() -> SyncClient:
    """The process's client for code without an event loop; safe from any thread."""
    from jetmill.client.sync import SyncClient

    here = _here()
    with here.lock:
        if here.sync is None:
            here.sync = SyncClient(current_settings())
            atexit.register(here.sync.close)
        return here.sync


async def close() -> None:
    """Close the running event loop's client, if there is one; the next call makes another."""
    client = _here().clients.pop(asyncio.get_running_loop(), None)
    if client is not None:
        await client.close()


async def enqueue(job: Any, payload: Any = None, /, **options: Any) -> Any:
    """Enqueue a call by the process's client; see `Client.enqueue`."""
    return await (await get_client()).enqueue(job, payload, **options)


async def publish(event: Any, data: Any = None, /, **attributes: Any) -> str:
    """Publish an event by the process's client; see `Client.publish`."""
    return await (await get_client()).publish(event, data, **attributes)


async def subscribe(pattern: Any, handler: Any, **options: Any) -> Subscription:
    """Hand events to a function by the process's client; see `Client.subscribe`."""
    return await (await get_client()).subscribe(pattern, handler, **options)
