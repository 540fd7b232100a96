"""Handlers that a manifest names by `module:function`."""

from __future__ import annotations


def length(text: str) -> int:
    return len(text)
