"""HTTP to an API server: one connection pool, requests that are tried again, answers turned into our errors.

- 429, 5xx and lost connections are tried again, with jittered backoff or when the server says, until `patience_seconds`
  are over; then UnavailableError, and the work queue goes on with longer waits. A POST whose answer is lost is not: it
  may have happened.
- At most four writes at once: more are slower, not faster, on a small control plane (measured).
- The fence is asked right before the bytes of each attempt leave, and no attempt outlasts it.
- A 401 reads the credentials anew, once.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec

from jetmill_operator.cluster.credential import Access, Credential
from jetmill_operator.cluster.errors import ClusterError, UnavailableError
from jetmill_operator.cluster.fence import check_fence
from jetmill_operator.cluster.status import error_of

REQUEST_SECONDS = 30.0
PATIENCE_SECONDS = 20.0
WRITERS = 4
_CONNECT_SECONDS = 10.0
_CONNECTIONS = 16
_FIRST_BACKOFF_SECONDS = 0.1
_LONGEST_BACKOFF_SECONDS = 5.0
_FRESH_SECONDS = 10.0
"""How long a token that was read is used without asking for it again."""
_RELOAD_SECONDS = 2 * REQUEST_SECONDS
"""The least time between two reloads of the credentials; whatever ran on the old connections has ended by then."""
EXPIRED = 410
"""What was to be continued is not there any more: the same request is refused for ever."""
_SENDING = "http11.send_request_headers.started"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = "application/json"
    accept: str = "application/json"
    urgent: bool = False
    """A write that does not queue behind others: a lease is renewed in time or not at all."""

    @property
    def is_write(self) -> bool:
        """It changes something, unless it is dry."""
        return self.method != "GET"

    @property
    def is_repeatable(self) -> bool:
        """Once or twice is the same."""
        return self.method != "POST"


class Rest:
    """One API server. Close it, or use it as a context manager."""

    def __init__(
        self,
        credential: Credential,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        user_agent: str = "jetmill-operator",
    ) -> None:
        self._credential = credential
        self._patience_seconds = patience_seconds
        self._user_agent = user_agent
        self._writers = asyncio.Semaphore(WRITERS)
        access = credential.access
        self._extensions = {"sni_hostname": access.tls_server_name} if access.tls_server_name else {}
        self._client = self._connect(access)
        self._retired: httpx.AsyncClient | None = None
        self._reloading = asyncio.Lock()
        self._reloaded = -_RELOAD_SECONDS
        self._authorization: tuple[float, str | None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()
        if self._retired is not None:
            await self._retired.aclose()

    async def ask(self, request: Request) -> dict[str, Any]:
        """Send a request until it is answered, and give the answer; an error of `cluster.errors` otherwise."""
        end = time.monotonic() + self._patience_seconds
        attempt = 0
        while True:
            try:
                return await self._attempt(request)
            except UnavailableError as err:
                wait = _wait_before(attempt + 1, err)
                if not _may_repeat(request, err) or time.monotonic() + wait > end:
                    raise
            attempt += 1
            await asyncio.sleep(wait)

    async def _attempt(self, request: Request) -> dict[str, Any]:
        used = self._client
        response = await self._send(request)
        if response.status_code == httpx.codes.UNAUTHORIZED and await self._reload(used):
            response = await self._send(request)
        if not response.is_success:
            raise error_of(response.status_code, response.content, response.headers)
        try:
            decoded: dict[str, Any] = msgspec.json.decode(response.content)
        except msgspec.DecodeError as err:
            raise UnavailableError(f"{request.method} {request.path}: the answer is no JSON: {err}") from err
        return decoded

    async def _send(self, request: Request) -> httpx.Response:
        if not request.is_write or request.urgent:
            return await self._exchange(request)
        async with self._writers:
            return await self._exchange(request)

    async def _exchange(self, request: Request) -> httpx.Response:
        headers = {"Accept": request.accept, "User-Agent": self._user_agent}
        authorization = await self._authorize()
        if authorization:
            headers["Authorization"] = authorization
        content = None
        if request.body is not None:
            content = msgspec.json.encode(request.body)
            headers["Content-Type"] = request.content_type
        try:
            async with asyncio.timeout(min(REQUEST_SECONDS, check_fence() if request.is_write else REQUEST_SECONDS)):
                return await self._client.request(
                    request.method,
                    request.path,
                    params=dict(request.params),
                    content=content,
                    headers=headers,
                    extensions=self._extensions | ({"trace": _fence_at_the_last_moment} if request.is_write else {}),
                )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as err:
            raise _NotSentError(f"{request.method} {request.path}: no connection: {err}") from err
        except (httpx.TransportError, TimeoutError) as err:
            raise UnavailableError(f"{request.method} {request.path}: no answer: {err!r}") from err

    async def _authorize(self) -> str | None:
        now = time.monotonic()
        if self._authorization is None or now - self._authorization[0] > _FRESH_SECONDS:
            self._authorization = (now, await asyncio.to_thread(self._credential.authorization))
        return self._authorization[1]

    async def _reload(self, used: httpx.AsyncClient) -> bool:
        """Read the credentials anew after `used` was not accepted; false if that was just done."""
        async with self._reloading:
            if self._client is not used:
                return True
            if time.monotonic() - self._reloaded < _RELOAD_SECONDS:
                return False
            self._reloaded = time.monotonic()
            await asyncio.to_thread(self._credential.reload)
            if self._retired is not None:
                await self._retired.aclose()
            self._retired, self._client = self._client, self._connect(self._credential.access)
            self._authorization = None
            return True

    @staticmethod
    def _connect(access: Access) -> httpx.AsyncClient:
        verify: ssl.SSLContext | bool = access.ssl_context() if access.server.startswith("https") else False
        return httpx.AsyncClient(
            base_url=access.server,
            verify=verify,
            proxy=access.proxy,
            trust_env=False,
            timeout=httpx.Timeout(REQUEST_SECONDS, connect=_CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
        )


class _NotSentError(UnavailableError):
    """There was no connection to send it on."""


async def _fence_at_the_last_moment(event: str, _: Mapping[str, Any]) -> None:
    if event == _SENDING:
        check_fence()


def _may_repeat(request: Request, err: ClusterError) -> bool:
    if err.code == EXPIRED:
        return False
    return request.is_repeatable or isinstance(err, _NotSentError) or err.code == httpx.codes.TOO_MANY_REQUESTS


def _wait_before(attempt: int, err: UnavailableError) -> float:
    """Seconds to wait: what the server says, else full jitter on a doubling backoff."""
    if err.retry_after_seconds is not None:
        return err.retry_after_seconds + random.uniform(0, _FIRST_BACKOFF_SECONDS)
    return random.uniform(0, min(_LONGEST_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2**attempt))
