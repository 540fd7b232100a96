"""One connection to NATS that costs little per message.

Everything outgoing is a frame in one buffer, written once per turn of the loop; everything incoming is a synchronous
call. Requests share one inbox: the last token of the subject finds the call that waits, one sweep fails those that wait
too long. Nothing outlives its connection: when it breaks, buffered frames are dropped and waiting calls fail, so that
their callers decide what to send again.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from nats.errors import Error as NatsError

from jetmill.bus.jetstream import wire
from jetmill.bus.jetstream.client import HIGH_WATER_BYTES, FastClient
from jetmill.bus.jetstream.parser import RawCallback
from jetmill.errors import BusError, ConfigError, DisconnectedError, NoAnswerError, PermissionDeniedError

_T = TypeVar("_T")
_SWEEP_SECONDS = 0.25
_CLOSE_SECONDS = 2.0
_SECRET = re.compile(r"[^,/@]*@")
_DENIED = re.compile(r'permissions violation for (publish|subscription)[^"]*"([^"]*)"', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """How to reach NATS, and how patient to be."""

    url: str
    """One address or several, parted by commas."""
    name: str = "jetmill"
    credentials: str | None = None
    """Path of a `.creds` file."""
    nkey_seed: str | None = None
    """Path of an nkey seed file."""
    user: str | None = None
    password: str | None = None
    token: str | None = None
    tls: ssl.SSLContext | None = None
    inbox_prefix: str = "_INBOX"
    connect_timeout_seconds: float | None = 10.0
    """How long `Link.connect` tries; None: for ever."""
    request_timeout_seconds: float = 5.0
    ping_interval_seconds: float = 10.0
    """Two unanswered pings in a row end the connection."""
    clock_subject: str = "$SYS.REQ.USER.INFO"
    """Whose answer tells the server's time; `$JS.API.STREAM.INFO.<stream>` will do as well."""


class Frame:
    """A message as it came off the wire; parsed only where it is looked at."""

    __slots__ = ("head", "payload", "reply_raw", "subject_raw")

    def __init__(self, subject_raw: bytes, reply_raw: bytes, head: bytes | None, payload: bytes) -> None:
        self.subject_raw = subject_raw
        self.reply_raw = reply_raw
        self.head = head
        self.payload = payload

    @property
    def subject(self) -> str:
        """Where it was published."""
        return self.subject_raw.decode()

    @property
    def reply(self) -> str:
        """Where an answer is wanted, or an empty string."""
        return self.reply_raw.decode()

    def header(self, name: str) -> str | None:
        """The first value of a header; names as sent, case counts."""
        return wire.parse_header(self.head, name)

    @property
    def status(self) -> int:
        """The status in the header line (100, 404, 503, …), 0 without one."""
        return wire.parse_status(self.head)


class Call:
    """A request that waits for its answer or answers; subclasses say what becomes of them."""

    __slots__ = ("deadline", "subject")

    subject: str
    deadline: float

    def answer(self, head: bytes | None, payload: bytes) -> bool:
        """Take an answer; true when no more is awaited."""
        raise NotImplementedError

    def fail(self, error: BusError) -> None:
        """There will be no answer."""
        raise NotImplementedError


