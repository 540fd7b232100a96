"""From a URL to a Bus: the one place that knows which adapters there are.

`nats://…` and `tls://…` are JetStream; `memory://` (or `memory://name`) is the twin in this process, shared by all
who connect to the same name.
"""

from __future__ import annotations

from dataclasses import dataclass

from jetmill.bus.ports import Bus, Trunk
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
    name = _memory_name(options)
    if name is not None:
        from jetmill.bus.memory import connect_memory

        return connect_memory(name, options)
    from jetmill.bus.jetstream import connect_jetstream

    return await connect_jetstream(options)


async def connect_trunk(options: BusOptions) -> Trunk:
    """Connect once for many namespaces (that of the options says nothing); errors as of `connect`."""
    name = _memory_name(options)
    if name is not None:
        from jetmill.bus.memory import MemoryTrunk

        return MemoryTrunk(name, prefix=options.prefix)
    from jetmill.bus.jetstream import connect_jetstream_trunk

    return await connect_jetstream_trunk(options)


def _memory_name(options: BusOptions) -> str | None:
    """What follows `memory://`, None for JetStream; ConfigError for any other scheme."""
    scheme, parted, rest = options.url.partition("://")
    if not parted:
        scheme = "nats"
    if scheme == "memory":
        return rest
    if scheme not in ("nats", "tls", "ws", "wss"):
        raise ConfigError(f"{options.url!r}: no bus of scheme {scheme!r}", cure="use nats://, tls:// or memory://")
    if not scheme.startswith("ws"):
        import_without("nats.aio.transport", "aiohttp")
    return None
