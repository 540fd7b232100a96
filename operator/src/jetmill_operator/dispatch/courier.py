"""Sending one request, whatever the receiver does: one deadline for all of it, a bound on what is read, no redirect, no
proxy, no cookie.

aiohttp speaks HTTP; which addresses it may dial, and by which sockets, the guard says (ADR 15). Connections are kept
for a moment, each Webhook's its own. One that its receiver closed just when it was used again is replaced at once: a
delivery may come twice, its id says so.
"""

from __future__ import annotations

import asyncio
import io
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from jetmill.errors import InputError
from jetmill_operator.dispatch.exchange import Answer, Request, SendError
from jetmill_operator.dispatch.guard import AddressInfo, DeniedError, Guard

CONNECT_SECONDS = 10.0
"""For one address; the next one may answer."""
IDLE_SECONDS = 3.0
"""For so long a connection is kept: shorter than servers do, so that few are closed just when they are used."""
KEPT_BYTES = 4_096
"""Of an answer's body."""
READ_BYTES = 65_536
"""An answer that is longer is not read to its end; its connection is closed."""
HEADER_BYTES = 16_384
"""A longer line or header is no answer; nor are more than a hundred and some headers (aiohttp's own bound)."""
KEPT_HEADER_CHARACTERS, KEPT_HEADERS = 1_024, 32
_LARGE_BYTES = 1_048_576
"""aiohttp wants a larger body as a file: it writes that in pieces."""
_UNASKED = ("accept", "accept-encoding", "content-type", "user-agent")
"""Headers that aiohttp would set where the request has none."""


@dataclass(slots=True)
class _Trial:
    """One request, as it goes."""

    dialled: bool = False
    """A socket was made for it; otherwise it went on a connection that was kept."""


_trial: ContextVar[_Trial] = ContextVar("trial")
"""The one of this task: aiohttp tells it by tracing as well, which takes a sixth of a request's time."""


class Courier:
    """Connections to one endpoint; close it. Nothing that one does is shared with another."""

    def __init__(
        self,
        guard: Guard,
        *,
        schemes: Iterable[str],
        ports: Iterable[int] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._guard = guard
        self._schemes = frozenset(schemes)
        self._ports = frozenset(ports)
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def send(self, request: Request, *, timeout_seconds: float) -> Answer:
        """Send and read the answer, all within `timeout_seconds`; SendError, DeniedError, InputError."""
        url = self.check(request.url)
        try:
            async with asyncio.timeout(timeout_seconds):
                with _explain():
                    return await self._exchange(url, request)
        except TimeoutError as err:
            raise SendError(f"no whole answer within {timeout_seconds:g} s") from err

    def check(self, url: str) -> URL:
        """Read an address; InputError for one that is none, DeniedError for a scheme or port by policy."""
        target = parse_url(url)
        if target.scheme not in self._schemes:
            cure = "use https, or have an administrator allow it (JETMILL_DISPATCH_SCHEMES)"
            raise DeniedError(f"{target.scheme} is not allowed", cure=cure)
        if self._ports and target.port not in self._ports:
            cure = "use another one, or have an administrator allow it (JETMILL_DISPATCH_PORTS)"
            raise DeniedError(f"port {target.port} is not allowed", cure=cure)
        return target

    async def close(self) -> None:
        """Close what is open; nothing can be sent from then on."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def _exchange(self, url: URL, request: Request) -> Answer:
        trial = _Trial()
        _trial.set(trial)
        try:
            return await self._ask(url, request)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            # aiohttp does so by itself, for methods that may be repeated without harm: PUT, and not POST.
            if trial.dialled or request.method == "PUT":
                raise
        return await self._ask(url, request)

    async def _ask(self, url: URL, request: Request) -> Answer:
        body = request.body if len(request.body) <= _LARGE_BYTES else io.BytesIO(request.body)
        async with self._open().request(
            request.method, url, data=body, headers=request.headers, allow_redirects=False
        ) as response:
            if response.status < 200:
                response.close()
                raise SendError("it changes to another protocol")
            return await _read(response)

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise SendError("the Webhook has gone")
        if self._session is None:
            self._session = _open_session(self._guard, self._tls)
        return self._session


class _Resolver(AbstractResolver):
    """Looks names up by the guard."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """See aiohttp, which finds the family by itself."""
        addresses = await self._guard.find_addresses(host, port)
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)
            for address in addresses
        ]

    async def close(self) -> None:
        """There is nothing to close."""


def parse_url(url: str) -> URL:
    """Read an address as aiohttp will: what is checked is what is dialled; InputError."""
    try:
        parsed = URL(url)
    except (UnicodeError, ValueError) as err:
        raise InputError(f"the address cannot be read: {err}", field="url") from err
    if parsed.scheme not in ("http", "https") or not parsed.raw_host or parsed.user or parsed.password:
        raise InputError("an address is https://host/path", field="url")
    return parsed


def _open_session(guard: Guard, tls: ssl.SSLContext | None) -> aiohttp.ClientSession:
    def make_socket(info: AddressInfo) -> socket.socket:
        _trial.get().dialled = True
        return guard.open_socket(info)

    connector = aiohttp.TCPConnector(
        resolver=_Resolver(guard),
        socket_factory=make_socket,
        use_dns_cache=False,
        keepalive_timeout=IDLE_SECONDS,
        limit=0,
        ssl=tls or True,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        skip_auto_headers=_UNASKED,
        max_line_size=HEADER_BYTES,
        max_field_size=HEADER_BYTES,
    )


async def _read(response: aiohttp.ClientResponse) -> Answer:
    body, size = bytearray(), 0
    async for chunk in response.content.iter_any():
        body += chunk[: KEPT_BYTES - len(body)]
        size += len(chunk)
        if size > READ_BYTES:
            response.close()
            break
    return Answer(response.status, _keep_headers(response.raw_headers), bytes(body), truncated=size > len(body))


def _keep_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """As many as anybody wants to read; `Retry-After` always."""
    kept: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1").lower()[:128], value.decode("latin-1")[:KEPT_HEADER_CHARACTERS]
        if key in kept:
            kept[key] = f"{kept[key]}, {text}"[: 4 * KEPT_HEADER_CHARACTERS]
        elif len(kept) < KEPT_HEADERS or key == "retry-after":
            kept[key] = text
    return kept


@contextmanager
def _explain() -> Iterator[None]:
    """Say in our words what aiohttp says in its own."""
    try:
        yield
    except aiohttp.ServerTimeoutError as err:
        raise SendError(f"it cannot be connected to within {CONNECT_SECONDS:g} s") from err
    except aiohttp.ClientConnectorError as err:
        raise SendError(f"it cannot be connected to: {err.os_error}") from err
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as err:
        raise SendError(f"the connection broke: {err}") from err
    except aiohttp.ClientPayloadError as err:
        raise SendError(f"its answer breaks off: {err}") from err
    except aiohttp.ClientResponseError as err:
        raise SendError(f"what it answers is no HTTP: {err.message}") from err
    except aiohttp.InvalidURL as err:
        raise InputError(f"the address cannot be read: {err}", field="url") from err
    except aiohttp.ClientError as err:
        raise SendError(f"it cannot be sent: {err}") from err
    except ValueError as err:
        raise InputError(f"the request cannot be written: {err}", field="headers") from err
