"""What a request brings to say who asks: headers, cookies, for a stream the query too."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from jetmill_operator.gateway.access.authenticate import Credentials
from jetmill_operator.gateway.access.origin import Source

SESSION_COOKIE = "__Host-jetmill-session"
CSRF_COOKIE = "__Host-jetmill-csrf"
CSRF_HEADER = "x-csrf-token"
_PROTOCOL = "base64url.bearer.authorization.k8s.io."
"""How Kubernetes' own clients put a token into a websocket's handshake, where a browser can set no header."""


def read_credentials(connection: Any, *, is_stream: bool) -> Credentials:
    """Read them; the query only counts for streams, and is never logged."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    ticket = ""
    if is_stream:
        bearer = bearer or read_protocol(connection.headers.get("sec-websocket-protocol", ""))
        bearer = bearer or connection.query_params.get("token", "")
        ticket = "" if bearer else connection.query_params.get("ticket", "")
    return Credentials(bearer=bearer, cookie=connection.cookies.get(SESSION_COOKIE, ""), ticket=ticket)


def read_protocol(header: str) -> str:
    """The token in a list of subprotocols, "" if there is none."""
    for offered in (part.strip() for part in header.split(",")):
        if offered.startswith(_PROTOCOL):
            text = offered.removeprefix(_PROTOCOL)
            try:
                return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
            except (binascii.Error, ValueError):
                return ""
    return ""


def read_source(connection: Any) -> Source:
    """Where a request comes from, by its headers."""
    headers = connection.headers
    return Source(
        host=headers.get("host", ""),
        origin=headers.get("origin", ""),
        fetch_site=headers.get("sec-fetch-site", ""),
    )
