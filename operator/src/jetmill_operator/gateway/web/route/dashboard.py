"""The dashboard: static files, built into the wheel, which use the public API and nothing else.

All of them are read once, when they are first asked for, and kept with a packed copy: they are small. Names of assets
carry a hash and are kept for ever by browsers; the document is asked for anew each time.

The document needs `<base href>`, for its own address may be some folders deep (`/jobs/ID`) and the whole page may lie
below a prefix that a proxy takes away. It is written relative to the document's address, so nobody has to tell us that
prefix.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.params import FromPath

from jetmill_operator.gateway.access.right import PUBLIC
from jetmill_operator.gateway.web.guard import ANY_QUERY
from jetmill_operator.gateway.web.problem import ProblemError

FOLDER = Path(__file__).parents[2] / "page"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
)
"""No script and no style in the document, nothing from elsewhere."""
PATHS = [
    "/",
    "/jobs",
    "/jobs/{name:str}",
    "/declarations",
    "/declarations/{name:str}",
    "/schedules",
    "/schedules/{name:str}",
    "/events",
    "/webhooks",
    "/webhooks/{name:str}",
    "/webhooks/{name:str}/{id:str}",
    "/workers",
    "/dead",
    "/settings",
]
"""Where the page has pages: each answers with the document, so that an address can be sent to somebody."""
OPT = {"right": PUBLIC, ANY_QUERY: True}
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_BASE = b'<base href="/" />'
_KEPT = "public, max-age=31536000, immutable"
_ASKED = "no-cache"
Asked = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class File:
    """One file of the page."""

    body: bytes
    packed: bytes
    """By gzip."""
    media_type: str
    etag: str


@get(PATHS, opt=OPT, include_in_schema=False)
async def get_document(request: Asked) -> Response[bytes]:
    """The page itself."""
    file = find_file("index.html")
    if file is None:
        raise ProblemError("not-found", "this gateway was built without the dashboard", cure="see /docs for the API")
    body = file.body.replace(_BASE, f'<base href="{base_of(request.scope["path"])}" />'.encode(), 1)
    headers = {"Cache-Control": _ASKED, "Content-Security-Policy": POLICY, "Vary": "Accept-Encoding"}
    return Response(body, media_type=MediaType.HTML, headers=headers)


@get(["/mark.svg", "/assets/{name:str}"], opt=OPT, include_in_schema=False)
async def get_asset(request: Asked, name: FromPath[str] = "") -> Response[bytes]:
    """A script, a style sheet or a picture."""
    file = find_file(f"assets/{name}" if name else "mark.svg")
    if file is None:
        raise ProblemError("not-found", "there is no such file", cure="load the page anew: it may be another version")
    headers = {"Cache-Control": _KEPT if name else _ASKED, "ETag": file.etag, "Vary": "Accept-Encoding"}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(file.packed, media_type=file.media_type, headers=headers | {"Content-Encoding": "gzip"})
    return Response(file.body, media_type=file.media_type, headers=headers)


def base_of(path: str) -> str:
    """The page's root as seen from one of its addresses: `/` → `./`, `/jobs/ID` → `../`."""
    return "../" * path.removeprefix("/").count("/") or "./"


def find_file(name: str) -> File | None:
    """A file of the page by its path below the page's folder."""
    return read_files(FOLDER).get(name)


@cache
def read_files(folder: Path) -> dict[str, File]:
    """Read what was built; nothing where nothing was."""
    found = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        media_type = _TYPES.get(path.suffix)
        if media_type is None:
            continue
        body = path.read_bytes()
        etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        found[path.relative_to(folder).as_posix()] = File(body, gzip.compress(body, 9, mtime=0), media_type, etag)
    return found


HANDLERS = [get_document, get_asset]
