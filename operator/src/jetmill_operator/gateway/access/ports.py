"""What is asked of an API server, and of whoever stands in for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from jetmill_operator.gateway.access.identity import Identity
from jetmill_operator.gateway.access.right import Right


@dataclass(frozen=True, slots=True)
class Question:
    """Whether somebody may: asked of a right, a namespace and, where it is meant, one Job."""

    right: Right
    namespace: str
    job: str = ""
    """The Job's name; "": any."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the API server says to a question."""

    allowed: bool
    reason: str = ""


class Reviewer(Protocol):
    """Knows tokens and rights. Both raise AccessUnavailableError."""

    async def review_token(self, token: str) -> Identity | None:
        """Whose token it is; None: nobody's, or it is for somebody else than this gateway."""
        ...

    async def review_access(self, identity: Identity, question: Question) -> Verdict:
        """Whether they may."""
        ...
