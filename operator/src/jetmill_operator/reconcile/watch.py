"""kopf as the watch engine, and as nothing else: lists, streams, reconnects, 410s; what happens comes out as callbacks.

kopf runs in a thread and a loop of its own. In a shared loop its end would cancel every task that was begun after it,
and take five seconds (measured). It only ever reads: no handler of ours changes an object, so it writes nothing, keeps
no annotations and sets no finalizer. What it cannot know is the sentinel's work: it is told of no deletion that
happened while it was away.

```
   kopf's thread                                         the main loop
   stream ─▶ on.event ──── call_soon_threadsafe ───────▶ versions, what is new? ─▶ on_event(kind, type, body)
     └─ bytes heard (events and bookmarks) ─▶ age_seconds
```

When kopf ends by itself (an error in a stream that is none of 410, credentials that are refused) `ended` fails: the
process has to end and begin again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import socket
import ssl
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp
import kopf
import msgspec
from aiohttp import AddrInfoType

from jetmill.errors import JetmillError
from jetmill_operator.cluster.credential import Credential
from jetmill_operator.cluster.ports import (
    DEPLOYMENT,
    JOB,
    POD,
    SCHEDULED_JOB,
    WEBHOOK,
    Body,
    EventType,
    Kind,
    OnEvent,
    is_older,
    path_of,
)

MANAGED: Mapping[str, str] = {"app.kubernetes.io/managed-by": "jetmill"}
"""The labels of the children that are watched."""
SERVER_SECONDS = 290
CLIENT_SECONDS = 300
CONNECT_SECONDS = 15
INACTIVITY_SECONDS = 70.0
"""Bookmarks come every 60 s: a stream that is silent for longer is dead, and is opened again."""
REQUEST_SECONDS = 30
PAGE = 500
_STOP_SECONDS = 10.0
_CLOSING_LOOKS = 200
"""What TLS connections take to close, after aiohttp has let go of them."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A kind, and which of its objects are watched."""

    kind: Kind
    labels: Mapping[str, str] = field(default_factory=dict)
    quiet: bool = False
    """Nothing is told of a change that left all but status as it was: only we write it."""


WATCHED = (
    Watched(JOB, quiet=True),
    Watched(SCHEDULED_JOB, quiet=True),
    Watched(WEBHOOK, quiet=True),
    Watched(DEPLOYMENT, MANAGED),
    Watched(POD, MANAGED),
)


class WatchEndedError(JetmillError):
    """kopf has ended by itself: nothing is watched any more."""


