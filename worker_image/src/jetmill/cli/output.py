"""How answers are shown: a table for people, JSON or YAML for programs. Errors go to stderr, with their cure.

Colours only on a terminal, and never with NO_COLOR. No library draws the tables: aligned columns are all that `kubectl`
has taught people to expect, and start-up stays short.
"""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TextIO

import msgspec

from jetmill.errors import JetmillError

_COLOURS = {
    "succeeded": 32,
    "failed": 31,
    "running": 36,
    "cancelling": 33,
    "cancelled": 33,
    "retrying": 33,
    "skipped": 33,
    "discarded": 90,
}


class Format(StrEnum):
    """`-o`."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def show(value: Any, form: Format, *, table: str) -> None:
    """Print an answer: `value` (structs, lists, mappings) for programs, `table` for people."""
    sys.stdout.write(render(value, form, table=table))
    sys.stdout.flush()


def render(value: Any, form: Format, *, table: str) -> str:
    """The text that `show` prints, with a line end."""
    match form:
        case Format.TABLE:
            return table if not table or table.endswith("\n") else table + "\n"
        case Format.JSON:
            return json.dumps(msgspec.to_builtins(value, enc_hook=str), indent=2, ensure_ascii=False) + "\n"
        case Format.YAML:
            import yaml

            plain = msgspec.to_builtins(value, enc_hook=str)
            return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)


def build_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str = "none") -> str:
    """Aligned columns, names in capitals; `empty` is what is said of no rows."""
    if not rows:
        return empty + "\n"
    cells = [[name.upper() for name in columns], *([_text(cell) for cell in row] for row in rows)]
    widths = [max(_width(row[index]) for row in cells) for index in range(len(columns))]
    lines = []
    for number, row in enumerate(cells):
        parts = [cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        if number and colours_wanted(sys.stdout):
            parts = [_paint(part) for part in parts]
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines) + "\n"


def build_facts(facts: Sequence[tuple[str, object]]) -> str:
    """A name and a value on each line; what is None is left out."""
    known = [(name, _text(value)) for name, value in facts if value is not None]
    width = max((len(name) for name, _ in known), default=0)
    return "".join(f"{name:<{width}}  {_paint(text) if colours_wanted(sys.stdout) else text}\n" for name, text in known)


def show_error(error: JetmillError | TimeoutError) -> None:
    """Print an error and its cure on stderr."""
    message = error.message if isinstance(error, JetmillError) else str(error)
    cure = error.cure if isinstance(error, JetmillError) else ""
    head = "\x1b[31merror:\x1b[0m" if colours_wanted(sys.stderr) else "error:"
    sys.stderr.write(f"{head} {_one_line(message)}\n" + (f"  cure: {_one_line(cure)}\n" if cure else ""))


def note(text: str) -> None:
    """Say something that is no part of the answer, on stderr."""
    sys.stderr.write(f"{text}\n")


def colours_wanted(stream: TextIO) -> bool:
    """Tell whether the stream is a terminal that wants colours."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def age(moment: datetime | None, *, now: datetime | None = None) -> str | None:
    """How long ago, or how long from now (`in 5m`), in its largest units."""
    if moment is None:
        return None
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    return f"in {span(-seconds)}" if seconds < -1 else span(max(seconds, 0))


def span(seconds: float | None) -> str | None:
    """A length of time in its largest units: `350ms`, `12s`, `5m`, `3h`, `2d`."""
    if seconds is None:
        return None
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s" if seconds >= 10 else f"{seconds:.1f}s"


def _text(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case str():
            return _one_line(value)
        case int() | float():
            return f"{value:g}" if isinstance(value, float) else str(value)
        case _:
            return _one_line(json.dumps(msgspec.to_builtins(value, enc_hook=str), ensure_ascii=False))


def _one_line(text: str) -> str:
    """Without what could break a line or steer a terminal: text from jobs is shown, never obeyed."""
    shown = " ".join(text.split())
    return "".join(char for char in shown if unicodedata.category(char)[0] != "C")


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _paint(text: str) -> str:
    colour = _COLOURS.get(text.rstrip())
    return text if colour is None else f"\x1b[{colour}m{text}\x1b[0m"