class _FutureCall(Call):
    __slots__ = ("future",)

    def __init__(self, future: asyncio.Future[Frame]) -> None:
        self.future = future

    def answer(self, head: bytes | None, payload: bytes) -> bool:
        if not self.future.done():
            self.future.set_result(Frame(self.subject.encode(), b"", head, payload))
        return True

    def fail(self, error: BusError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Subscription:
    """Interest in a subject, kept over reconnects until `unsubscribe`."""

    __slots__ = ("_client", "sid")

    def __init__(self, client: FastClient, sid: int) -> None:
        self._client = client
        self.sid = sid

    def unsubscribe(self, *, late: RawCallback | None = None) -> None:
        """Stop; messages on their way go to `late`, or are dropped. Idempotent."""
        self._client.unlisten(self.sid, late=late)

    def forget(self) -> None:
        """Drop the `late` callback."""
        self._client.forget(self.sid)


class Link:
    """One connection to NATS. Belongs to the event loop that made it; `connect` makes it."""

    def __init__(self, options: LinkOptions) -> None:
        self.options = options
        self.loop = asyncio.get_running_loop()
        self.client = FastClient(self)
        self._calls: dict[bytes, Call] = {}
        self._token = 0
        self._inbox = f"{options.inbox_prefix}.{self.client._nuid.next().decode()}"  # noqa: SLF001 (ours by inheritance)
        self._answers_at = f"{self._inbox}.r."
        self._answers_raw = self._answers_at.encode()
        self._answers_len = len(self._answers_at)
        self._time = self.loop.time
        self._inbox_denied: PermissionDeniedError | None = None
        self._sweeping = False
        self._connected_since: float | None = None
        self._clock_offset_us = (time.time_ns() - time.monotonic_ns()) // 1000
        self._up_callbacks: list[Callable[[], None]] = []
        self._down_callbacks: list[Callable[[], None]] = []
        self._end_callbacks: list[Callable[[], None]] = []
        self._denied_callbacks: list[Callable[[PermissionDeniedError], None]] = []

    # The connection

    @classmethod
    async def connect(cls, options: LinkOptions) -> Link:
        """Connect; raises DisconnectedError when `connect_timeout_seconds` pass without success, PermissionDeniedError
        (subject `""`) when the credentials are refused, ConfigError for a credentials file that cannot be read.
        Once connected it reconnects for ever.
        """
        link = cls(options)
        await link._connect()
        with suppress(BusError):  # without the right to ask, our own clock has to do
            await link.sync_clock()
        return link

    async def _connect(self) -> None:
        refused: asyncio.Future[Exception] = self.loop.create_future()

        async def note_error(error: Exception) -> None:
            await self.client.note_error(error)
            if "authorization" in str(error).lower() and not refused.done() and not self.client.up:
                refused.set_result(error)

        connecting: asyncio.Task[None] = self.loop.create_task(self.client.connect(**self._client_options(note_error)))
        try:
            waiting: set[asyncio.Future[Any]] = {connecting, refused}
            await asyncio.wait(
                waiting,
                timeout=self.options.connect_timeout_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if connecting.done() and (error := connecting.exception()) is not None:
                raise ConfigError(f"cannot connect to {self._shown}: {error}") from error
            if not connecting.done():
                raise self._explain(refused)
        except BaseException:
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)
            await self.close()
            raise
        self.client.listen(self._answers_at + "*", "", self._take_answer)
        self.client.go_up()

    def _explain(self, refused: asyncio.Future[Exception]) -> BusError:
        if refused.done():
            return PermissionDeniedError(
                f"{self._shown} refuses these credentials", subject="", cure="check user, token, creds or nkey"
            )
        text = f"cannot connect to {self._shown}: {self.client.trouble or 'no answer'}"
        return DisconnectedError(text, cure="is NATS running there? on a laptop, `jetmill dev DIR` starts it")

    @property
    def _shown(self) -> str:
        """The addresses without what may stand before an `@`."""
        return _SECRET.sub("", self.options.url)

    def _client_options(self, note_error: Callable[[Exception], Any]) -> dict[str, Any]:
        options = self.options

        async def reconnected() -> None:
            self.client.go_up()

        chosen: dict[str, Any] = {
            "servers": [part.strip() for part in options.url.split(",")],
            "name": options.name,
            "user_credentials": options.credentials,
            "nkeys_seed": options.nkey_seed,
            "user": options.user,
            "password": options.password,
            "token": options.token,
            "tls": options.tls,
            "inbox_prefix": options.inbox_prefix,
            "error_cb": note_error,
            "reconnected_cb": reconnected,
            "reconnect_to_server_handler": self.client.choose_server,
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": 0.1,  # between first attempts; later ones wait as choose_server says
            "ping_interval": options.ping_interval_seconds,
            "allow_reconnect": True,
            "connect_timeout": 5,
        }
        return {name: value for name, value in chosen.items() if value is not None}

    async def close(self) -> None:
        """Send what is buffered, close; outstanding requests fail. Idempotent."""
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.client.close()
        except (OSError, NatsError):
            self.client.abort()
        self.client.go_down()
        self._up_callbacks.clear()
        self._down_callbacks.clear()
        for callback in tuple(self._end_callbacks):
            callback()
        self._end_callbacks.clear()

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self.client.up

    @property
    def connected_since(self) -> float | None:
        """`time.monotonic()` of the last (re)connect, None while disconnected."""
        return self._connected_since

    @property
    def max_payload(self) -> int:
        """Bytes of headers and payload that the server takes in one message."""
        return self.client.max_payload

    def on_reconnect(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call after each reconnect, subscriptions already in place; returns the way to stop that."""
        return _register(self._up_callbacks, callback)

    def on_disconnect(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call when the connection is lost, after outstanding requests have failed; returns the way to stop that."""
        return _register(self._down_callbacks, callback)

    def on_close(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call once the link was closed for good; returns the way to stop that."""
        return _register(self._end_callbacks, callback)

    def on_denied(self, callback: Callable[[PermissionDeniedError], None]) -> Callable[[], None]:
        """Call when the server refuses a publish or a subscription; returns the way to stop that."""
        return _register(self._denied_callbacks, callback)

    def went_up(self) -> None:
        """Take note of a (re)connect; called by the client."""
        self._connected_since = time.monotonic()
        self._inbox_denied = None
        for callback in tuple(self._up_callbacks):
            callback()

    def went_down(self) -> None:
        """Fail all that waits; called by the client."""
        self._connected_since = None
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.fail(NoAnswerError(f"{call.subject}: the connection broke before the answer"))
        for callback in tuple(self._down_callbacks):
            callback()

    def was_refused(self, text: str) -> None:
        """Fail what waits on a subject that is denied; called by the client."""
        match = _DENIED.search(text)
        subject = match[2] if match else ""
        verb = "subscribe to" if match and match[1].lower() == "subscription" else "publish to"
        error = PermissionDeniedError(
            f"not allowed to {verb} {subject or text}", subject=subject, cure="grant it to this user in NATS"
        )
        inbox = subject.startswith(self._inbox)
        if inbox:
            self._inbox_denied = error
        for token in [token for token, call in self._calls.items() if inbox or call.subject == subject]:
            self._calls.pop(token).fail(error)
        for callback in tuple(self._denied_callbacks):
            callback(error)

    # Publish, request, subscribe

    def publish(self, subject: str, payload: bytes = b"", *, reply: str = "", headers: bytes | None = None) -> None:
        """Buffer a message; it leaves at the end of this turn of the loop. `headers` come from `wire.build_headers`.

        Raises DisconnectedError while there is no connection: nothing is ever kept for a later one. What was buffered
        when the connection broke is lost. BusError for a message over the server's limit.
        """
        client = self.client
        if not client.up:
            raise DisconnectedError(f"{subject}: not connected to {self.options.url}")
        if len(payload) + (0 if headers is None else len(headers) + 12) > client.max_payload:
            raise wire.make_too_big(subject, len(payload), client.max_payload)
        client.write(wire.build_frame(subject, reply, headers, payload))

    def request(
        self, subject: str, payload: bytes = b"", *, headers: bytes | None = None, timeout_seconds: float | None = None
    ) -> asyncio.Future[Frame]:
        """Publish with a reply inbox of its own; the future gives the answer.

        It raises NoAnswerError (time out, connection lost), DisconnectedError (not sent), PermissionDeniedError
        naming the subject, BusError with code 503 (nobody hears the subject, so nothing happened). JetStream errors
        inside the answer are the caller's to read (`wire.raise_for_error`). Cancelling the future forgets the request.
        """
        future: asyncio.Future[Frame] = self.loop.create_future()
        self.call(_FutureCall(future), subject, payload, headers=headers, timeout_seconds=timeout_seconds)
        return future

    def call(
        self,
        call: Call,
        subject: str,
        payload: bytes,
        *,
        headers: bytes | None = None,
        timeout_seconds: float | None = None,
    ) -> None:
        """Publish a request whose answers go to `call`; what cannot be sent fails it at once."""
        call.subject = subject
        if self._inbox_denied is not None:
            call.fail(self._inbox_denied)
            return
        client = self.client
        if not client.up:
            call.fail(DisconnectedError(f"{subject}: not connected to {self.options.url}"))
            return
        self._token = token = self._token + 1
        try:
            if len(payload) + (0 if headers is None else len(headers) + 12) > client.max_payload:
                raise wire.make_too_big(subject, len(payload), client.max_payload)
            client.write(wire.build_request(subject, self._answers_raw, token, headers=headers, payload=payload))
        except BusError as error:
            call.fail(error)
            return
        call.deadline = self._time() + (timeout_seconds or self.options.request_timeout_seconds)
        self._calls[b"%d" % token] = call
        if not self._sweeping:
            self._sweeping = True
            self.loop.call_later(_SWEEP_SECONDS, self._sweep)

    def _take_answer(self, subject: bytes, _reply: bytes, head: bytes | None, payload: bytes) -> None:
        token = subject[self._answers_len :]
        call = self._calls.get(token)
        if call is None:
            return
        if head is not None and head[8:12] == b" 503":
            del self._calls[token]
            text = f"{call.subject}: nobody hears this subject (no stream, or no JetStream now)"
            call.fail(BusError(text, code=503, cure=wire.NO_STREAM_CURE))
        elif call.answer(head, payload):
            self._calls.pop(token, None)

    def _sweep(self) -> None:
        self._sweeping = bool(self._calls)
        if not self._sweeping:
            return
        now = self.loop.time()
        for token in [token for token, call in self._calls.items() if call.deadline < now]:
            call = self._calls.pop(token)
            call.fail(NoAnswerError(f"{call.subject}: no answer in time"))
        self.loop.call_later(_SWEEP_SECONDS, self._sweep)

    def subscribe(self, subject: str, callback: Callable[[Frame], None], queue: str = "") -> Subscription:
        """Call `callback` for each message, synchronously, in order; it must not block, and what it raises goes to the
        loop's exception handler. May be called while disconnected.
        """

        def deliver(subject: bytes, reply: bytes, head: bytes | None, payload: bytes) -> None:
            callback(Frame(subject, reply, head, payload))

        return self.listen(subject, deliver, queue)

    def listen(self, subject: str, callback: RawCallback, queue: str = "") -> Subscription:
        """Subscribe without a Frame per message, for the paths where that counts."""
        return Subscription(self.client, self.client.listen(wire.check_subject(subject), queue, callback))

    def new_inbox(self) -> str:
        """A subject of our own under the inbox prefix."""
        self._token += 1
        return f"{self._inbox}.{self._token}"

    async def room(self) -> None:
        """Wait until the outgoing buffer is under its high-water mark; DisconnectedError if the connection is lost."""
        while self.client.up and self.client.buffered > HIGH_WATER_BYTES:
            try:
                await self.client.drain_transport()
            except OSError as err:
                raise DisconnectedError("the connection broke") from err
        if not self.client.up:
            raise DisconnectedError(f"not connected to {self.options.url}")

    async def flush(self) -> None:
        """Wait until the server has taken everything published so far (a PING answered)."""
        if not self.client.up:
            raise DisconnectedError(f"not connected to {self.options.url}")
        self.client.flush_now()
        try:
            await self.client.flush(timeout=max(1, round(self.options.request_timeout_seconds)))
        except (OSError, NatsError) as err:
            raise NoAnswerError("the server did not answer a ping") from err

    # The clock

    def now_us(self) -> int:
        """The server's clock in µs since the epoch, monotonic between two `sync_clock`; our own where it is unknown."""
        return self._clock_offset_us + time.monotonic_ns() // 1000

    async def sync_clock(self) -> None:
        """Ask the server for its time again; done once by `connect`, where a refusal is taken quietly."""
        subject = self.options.clock_subject
        sent = time.monotonic_ns()
        frame = await self.request(subject)
        middle_us = (sent + time.monotonic_ns()) // 2000
        try:
            self._clock_offset_us = wire.parse_server_time_us(frame.payload) - middle_us
        except (ValueError, msgspec.MsgspecError) as err:
            raise BusError(f"{subject}: the answer tells no time") from err


def _register(callbacks: list[_T], callback: _T) -> Callable[[], None]:
    callbacks.append(callback)

    def stop() -> None:
        if callback in callbacks:
            callbacks.remove(callback)

    return stop
