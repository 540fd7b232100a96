"""What dev and its workers say, on one stream: each line with who said it, in a colour of its own on a terminal.

Lines come as bytes from pipes, so that nothing a job prints can break the pump: long lines are cut into pieces, what
is no UTF-8 is shown as such. A reader that has left (`jetmill dev | head`) must not end the workers: the screen just
falls silent.
"""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

_COLOURS = (36, 33, 35, 32, 34, 96, 93, 95, 92, 94)
_RED = 31
_DIM = 2
_CHUNK_BYTES = 65_536
OWN_NAME = "dev"


def _wants_colour(stream: TextIO) -> bool:
    """Tell what the stream and the environment want: NO_COLOR and FORCE_COLOR outrank what the stream is."""
    if os.environ.get("NO_COLOR"):
        return False
    return stream.isatty() or bool(os.environ.get("FORCE_COLOR"))


class Screen:
    """Writes prefixed lines to a stream, in colours where those are wanted."""

    def __init__(self, stream: TextIO, *, colour: bool | None = None) -> None:
        self._stream: TextIO | None = stream
        self.colour = _wants_colour(stream) if colour is None else colour
        self._colours: dict[str, int] = {}
        self._width = len(OWN_NAME)

    def reserve(self, name: str) -> None:
        """Leave room for the names of a Job's workers, so that lines stay in one column."""
        self._width = max(self._width, len(name) + len("/1"))

    def say(self, text: str, *, alarm: bool = False) -> None:
        """Say something as dev itself."""
        for line in text.splitlines():
            self._write(OWN_NAME, _RED if alarm else _DIM, self._paint(line, _RED) if alarm else line)

    def say_event(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
        """Say what an operator would log: the last of structlog's processors."""
        err = event.pop("exc_info", None)
        words = [str(event.pop("event")), *(f"{name}={value}" for name, value in event.items())]
        if isinstance(err, BaseException):
            words.append("\n" + "".join(traceback.format_exception(err)))
        self.say(" ".join(words), alarm=True)
        raise structlog.DropEvent

    def show(self, name: str, line: str) -> None:
        """Show a line of a worker; all workers of one Job (`job/number`) share a colour."""
        job = name.partition("/")[0]
        self._write(name, self._colours.setdefault(job, _COLOURS[len(self._colours) % len(_COLOURS)]), line)

    async def pump(self, name: str, reader: asyncio.StreamReader) -> None:
        """Show what comes from a pipe until it ends."""
        rest = b""
        while chunk := await reader.read(_CHUNK_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _CHUNK_BYTES:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self.show(name, line.decode(errors="backslashreplace").rstrip("\r"))
        if rest:
            self.show(name, rest.decode(errors="backslashreplace"))

    def _paint(self, text: str, colour: int) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self.colour else text

    def _write(self, name: str, colour: int, line: str) -> None:
        if self._stream is None:
            return
        self._width = max(self._width, len(name))
        text = f"{self._paint(f'{name:<{self._width}} │', colour)} {line}\n"
        try:
            self._stream.write(_fit(text, self._stream.encoding))
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None


def _fit(text: str, encoding: str | None) -> str:
    """What the stream can carry of a text; the rest as escapes."""
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return text.replace("│", "|").encode("ascii", "backslashreplace").decode()
    return text
