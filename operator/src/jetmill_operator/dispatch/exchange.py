"""What is asked of a receiver and what it answers, apart from the means of sending (`courier`): who builds a request or
reads an answer loads no client of HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass

from jetmill.errors import JetmillError


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be sent."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: as much of it as is kept."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    truncated: bool
    """There was more of the body."""


class SendError(JetmillError):
    """No answer came; the message says why, and names no secret."""
