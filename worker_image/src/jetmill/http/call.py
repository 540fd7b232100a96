"""Requests to a gateway: sent again where that is safe, and its problems as the errors of `jetmill.errors`.

```
 no connection ─────────▶ again        429, 503 ─▶ again, when it says          what was sent and not answered:
 any other problem ─────▶ an error     out of patience ─▶ an error              again if once or twice is the same
```
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from jetmill.errors import BusError, ConfigError, DisconnectedError, NoAnswerError
from jetmill.http.settings import HttpSettings
from jetmill.http.wire import build_error

try:
    import httpx
except ImportError as err:
    raise ConfigError("HttpClient needs httpx", cure='pip install "jetmill[http]"') from err

ROOT = "/api/v1/"
_CONNECT_SECONDS = 5.0
_READ_SECONDS = 45.0
"""Longer than a gateway waits for the end of a job (30 s), and than between two heartbeats of a stream (15 s)."""
_FIRST_BACKOFF_SECONDS = 0.1
_LONGEST_BACKOFF_SECONDS = 2.0
Params = Mapping[str, Any]


class Answer:
    """What came back."""

    __slots__ = ("body", "seq", "status")

    def __init__(self, status: int, body: Any, seq: int) -> None:
        self.status = status
        self.body = body
        self.seq = seq
        """The ledger's sequence of what was changed; 0: it does not say."""


class Caller:
    """One gateway, as one identity; belongs to the event loop that it was first used on."""

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        verify: ssl.SSLContext | bool = True
        if settings.ca_file:
            verify = ssl.create_default_context(cafile=settings.ca_file)
        self._http = httpx.AsyncClient(
            base_url=settings.url.rstrip("/") + ROOT,
            verify=verify,
            proxy=settings.proxy or None,
            trust_env=False,
            timeout=httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS, pool=None),
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=16),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        repeats: bool = True,
    ) -> Answer:
        """Send until it is answered, for as long as patience goes; `repeats`: twice is the same as once."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._settings.patience_seconds
        for attempt in range(1_000_000):
            try:
                return await self._send(method, path, params=params, body=body, headers=headers)
            except (DisconnectedError, NoAnswerError, _LaterError) as err:
                if isinstance(err, NoAnswerError) and not isinstance(err, DisconnectedError) and not repeats:
                    raise
                backoff = random.uniform(
                    0, min(_LONGEST_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2 ** min(attempt, 9))
                )
                wait = backoff + (err.seconds if isinstance(err, _LaterError) else 0.0)
                if loop.time() + wait > end:
                    raise (err.error if isinstance(err, _LaterError) else err) from err
                await asyncio.sleep(wait)
        raise AssertionError("patience has an end")

    async def _send(
        self, method: str, path: str, *, params: Params | None, body: Any, headers: Mapping[str, str] | None
    ) -> Answer:
        given = {"Accept": "application/json", **self._login(), **(headers or {})}
        content = None
        if body is not None:
            content = msgspec.json.encode(body)
            given["Content-Type"] = "application/json"
        what = f"{method} {ROOT}{path}"
        try:
            response = await self._http.request(
                method, path, params=self._with_namespace(params), content=content, headers=given
            )
        except (httpx.ConnectError, httpx.ConnectTimeout) as err:
            raise DisconnectedError(f"{what}: no connection: {err}", cure="is the gateway there?") from err
        except httpx.TransportError as err:
            raise NoAnswerError(f"{what}: no answer: {err!r}") from err
        return _read(response.status_code, response.content, response.headers, what=what)

    @asynccontextmanager
    async def stream(
        self, path: str, *, params: Params, headers: Mapping[str, str]
    ) -> AsyncGenerator[AsyncGenerator[tuple[str, str, str]]]:
        """Server-sent events while the block runs: (event, data, id) each. NoAnswerError when it breaks."""
        given = {"Accept": "text/event-stream", **self._login(), **headers}
        what = f"GET {ROOT}{path}"
        try:
            async with self._http.stream("GET", path, params=self._with_namespace(params), headers=given) as response:
                if not response.is_success:
                    _read(response.status_code, await response.aread(), response.headers, what=what)
                yield _read_events(response)
        except _LaterError as err:
            raise err.error from err
        except httpx.TransportError as err:
            raise NoAnswerError(f"{what}: it broke: {err!r}") from err

    def _with_namespace(self, params: Params | None) -> dict[str, Any]:
        named = {"namespace": self._settings.namespace} if self._settings.namespace else {}
        return {key: value for key, value in {**named, **(params or {})}.items() if value is not None}

    def _login(self) -> dict[str, str]:
        token = self._settings.token
        if self._settings.token_file:  # small, local, and replaced by whoever makes it before it ends
            token = Path(self._settings.token_file).read_text().strip()
        return {"Authorization": f"Bearer {token}"} if token else {}


class _LaterError(Exception):
    """The gateway said that the same request may succeed later."""

    def __init__(self, error: BusError, seconds: float) -> None:
        super().__init__(str(error))
        self.error = error
        self.seconds = seconds


def _read(status: int, content: bytes, headers: Mapping[str, str], *, what: str) -> Answer:
    try:
        body = msgspec.json.decode(content) if content else None
    except (msgspec.DecodeError, UnicodeDecodeError) as err:
        raise NoAnswerError(f"{what}: {status}: what answered is no gateway") from err
    if 200 <= status < 300:
        return Answer(status, body, int(headers.get("x-jetmill-seq") or 0))
    error = build_error(body if isinstance(body, dict) else {}, status=status, what=what)
    if status in (429, 503) and isinstance(error, BusError):
        raise _LaterError(error, _seconds_of(headers.get("retry-after", "")))
    raise error


def _seconds_of(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() else 0.0


async def _read_events(response: httpx.Response) -> AsyncGenerator[tuple[str, str, str]]:
    event, data, last_id = "", "", ""
    async for line in response.aiter_lines():
        if not line:
            if data:
                yield event, data, last_id
            event = data = ""
            continue
        name, _, value = line.partition(": ")
        if name == "event":
            event = value
        elif name == "data":
            data = value
        elif name == "id":
            last_id = value
