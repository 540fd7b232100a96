"""TokenReview and SubjectAccessReview, by the API server."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import msgspec

from jetmill_operator.cluster.errors import ClusterError, UnavailableError
from jetmill_operator.cluster.rest import Request, Rest
from jetmill_operator.gateway.access.errors import AccessUnavailableError
from jetmill_operator.gateway.access.identity import Identity
from jetmill_operator.gateway.access.ports import Question, Verdict
from jetmill_operator.gateway.access.right import GROUP

_TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
_ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
PATIENCE_SECONDS = 3.0
"""How long a request waits for an API server that does not answer: somebody waits for the request."""


class KubeReviewer:
    """The port `Reviewer` over an API server. Its own account needs what `system:auth-delegator` grants."""

    def __init__(self, rest: Rest, *, audiences: Sequence[str]) -> None:
        self._rest = rest
        self._audiences = list(audiences)

    async def review_token(self, token: str) -> Identity | None:
        """See the port."""
        spec = {"token": token, "audiences": self._audiences}
        status = await self._ask(_TOKENS, "TokenReview", "authentication.k8s.io/v1", spec)
        return read_identity(status, audiences=self._audiences, expires=read_expiry(token))

    async def review_access(self, identity: Identity, question: Question) -> Verdict:
        """See the port."""
        status = await self._ask(
            _ACCESS, "SubjectAccessReview", "authorization.k8s.io/v1", build_access(identity, question)
        )
        allowed = status.get("allowed") is True and status.get("denied") is not True
        return Verdict(allowed, str(status.get("reason") or ""))

    async def _ask(self, path: str, kind: str, version: str, spec: dict[str, Any]) -> dict[str, Any]:
        body = {"apiVersion": version, "kind": kind, "spec": spec}
        try:
            # urgent: it changes nothing there, so it does not queue behind writes
            answer = await self._rest.ask(Request("POST", path, body=body, urgent=True))
        except UnavailableError as err:
            raise AccessUnavailableError(
                "the Kubernetes API cannot be asked now", retry_after_seconds=err.retry_after_seconds or 2.0
            ) from err
        except ClusterError as err:
            raise AccessUnavailableError(
                f"the gateway itself is refused a {kind}: does its account have system:auth-delegator?",
                retry_after_seconds=30.0,
            ) from err
        status = answer.get("status")
        return status if isinstance(status, dict) else {}


def build_access(identity: Identity, question: Question) -> dict[str, Any]:
    """Build the spec of a SubjectAccessReview."""
    resource, _, subresource = question.right.resource.partition("/")
    attributes = {
        "group": GROUP,
        "version": "*",
        "resource": resource,
        "subresource": subresource,
        "verb": question.right.verb,
        "namespace": question.namespace,
        "name": question.job,
    }
    spec: dict[str, Any] = {
        "user": identity.name,
        "groups": list(identity.groups),
        "resourceAttributes": {key: value for key, value in attributes.items() if value},
    }
    if identity.uid:
        spec["uid"] = identity.uid
    if identity.extra:
        spec["extra"] = identity.extra
    return spec


def read_identity(status: dict[str, Any], *, audiences: Sequence[str], expires: float | None) -> Identity | None:
    """Read the status of a TokenReview; None unless it is authenticated for one of the audiences that were asked for.

    An authenticator that knows no audiences answers without any, and then means the API server's own: not ours.
    """
    user = status.get("user")
    if status.get("authenticated") is not True or not isinstance(user, dict) or not user.get("username"):
        return None
    if not set(audiences) & set(status.get("audiences") or ()):
        return None
    extra = user.get("extra") or {}
    return Identity(
        name=str(user["username"]),
        uid=str(user.get("uid") or ""),
        groups=tuple(str(group) for group in user.get("groups") or ()),
        extra={str(key): [str(value) for value in values] for key, values in extra.items()},
        expires=expires,
    )


class _Claims(msgspec.Struct):
    exp: float | None = None


def read_expiry(token: str) -> float | None:
    """When a token says that it ends, Unix seconds. No more is believed of it: whether it is good, the server says."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(claims, type=_Claims).exp
    except (msgspec.MsgspecError, binascii.Error, ValueError, RecursionError):
        return None
