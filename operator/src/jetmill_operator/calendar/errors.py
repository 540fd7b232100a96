"""What a calendar refuses, with the field of the spec and the place in its text."""

from __future__ import annotations


class ScheduleError(ValueError):
    """A schedule that cannot be understood, or that would never fire."""

    def __init__(self, field: str, what: str, *, cure: str, position: int | None = None) -> None:
        super().__init__(what)
        self.field = field
        """In camelCase: `schedule`, `every`, `timeZone`, …"""
        self.what = what
        self.cure = cure
        self.position = position
        """The character of the text, counted from 1, where what is wrong begins; None: the whole of it."""

    def __str__(self) -> str:
        where = "" if self.position is None else f" at character {self.position}"
        return f"{self.field}{where}: {self.what}; {self.cure}"
