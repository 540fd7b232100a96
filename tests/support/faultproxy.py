"""A proxy in front of an API server that can fail in every way: answers, cut and silent streams, events that are lies.

It speaks plain HTTP to whoever comes (a kubeconfig without TLS names it) and TLS to the server, with the credentials
that it was given. It runs in the test's own loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from jetmill_operator.cluster.credential import Credential, find_credential
from support.wait import eventually

_HOP = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})
_PIECE = 7


@dataclass(slots=True)
class Fault:
    """An answer in place of the server's, or what happens to it, for so many requests that fit."""

    method: str = ""
    path: str = ""
    """A part of it."""
    status: int = 0
    """0: the connection is cut."""
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1
    pass_on: bool = False
    """The server gets the request; only its answer is lost."""
    hangs: bool = False
    """No answer comes."""
    watch: bool | None = None
    """Only for watches, or only for others."""
    seen: int = 0

    def fits(self, request: web.Request) -> bool:
        """It is due for this request."""
        return (
            self.seen < self.times
            and self.method in ("", request.method)
            and self.path in request.path
            and self.watch in (None, "watch" in request.query)
        )


class FaultProxy:
    """One proxy. `faults` are looked through in order; everything else passes."""

    def __init__(self, credential: Credential, folder: Path) -> None:
        self._upstream = credential.access
        self._folder = folder
        self._streams: list[tuple[str, web.StreamResponse]] = []
        self._session: aiohttp.ClientSession | None = None
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.answers: list[tuple[web.Request, int]] = []
        """What the server was asked, and its status."""
        self.open = asyncio.Event()
        """Streams pass what they get; clear it to silence them."""
        self.open.set()
        self.trickle = False
        """Streams pass what they get in small pieces, slowly."""
        self.port = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, credential: Credential, folder: Path) -> AsyncIterator[FaultProxy]:
        """A running proxy, ended at the end."""
        proxy = cls(credential, folder)
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", proxy._handle)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        connector = aiohttp.TCPConnector(limit=0, ssl=credential.access.ssl_context())
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            proxy._session = session
            await site.start()
            proxy.port = runner.addresses[0][1]
            yield proxy
            proxy.cut()
            await runner.cleanup()

    def credential(self, *, token: str = "") -> Credential:
        """Who goes through the proxy: whoever the proxy is to the server, or, if that is nobody, a token's owner."""
        return find_credential(kubeconfig=str(self.write_kubeconfig(token=token)))

    def write_kubeconfig(self, *, token: str = "") -> Path:
        """The same, for another process."""
        path = self._folder / "proxy.kubeconfig"
        cluster = {"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}
        context = {"name": "proxy", "context": {"cluster": "proxy", "user": "nobody"}}
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "proxy"}
        user = {"name": "nobody", "user": {"token": token} if token else {}}
        path.write_text(json.dumps({**config, "clusters": [cluster], "contexts": [context], "users": [user]}))
        return path

    def fail(self, method: str = "", path: str = "", **fault: Any) -> Fault:
        """Add a fault."""
        added = Fault(method, path, **fault)
        self.faults.append(added)
        return added

    def cut(self) -> None:
        """Close every watch stream in the middle."""
        for _, response in self._streams:
            transport = response._req.transport if response._req is not None else None
            if transport is not None:
                transport.abort()

    async def inject(self, path: str, event: Any) -> None:
        """Write an event into the watch streams of a path."""
        line = json.dumps(event).encode() + b"\n"
        await eventually(lambda: self.watching(path), what=f"a watch of {path}")
        for where, response in list(self._streams):
            if path in where:
                await response.write(line)

    def watching(self, path: str) -> bool:
        """A watch of that path is open."""
        return any(path in where for where, _ in self._streams)

    def count(self, method: str, path: str) -> int:
        """How many requests came."""
        return sum(1 for verb, where, _ in self.requests if verb == method and path in where)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path, dict(request.query)))
        fault = next((fault for fault in self.faults if fault.fits(request)), None)
        if fault is None:
            return await self._forward(request)
        fault.seen += 1
        if fault.pass_on:
            await self._forward(request, lose=True)
        if fault.hangs:
            await asyncio.Event().wait()  # until whoever asked has gone
        if fault.status:
            return web.json_response(fault.body, status=fault.status, headers=fault.headers)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def _forward(self, request: web.Request, *, lose: bool = False) -> web.StreamResponse:
        assert self._session is not None
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        async with self._session.request(
            request.method,
            self._upstream.server + request.raw_path,
            headers=headers,
            data=await request.read() or None,
            timeout=aiohttp.ClientTimeout(total=None),
        ) as answer:
            self.answers.append((request, answer.status))
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            if "watch" not in request.query or lose:
                return web.Response(status=answer.status, headers=kept, body=await answer.read())
            return await self._stream(request, answer, kept)

    async def _stream(
        self, request: web.Request, answer: aiohttp.ClientResponse, headers: dict[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        entry = (request.path, response)
        self._streams.append(entry)
        try:
            async for data in answer.content.iter_any():
                await self.open.wait()
                await self._pass(response, data)
        except (ConnectionError, aiohttp.ClientError):
            pass
        finally:
            self._streams.remove(entry)
        return response

    async def _pass(self, response: web.StreamResponse, data: bytes) -> None:
        for begin in range(0, len(data), _PIECE if self.trickle else len(data)):
            await response.write(data[begin : begin + _PIECE] if self.trickle else data)
            if self.trickle:
                await asyncio.sleep(0.005)