class Watch:
    """Watches while it is started. `on_event` is called in the loop that made this object.

    `namespaces`: those that are watched; empty: the whole cluster. `ended` fails with WatchEndedError if kopf does, and
    is cancelled by `stop`.
    """

    def __init__(
        self,
        credential: Credential,
        on_event: OnEvent,
        *,
        namespaces: tuple[str, ...] = (),
        watched: Iterable[Watched] = WATCHED,
        inactivity_seconds: float = INACTIVITY_SECONDS,
    ) -> None:
        self._credential = credential
        self._on_event = on_event
        self._namespaces = namespaces
        self._watched = tuple(watched)
        self._inactivity_seconds = inactivity_seconds
        self._main = asyncio.get_running_loop()
        self._memory = {watched.kind: Memory(quiet=watched.quiet) for watched in self._watched}
        self._heard: dict[str, float] = {}
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._paths = frozenset(self._list_paths())
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._stopping = False
        self.ended: asyncio.Future[None] = self._main.create_future()

    def start(self) -> None:
        """Begin; the first events are those of what is there."""
        self._thread.start()

    async def stop(self) -> None:
        """End, in a fraction of a second. Idempotent."""
        self._stopping = True
        self.ended.cancel()
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # its loop has ended
                self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join, _STOP_SECONDS)

    @property
    def complete(self) -> bool:
        """Everything was listed once, and streams from there on."""
        return len(self._heard) == len(self._paths)

    @property
    def age_seconds(self) -> float:
        """How long the stream that is silent longest has been silent, bookmarks counted; infinite before all began."""
        heard = list(self._heard.values())
        return time.monotonic() - min(heard) if self.complete else float("inf")

    def versions(self, kind: Kind) -> Mapping[tuple[str, str], str]:
        """The resourceVersion of each object, by namespace and name, as the watch told it."""
        return self._memory[kind].versions

    def lose(self, kind: Kind, place: tuple[str, str]) -> None:
        """Tell of an object that is gone without the watch having told."""
        namespace, name = place
        self._memory[kind].forget(place)
        metadata = {"namespace": namespace, "name": name}
        self._on_event(kind, "DELETED", {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata})

    # -- in the main loop

    def _tell(self, kind: Kind, event: EventType, body: Body) -> None:
        if not self._stopping and self._memory[kind].is_news(event, body):
            self._on_event(kind, event, body)

    def _finish(self, error: BaseException | None) -> None:
        if not self.ended.done():
            failure = WatchEndedError(f"the watch has ended: {error or 'without a reason'}")
            failure.__cause__ = error
            self.ended.set_exception(failure)

    # -- in kopf's thread

    def _run(self) -> None:
        error: BaseException | None = None
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._operate())
        except BaseException as err:  # noqa: BLE001 (whatever it was, the main loop decides)
            error = err
        with contextlib.suppress(RuntimeError):  # the main loop has ended
            self._main.call_soon_threadsafe(self._finish, error)
        _abandon(loop, self._sockets)

    async def _operate(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        if self._stopping:
            return
        ours = asyncio.all_tasks()
        async with _session(self._credential, self._listen, self._sockets) as session:
            tasks = await kopf.spawn_tasks(
                registry=self._register(session),
                settings=self._configure(),
                standalone=True,
                clusterwide=not self._namespaces,
                namespaces=list(self._namespaces),
                stop_flag=self._stop,
            )
            # kopf.operator() would go on here with run_tasks(); but where one of several streams has failed, that
            # waits for the others for ever (measured with 1.45.2). So the first end of a task is looked at here.
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._stop.is_set():
                await kopf.run_tasks(tasks, ignored=ours)
            for task in ended:
                task.result()

    def _register(self, session: aiohttp.ClientSession) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        async def login(**_: Any) -> kopf.AiohttpSession:
            return kopf.AiohttpSession(server=self._credential.access.server, aiohttp_session=session)

        kopf.on.login(registry=registry, id="login")(cast(Any, login))
        for watched in self._watched:
            kind = watched.kind
            handler = self._handler(kind)
            kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=f"watch-{kind.plural}")(handler)
        return registry

    def _handler(self, kind: Kind) -> Callable[..., Any]:
        async def handle(event: Mapping[str, Any], **_: Any) -> None:
            body = dict(event["object"])
            body["metadata"] = {name: part for name, part in body["metadata"].items() if name != "managedFields"}
            with contextlib.suppress(RuntimeError):  # the main loop has ended
                self._main.call_soon_threadsafe(self._tell, kind, event["type"] or "LISTED", body)

        return handle

    def _configure(self) -> kopf.OperatorSettings:
        logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)  # it would warn of signals, in a thread
        settings = kopf.OperatorSettings()
        settings.posting.enabled = False
        settings.scanning.disabled = True  # our kinds come with the chart: no right to read definitions is asked for
        settings.networking.request_timeout = REQUEST_SECONDS
        settings.networking.enforce_retry_after = True
        settings.watching.server_timeout = SERVER_SECONDS
        settings.watching.client_timeout = CLIENT_SECONDS
        settings.watching.connect_timeout = CONNECT_SECONDS
        settings.watching.inactivity_timeout = self._inactivity_seconds
        settings.watching.chunk_size = PAGE
        settings.queueing.idle_timeout = 1.0
        settings.process.ultimate_exiting_timeout = None  # it would kill the process, not the thread
        for watched in self._watched:
            if watched.labels:
                kind = watched.kind
                selector = ",".join(f"{name}={value}" for name, value in watched.labels.items())
                settings.watching.label_selectors[kind.group, kind.version, kind.plural] = selector
        return settings

    def _listen(self, path: str) -> None:
        if path in self._paths:  # kopf watches definitions too
            self._heard[path] = time.monotonic()

    def _list_paths(self) -> Iterator[str]:
        base = urlsplit(self._credential.access.server).path
        for watched in self._watched:
            for namespace in self._namespaces or ("",):
                yield base + path_of(watched.kind, namespace)


