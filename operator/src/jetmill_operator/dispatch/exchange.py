"""One connection of HTTP/1.1: a request is written, its answer read as far as anybody wants to know.

Parsed by httptools, the parser of Node in C, for a dispatcher spends its time here: httpx takes 1.5 ms a request on the
machine that the figures are from, this a fifth of it (ADR 15).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

import httptools

from jetmill.errors import JetmillError

KEPT_BYTES = 4_096
"""Of an answer's body."""
READ_BYTES = 65_536
"""An answer that is longer is not read to its end; its connection is closed."""
HEAD_BYTES = 65_536
"""Headers beyond this are no answer."""
KEPT_HEADER_CHARACTERS, KEPT_HEADERS = 1_024, 32


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes
    truncated: bool


class BrokenError(JetmillError):
    """The connection broke; `begun`: something of the answer had come."""

    def __init__(self, message: str, *, begun: bool) -> None:
        super().__init__(message)
        self.begun = begun


class Connection(asyncio.Protocol):
    """Carries one request at a time; `usable` for another one after an answer that was read to its end."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._begin()
        self.usable = True
        self.idle_since = 0.0

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._size = 0
        self._head_size = 0
        self._in_body = False

    async def ask(self, request: bytes) -> Answer:
        """Send a request and give its answer; BrokenError, BadAnswerError. Cancelled, it is of no more use."""
        assert self._transport is not None
        self._answer = self._loop.create_future()
        self._begin()
        try:
            if not self.usable:
                raise BrokenError("it was closed", begun=False)
            self._transport.write(request)
            return await self._answer
        except BaseException:
            self.close()
            raise
        finally:
            self._answer = None

    def close(self) -> None:
        """Break it off."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self._answer is None or self._answer.done():
            self.close()  # it speaks without being asked
            return
        if not self._in_body:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(BadAnswerError("it changes to another protocol"))
        except httptools.HttpParserError as err:
            self._fail(BadAnswerError(f"what it answers is no HTTP: {err}"))
        if not self._in_body and self._head_size > HEAD_BYTES:
            self._fail(BadAnswerError("its headers have no end"))

    def eof_received(self) -> bool:
        """See asyncio: an answer without a length ends with its connection."""
        self.usable = False
        if self._in_body and "content-length" not in self._headers and "transfer-encoding" not in self._headers:
            self._conclude()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self.usable = False
        said = f": {exc}" if exc is not None and str(exc) else ""
        self._fail(BrokenError(f"the connection broke{said}", begun=self._head_size > 0))

    # the parser's side

    def on_message_begin(self) -> None:
        """See httptools; an answer that nobody asked for must not pass for that to the next request."""
        if self._answer is None or self._answer.done():
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools."""
        key, text = name.decode("latin-1").lower()[:128], value.decode("latin-1")[:KEPT_HEADER_CHARACTERS]
        if key in self._headers:
            self._headers[key] = f"{self._headers[key]}, {text}"[: 4 * KEPT_HEADER_CHARACTERS]
        elif len(self._headers) < KEPT_HEADERS or key in ("retry-after", "content-length", "transfer-encoding"):
            self._headers[key] = text

    def on_headers_complete(self) -> None:
        """See httptools."""
        self._in_body = True

    def on_body(self, data: bytes) -> None:
        """See httptools."""
        self._body += data[: KEPT_BYTES - len(self._body)]
        self._size += len(data)
        if self._size > READ_BYTES:
            self.usable = False
            self._conclude()

    def on_message_complete(self) -> None:
        """See httptools."""
        if 100 <= self._parser.get_status_code() < 200:  # only says that it listens
            self._headers, self._in_body = {}, False
            return
        if not self._parser.should_keep_alive():
            self.usable = False
        self._conclude()

    def _conclude(self) -> None:
        if self._answer is not None and not self._answer.done():
            body = bytes(self._body)
            status = self._parser.get_status_code()
            self._answer.set_result(Answer(status, self._headers, body, truncated=self._size > len(body)))
            if not self.usable and self._transport is not None:
                self._transport.abort()

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


class BadAnswerError(JetmillError):
    """What came is no answer."""
