"""Libraries that only some connections need, so they are extras of the wheel: websockets, and keys that sign.

nats-py imports them itself, at the connection; asked for here, one that is missing is an error with its cure.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from jetmill.bus.connect import BusOptions
from jetmill.errors import ConfigError


def load_extras(options: BusOptions) -> None:
    """Import what these options need; ConfigError that names the extra to install."""
    if any(part.strip().startswith(("ws://", "wss://")) for part in options.url.split(",")):
        aiohttp = _load("aiohttp", extra="websocket", use="a websocket")
        transport = importlib.import_module("nats.aio.transport")
        transport.aiohttp = aiohttp  # type: ignore[attr-defined]  # imported without it, if an earlier connection was plain
    if options.credentials is not None or options.nkey_seed is not None:
        _load("nkeys", extra="nkeys", use="logging in by a key")


def _load(module: str, *, extra: str, use: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as err:
        raise ConfigError(f"{use} needs {module}, which is not here", cure=f"pip install 'jetmill[{extra}]'") from err
