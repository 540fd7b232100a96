"""What can go wrong between a reconciler and its cluster; adapters translate HTTP statuses into these.

```
ClusterError              the API server said no, or could not be asked
├── UnavailableError      429, 5xx, no connection: the same call may succeed later
├── ConflictError         409: another manager owns a field, or the resourceVersion is stale
├── InvalidError          400, 422, and the 500 of a typed patch: the same object is refused for ever
├── ForbiddenError        403: RBAC, quota or policy; `terminating` if the namespace is going away
├── AbsentError           404: the object, its namespace or its kind is not there
└── NotLeaderError        the lease has run out: nothing was sent
```
"""

from __future__ import annotations

from jetmill.errors import JetmillError


class ClusterError(JetmillError):
    """The root; `code` is the HTTP status, 0 where there was none."""

    def __init__(self, message: str, *, code: int = 0, cure: str = "") -> None:
        super().__init__(message, cure=cure)
        self.code = code


class UnavailableError(ClusterError):
    """Not now: the server is away, overloaded or broken. `retry_after_seconds` if it said when."""

    retryable = True

    def __init__(
        self, message: str, *, code: int = 0, retry_after_seconds: float | None = None, cure: str = ""
    ) -> None:
        super().__init__(message, code=code, cure=cure)
        self.retry_after_seconds = retry_after_seconds


class ConflictError(ClusterError):
    """Another manager owns a field that was applied without force, or the resourceVersion is not the last."""

    retryable = True


class InvalidError(ClusterError):
    """The object itself is refused; `field` is the path that the server named, if it did, `causes` all that it named,
    each with what is wrong there.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int = 0,
        field: str = "",
        causes: tuple[tuple[str, str], ...] = (),
        cure: str = "",
    ) -> None:
        super().__init__(message, code=code, cure=cure)
        self.field = field
        self.causes = causes


class ForbiddenError(ClusterError):
    """RBAC, a quota or a policy forbids it."""

    def __init__(self, message: str, *, code: int = 403, terminating: bool = False, cure: str = "") -> None:
        super().__init__(message, code=code, cure=cure)
        self.terminating = terminating


class AbsentError(ClusterError):
    """The object, its namespace or its kind is not there; `unserved`: the kind, so that nothing is known of objects.

    A server that has just begun does not serve our kinds for a moment.
    """

    def __init__(self, message: str, *, code: int = 404, unserved: bool = False, cure: str = "") -> None:
        super().__init__(message, code=code, cure=cure)
        self.unserved = unserved


class NotLeaderError(ClusterError):
    """This process may not write any more: its lease has run out, or was never its own."""
