"""Processes whose wall clock is wrong: libfaketime, preloaded. Their monotonic clock goes as it should."""

from __future__ import annotations

from pathlib import Path

import pytest

_LIBRARY = "*/faketime/libfaketimeMT.so.1"
_FOLDERS = ("/usr/lib", "/usr/local/lib")


def find_faketime() -> Path:
    """The library for programs with threads; skips the test without."""
    for folder in _FOLDERS:
        for found in sorted(Path(folder).glob(_LIBRARY)):
            return found
    pytest.skip("there is no libfaketime: on Debian, apt-get install libfaketime")


def skew_clock(offset: str | Path) -> dict[str, str]:
    """The environment of a process whose clock is off by `+60s`, or by what a file says at any time."""
    environ = {"LD_PRELOAD": str(find_faketime()), "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    if isinstance(offset, Path):
        return {**environ, "FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1"}
    return {**environ, "FAKETIME": offset}
