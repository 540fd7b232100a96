"""What is wrong with a manifest, said so that an editor can jump there and a person knows what to do.

One line each, `file:line: field: what; cure`: the shape that compilers have, which terminals and editors turn into
links.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """Something in a manifest that cannot be obeyed."""

    file: Path
    line: int
    """Counts from 1."""
    field: str
    """The path in the document (`spec.worker.env[0].name`), empty where there is none."""
    what: str
    cure: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: "
        field = f"{self.field}: " if self.field else ""
        return f"{where}{field}{self.what}; {self.cure}"


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """Something that a person may want to know, and that stops nothing."""

    file: Path
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: note: {self.what}"