@dataclass(slots=True)
class Memory:
    """What the watch told of one kind, as far as it takes to know what is new."""

    quiet: bool
    versions: dict[tuple[str, str], str] = field(default_factory=dict)
    essences: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def is_news(self, event: EventType, body: Body) -> bool:
        """Take in an event; false if it says nothing that was not known.

        Two objects of one name, one after the other, are told by two streams: what is older than what is known is of
        the one before.
        """
        metadata = body["metadata"]
        place, version = (metadata.get("namespace", ""), metadata["name"]), metadata["resourceVersion"]
        known = self.versions.get(place)
        if known == version or is_older(version, known):
            return False
        if event == "DELETED":
            self.forget(place)
            return True
        self.versions[place] = version
        if not self.quiet:
            return True
        essence = _essence(body)
        before, self.essences[place] = self.essences.get(place), essence
        return before != essence

    def forget(self, place: tuple[str, str]) -> None:
        """Know an object no more."""
        self.versions.pop(place, None)
        self.essences.pop(place, None)


def _essence(body: Body) -> bytes:
    metadata = {name: part for name, part in body["metadata"].items() if name != "resourceVersion"}
    rest = {name: part for name, part in body.items() if name not in ("metadata", "status")}
    return hashlib.blake2b(msgspec.json.encode([metadata, rest], order="sorted"), digest_size=8).digest()


@contextlib.asynccontextmanager
async def _session(
    credential: Credential, listen: Callable[[str], None], sockets: weakref.WeakSet[socket.socket]
) -> AsyncIterator[aiohttp.ClientSession]:
    """Open what kopf asks the API server with: our credentials, fresh for each request, and an ear on its streams.

    `sockets` gets each one that is opened.
    """

    def open_socket(address: AddrInfoType) -> socket.socket:
        family, kind, protocol, *_ = address
        opened = socket.socket(family, kind, protocol)
        sockets.add(opened)
        return opened

    class Response(aiohttp.ClientResponse):
        async def start(self, connection: Any) -> aiohttp.ClientResponse:
            await super().start(connection)
            if self.url.query.get("watch") == "true":
                listen(self.url.path)
                self.content = cast(Any, _Ear(self.content, lambda: listen(self.url.path)))
            return self

    async def authorize(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        authorization = await asyncio.to_thread(credential.authorization)
        if authorization:
            request.headers["Authorization"] = authorization
        return await handler(request)

    access = credential.access
    verify: ssl.SSLContext | bool = access.ssl_context() if access.server.startswith("https") else True
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=verify, socket_factory=open_socket),
        response_class=Response,
        middlewares=(authorize,),
        proxy=access.proxy,
        headers={"User-Agent": "jetmill-operator"},
    ) as session:
        yield session


def _abandon(loop: asyncio.AbstractEventLoop, sockets: weakref.WeakSet[socket.socket]) -> None:
    """End a loop, whatever may still be in it: what does not heed its cancellation within a second is left behind.

    A connection that was being made when the session closed takes leave of the server, which may take its time.
    """

    async def close() -> None:
        for _ in range(_CLOSING_LOOKS):
            if all(one.fileno() == -1 for one in sockets):
                break
            await asyncio.sleep(0.01)

    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))
    loop.run_until_complete(close())
    loop.set_exception_handler(lambda *_: None)  # nobody has to hear of what was left
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


class _Ear:
    """A stream's content that says when bytes arrive: kopf keeps bookmarks to itself."""

    def __init__(self, content: aiohttp.StreamReader, heard: Callable[[], None]) -> None:
        self._content = content
        self._heard = heard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        async for data in self._content.iter_chunked(size):
            self._heard()
            yield data
