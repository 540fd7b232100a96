"""From a URL to a Bus: the one place that knows which adapters there are.

`nats://…` and `tls://…` are JetStream; `memory://` (or `memory://name`) is the twin in this process, shared by all
who connect to the same name.
"""

from __future__ import annotations

from dataclasses import dataclass

from jetmill.bus.ports import Bus
from jetmill.errors import ConfigError
from jetmill.light import import_without


@dataclass(frozen=True, slots=True)
class BusOptions:
    """How to reach the bus."""

    url: str
    namespace: str = "default"
    prefix: str = "jm"
    name: str = "jetmill"
    """Shown by the server for this connection."""
    credentials: str | None = None
    """Path of a `.creds` file."""
    nkey_seed: str | None = None
    """Path of an nkey seed file."""
    user: str | None = None
    password: str | None = None
    token: str | None = None
    tls_ca: str | None = None
    """Path of a CA bundle."""
    inbox_prefix: str = "_INBOX"


async def connect(options: BusOptions) -> Bus:
    """Connect to the bus; raise ConfigError for a URL of no known scheme, BusError if the first connection fails."""
    scheme, parted, rest = options.url.partition("://")
    if not parted:
        scheme, rest = "nats", options.url
    if scheme == "memory":
        from jetmill.bus.memory import connect_memory

        return connect_memory(rest, options)
    if scheme in ("nats", "tls", "ws", "wss"):
        if not scheme.startswith("ws"):
            import_without("nats.aio.transport", "aiohttp")
        from jetmill.bus.jetstream import connect_jetstream

        return await connect_jetstream(options)
    raise ConfigError(f"{options.url!r}: no bus of scheme {scheme!r}", cure="use nats://, tls:// or memory://")
