"""Sending one request, whatever the receiver does: one deadline for all of it, a bound on what is read, no redirect.

It speaks through httpcore, the engine of httpx, for the check of addresses has to stand where the connection is made
(`guard.py`). Proxies of the environment are never asked: httpcore knows none.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

import httpcore
import httpx

from jetmill.errors import InputError, JetmillError
from jetmill_operator.dispatch.guard import DeniedError, Guard

KEPT_BYTES = 4_096
"""Of an answer's body."""
READ_BYTES = 65_536
"""An answer that is longer is not read to its end; its connection is closed."""
KEPT_HEADER_CHARACTERS, KEPT_HEADERS = 1_024, 32
IDLE_SECONDS = 3.0
"""For so long a connection is kept: shorter than servers do, so that none is closed just when it is used."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be sent."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes
    truncated: bool


class SendError(JetmillError):
    """No answer came; the message says why, and names no secret."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes, in the parts that httpcore wants."""

    scheme: bytes
    host: bytes
    port: int | None
    path: bytes

    @property
    def authority(self) -> bytes:
        """The Host header."""
        host = b"[%b]" % self.host if b":" in self.host else self.host
        return host if self.port is None else b"%b:%d" % (host, self.port)

    def to_url(self) -> httpcore.URL:
        """The address for httpcore."""
        return httpcore.URL(scheme=self.scheme, host=self.host, port=self.port, target=self.path)


class Courier:
    """Connections to one endpoint; close it. Nothing that one does is shared with another."""

    def __init__(
        self,
        guard: Guard,
        *,
        schemes: Iterable[str],
        ports: Iterable[int] = (),
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._schemes = frozenset(schemes)
        self._ports = frozenset(ports)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context,
            max_connections=None,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=guard,
        )

    async def send(self, request: Request, *, timeout_seconds: float) -> Answer:
        """Send and read the answer, all within `timeout_seconds`; SendError, DeniedError, InputError for the URL."""
        target = self.check(request.url)
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._exchange(request, target)
        except TimeoutError as err:
            raise SendError(f"no whole answer within {timeout_seconds:g} s") from err
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as err:
            raise SendError(_explain(err)) from err

    def check(self, url: str) -> Target:
        """The parts of an address; InputError for one that is none, DeniedError for a scheme or port by policy."""
        target = parse_url(url)
        scheme = target.scheme.decode()
        if scheme not in self._schemes:
            cure = "use https, or have an administrator allow it (JETMILL_DISPATCH_SCHEMES)"
            raise DeniedError(f"{scheme} is not allowed", cure=cure)
        port = target.port or (443 if scheme == "https" else 80)
        if self._ports and port not in self._ports:
            cure = "use another one, or have an administrator allow it (JETMILL_DISPATCH_PORTS)"
            raise DeniedError(f"port {port} is not allowed", cure=cure)
        return target

    async def close(self) -> None:
        """Close what is open."""
        await self._pool.aclose()

    async def _exchange(self, request: Request, target: Target) -> Answer:
        headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in request.headers.items()]
        headers += [(b"host", target.authority), (b"content-length", b"%d" % len(request.body))]
        sent = httpcore.Request(request.method, target.to_url(), headers=headers, content=request.body)
        response = await self._pool.handle_async_request(sent)
        try:
            kept, size = bytearray(), 0
            async for chunk in response.aiter_stream():
                kept += chunk[: KEPT_BYTES - len(kept)]
                size += len(chunk)
                if size > READ_BYTES:
                    break
        finally:
            await response.aclose()
        return Answer(response.status, _keep_headers(response.headers), bytes(kept), truncated=size > len(kept))


def parse_url(url: str) -> Target:
    """The parts of an address, its host as DNS writes it; InputError."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError, ValueError) as err:
        raise InputError(f"the address cannot be read: {err}", field="url") from err
    if parsed.scheme not in ("http", "https") or not parsed.raw_host or parsed.userinfo:
        raise InputError("an address is https://host/path", field="url")
    return Target(parsed.raw_scheme, parsed.raw_host, parsed.port, parsed.raw_path)


def _keep_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    kept: dict[str, str] = {}
    for name, value in raw:
        if len(kept) >= KEPT_HEADERS:
            break
        text = value.decode("latin-1")[:KEPT_HEADER_CHARACTERS]
        key = name.decode("latin-1").lower()[:128]
        kept[key] = f"{kept[key]}, {text}" if key in kept else text
    return kept


def _explain(err: Exception) -> str:
    kind = {
        httpcore.ConnectError: "it cannot be connected to",
        httpcore.ConnectTimeout: "it cannot be connected to in time",
        httpcore.ReadError: "the connection broke",
        httpcore.WriteError: "the connection broke",
        httpcore.RemoteProtocolError: "what it answers is no HTTP",
        httpcore.LocalProtocolError: "the request is no HTTP",
    }.get(type(err), "the connection broke")
    said = str(err).strip()
    if said.startswith("Server disconnected"):  # httpcore takes it for a breach of the protocol
        kind = "the connection broke"
    return f"{kind}: {said}" if said else kind
