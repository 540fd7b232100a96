"""Whether a request comes from a page of ours. Pure.

A browser sends a session's cookie along whoever's page asks, and reaches a gateway on loopback for whoever's page asks.
So what such a request may change has to be asked for by a page of ours: by `Sec-Fetch-Site`, which no page can forge,
by `Origin` where a browser does not send it. What sends neither is no browser's page, and nobody's cookie is with it.
A name that was rebound to loopback is told by `Host`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OURS = frozenset({"same-origin", "none"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Source:
    """What the headers say of where a request comes from; "": they do not."""

    host: str = ""
    origin: str = ""
    fetch_site: str = ""


def find_foreign(source: Source, *, allowed: Collection[str] = ()) -> str | None:
    """Say why a request comes from another site's page; None: it does not."""
    if source.origin in allowed and source.origin:
        return None
    if source.fetch_site and source.fetch_site not in _OURS:
        return f"a page of another site asks (Sec-Fetch-Site: {source.fetch_site:.20})"
    if not source.origin or source.fetch_site == "same-origin":
        return None
    if source.origin == "null":
        return "a page without an origin asks"
    try:
        parts = urlsplit(source.origin)
    except ValueError:
        return "a page of a malformed origin asks"
    if parts.netloc.lower() != source.host.lower():
        return f"a page of {source.origin:.100} asks"
    return None


def find_rebound(host: str) -> str | None:
    """Say why a gateway on loopback is not meant by this Host; None: it is."""
    try:
        name = (urlsplit(f"//{host}").hostname or "") if host.isprintable() else ""
    except ValueError:
        name = ""
    return None if name in _LOOPBACK else f"{host!r:.100} is no name of this machine's loopback"
