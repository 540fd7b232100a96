"""Why somebody is not let in.

```
AccessError
├── UnauthenticatedError     nobody knows who asks: 401
├── DeniedError              they may not: 403
├── HiddenError              they may not even know whether it is there: 404
└── AccessUnavailableError   the API server cannot be asked: 503, never 401, or clients would throw good tokens away
```
"""

from __future__ import annotations

from jetmill.errors import JetmillError
from jetmill_operator.gateway.access.right import GROUP, Right


class AccessError(JetmillError):
    """The root."""


class UnauthenticatedError(AccessError):
    """There is no token, ticket or session, or it is not (or no longer) accepted; never says which token."""


class DeniedError(AccessError):
    """The identity may not do that."""

    def __init__(self, right: Right, *, namespace: str, user: str, job: str = "", reason: str = "") -> None:
        where = f"namespace {namespace}" + (f", Job {job}" if job else "")
        because = f": {reason}" if reason else ""
        verb, (resource, _, sub) = right.verb, right.resource.partition("/")
        subresource = f" --subresource={sub}" if sub else ""
        super().__init__(
            f"{user} may not {right} in {where}{because}",
            cure=f"kubectl auth can-i {verb} {resource}.{GROUP}{subresource} -n {namespace} --as={user}",
        )
        self.right = right


class HiddenError(AccessError):
    """Whether it is there is not for them to know: the answer is that of a job that is not."""


class AccessUnavailableError(AccessError):
    """The API server could not be asked, and nothing fresh is known."""

    retryable = True

    def __init__(self, message: str, *, retry_after_seconds: float = 2.0) -> None:
        super().__init__(message, cure="try again: your token was not judged")
        self.retry_after_seconds = retry_after_seconds
