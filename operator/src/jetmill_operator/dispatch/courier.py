"""Sending one request, whatever the receiver does: one deadline for all of it, a bound on what is read, no redirect, no
proxy.

Connections are kept for a moment, each Webhook's its own. One that its receiver closed just when it was used again is
replaced at once: a delivery may come twice, its id says so.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import httpx

from jetmill.errors import InputError, JetmillError
from jetmill_operator.dispatch.exchange import Answer, BadAnswerError, BrokenError, Connection
from jetmill_operator.dispatch.guard import DeniedError, Guard

IDLE_SECONDS = 3.0
"""For so long a connection is kept: shorter than servers do, so that few are closed just when they are used."""
_USUAL = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be sent."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


class SendError(JetmillError):
    """No answer came; the message says why, and names no secret."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes."""

    scheme: str
    host: str
    """As DNS writes it; an address of IPv6 without brackets."""
    port: int
    path: bytes

    @property
    def authority(self) -> str:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _USUAL[self.scheme] else f"{host}:{self.port}"


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
        self._idle: dict[tuple[str, str, int], deque[Connection]] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    async def send(self, request: Request, *, timeout_seconds: float) -> Answer:
        """Send and read the answer, all within `timeout_seconds`; SendError, DeniedError, InputError for the URL."""
        target = self.check(request.url)
        data = encode_request(request, target)
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._exchange(target, data)
        except TimeoutError as err:
            raise SendError(f"no whole answer within {timeout_seconds:g} s") from err
        except (BrokenError, BadAnswerError) as err:
            raise SendError(err.message) from err
        except OSError as err:
            raise SendError(f"it cannot be connected to: {err}") from err

    def check(self, url: str) -> Target:
        """The parts of an address; InputError for one that is none, DeniedError for a scheme or port by policy."""
        target = parse_url(url)
        if target.scheme not in self._schemes:
            cure = "use https, or have an administrator allow it (JETMILL_DISPATCH_SCHEMES)"
            raise DeniedError(f"{target.scheme} is not allowed", cure=cure)
        if self._ports and target.port not in self._ports:
            cure = "use another one, or have an administrator allow it (JETMILL_DISPATCH_PORTS)"
            raise DeniedError(f"port {target.port} is not allowed", cure=cure)
        return target

    async def close(self) -> None:
        """Close what is open."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for kept in self._idle.values():
            for connection in kept:
                connection.close()
        self._idle.clear()

    async def _exchange(self, target: Target, data: bytes) -> Answer:
        place = (target.scheme, target.host, target.port)
        kept = self._take(place)
        if kept is not None:
            try:
                return self._keep(place, kept, await kept.ask(data))
            except BrokenError as err:
                if err.begun:
                    raise
        tls = self._find_tls() if target.scheme == "https" else None
        connection = await self._guard.connect(Connection, target.host, target.port, tls=tls)
        return self._keep(place, connection, await connection.ask(data))

    def _find_tls(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def _take(self, place: tuple[str, str, int]) -> Connection | None:
        kept = self._idle.get(place)
        while kept:
            connection = kept.pop()  # the one that was used last
            if connection.usable:
                return connection
        return None

    def _keep(self, place: tuple[str, str, int], connection: Connection, answer: Answer) -> Answer:
        if connection.usable:
            loop = asyncio.get_running_loop()
            connection.idle_since = loop.time()
            self._idle.setdefault(place, deque()).append(connection)
            if self._sweeper is None:
                self._sweeper = loop.call_later(IDLE_SECONDS, self._sweep)
        return answer

    def _sweep(self) -> None:
        """Close what was not used for a while."""
        self._sweeper = None
        loop = asyncio.get_running_loop()
        for place, kept in list(self._idle.items()):
            while kept and (not kept[0].usable or loop.time() - kept[0].idle_since >= IDLE_SECONDS):
                kept.popleft().close()
            if not kept:
                del self._idle[place]
        if self._idle:
            self._sweeper = loop.call_later(IDLE_SECONDS, self._sweep)


def parse_url(url: str) -> Target:
    """The parts of an address, its host as DNS writes it; InputError."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError, ValueError) as err:
        raise InputError(f"the address cannot be read: {err}", field="url") from err
    if parsed.scheme not in _USUAL or not parsed.raw_host or parsed.userinfo:
        raise InputError("an address is https://host/path", field="url")
    port = _USUAL[parsed.scheme] if parsed.port is None else parsed.port
    return Target(parsed.scheme, parsed.raw_host.decode("ascii"), port, parsed.raw_path)


def encode_request(request: Request, target: Target) -> bytes:
    """A request as it goes over the wire; InputError for a header that would break it. Pure."""
    headers = {"host": target.authority, **request.headers, "content-length": str(len(request.body))}
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    if any(line.count("\n") != 1 or line.count("\r") != 1 or "\0" in line for line in lines):
        raise InputError("a header holds the end of a line", field="headers")
    head = b"%b %b HTTP/1.1\r\n" % (request.method.encode("ascii"), target.path)
    return head + "".join(lines).encode("latin-1", "replace") + b"\r\n" + request.body
