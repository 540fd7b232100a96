"""What `--wait` shows while it waits: a bar on stderr, on a terminal only."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self, TextIO

_WIDTH = 30


class Bar:
    """A bar that draws itself over and over on one line, and is gone when the block ends."""

    def __init__(self, *, label: str, stream: TextIO | None = None) -> None:
        self._label = label
        self._stream = stream or sys.stderr
        self._shown = self._stream.isatty()
        self._drawn = ""

    def __enter__(self) -> Self:
        self.draw(0.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._write("\r\x1b[K")

    def draw(self, fraction: float, text: str = "") -> None:
        """Show how far it is, between 0 and 1."""
        filled = round(_WIDTH * min(max(fraction, 0.0), 1.0))
        line = f"{self._label} [{'█' * filled}{'·' * (_WIDTH - filled)}] {fraction:4.0%} {text}"[:110]
        if self._shown and line != self._drawn:
            self._drawn = line
            self._write(f"\r\x1b[K{line}")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
