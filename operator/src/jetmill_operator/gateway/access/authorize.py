"""What somebody may: asked of the API server, and believed for ten seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from jetmill_operator.gateway.access.cache import AnswerCache
from jetmill_operator.gateway.access.errors import DeniedError
from jetmill_operator.gateway.access.identity import Identity
from jetmill_operator.gateway.access.ports import Question, Reviewer, Verdict
from jetmill_operator.gateway.access.right import Right

ALLOWED_SECONDS = 10.0
DENIED_SECONDS = 10.0
CACHED = 16_384


class Authorizer(Protocol):
    """Says who may what; AccessUnavailableError if nobody can tell."""

    async def ask(self, identity: Identity, question: Question) -> Verdict:
        """Whether they may."""
        ...


class KubeAuthorizer:
    """By RBAC (and whatever else the API server asks)."""

    def __init__(self, reviewer: Reviewer) -> None:
        self._reviewer = reviewer
        self.cache: AnswerCache[object, Verdict] = AnswerCache(size=CACHED, seconds_of=_seconds_of)

    async def ask(self, identity: Identity, question: Question) -> Verdict:
        """See Authorizer."""
        return await self.cache.get((identity.key, question), lambda: self._reviewer.review_access(identity, question))


class LetAll:
    """Everybody may everything: the machine is theirs."""

    async def ask(self, identity: Identity, question: Question) -> Verdict:  # noqa: ARG002 - as Authorizer has it
        """See Authorizer."""
        return Verdict(allowed=True)


def _seconds_of(verdict: Verdict) -> float:
    return ALLOWED_SECONDS if verdict.allowed else DENIED_SECONDS


@dataclass(slots=True)
class Permit:
    """One request's identity, namespace and declared right, and whether that was granted yet."""

    identity: Identity
    namespace: str
    right: Right
    authorizer: Authorizer
    on_decision: Callable[[Question, Verdict], None] = lambda _question, _verdict: None
    everywhere: bool = False
    """The right holds in the whole namespace, of any Job."""

    async def ask(self, *, job: str = "", right: Right | None = None) -> Verdict:
        """Ask for the declared right (or another one) in the namespace, of one Job or of any."""
        question = Question(right or self.right, self.namespace, job)
        verdict = await self.authorizer.ask(self.identity, question)
        self.on_decision(question, verdict)
        return verdict

    async def open(self) -> bool:
        """Ask for the whole namespace, once; tell whether that is granted."""
        self.everywhere = (await self.ask()).allowed
        return self.everywhere

    async def require(self, *, job: str) -> None:
        """Raise DeniedError unless the right holds for this Job."""
        if self.everywhere:
            return
        verdict = await self.ask(job=job)
        if not verdict.allowed:
            raise self.denial(verdict, job=job)

    def denial(self, verdict: Verdict | None = None, *, job: str = "", right: Right | None = None) -> DeniedError:
        """Say that it (or another right) is not granted."""
        reason = verdict.reason if verdict is not None else ""
        return DeniedError(
            right or self.right, namespace=self.namespace, user=self.identity.name, job=job, reason=reason
        )
