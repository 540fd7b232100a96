"""Imports without what they can do without.

nats-py imports aiohttp where it is installed, for websockets; structlog imports rich, for coloured tracebacks. Together
that is a third of an idle worker's memory, so whoever needs neither imports them through here. The absent module can be
imported as ever afterwards.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType


def import_without(module: str, absent: str) -> ModuleType:
    """Import `module` as if `absent` were not installed; what was imported before stays as it is."""
    if module in sys.modules or absent in sys.modules:
        return importlib.import_module(module)
    sys.modules[absent] = None  # type: ignore[assignment]  # how Python itself marks a module as not there
    try:
        return importlib.import_module(module)
    finally:
        del sys.modules[absent]
