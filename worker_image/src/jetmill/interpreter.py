"""How a process of ours runs Python, once it is one that does much: its event loop, and its cycle collector."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import importlib
import sys
from collections.abc import Callable


def find_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where it is installed; None: asyncio's own."""
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def calm_collector() -> None:
    """Have the cycle collector look less often, and not at what is there for good: it took a fifth of a job's time.
    What start-up needed for a moment goes back to the system.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's: give back what the imports needed
        if trim is not None:
            trim(0)
