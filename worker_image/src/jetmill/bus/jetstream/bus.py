"""The JetStream Bus: every port of a namespace over a link, which a trunk shares among many namespaces."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time

from jetmill.bus.connect import BusOptions
from jetmill.bus.jetstream.admin import JetStreamAdmin
from jetmill.bus.jetstream.event import JetStreamEvents
from jetmill.bus.jetstream.extra import load_extras
from jetmill.bus.jetstream.ledger import JetStreamLedger
from jetmill.bus.jetstream.link import Link, LinkOptions
from jetmill.bus.jetstream.message import JetStreamMessages
from jetmill.bus.jetstream.note import JetStreamNotes
from jetmill.bus.jetstream.payload import JetStreamPayloads
from jetmill.bus.jetstream.presence import JetStreamPresence
from jetmill.bus.jetstream.queue import JetStreamQueue
from jetmill.bus.jetstream.read import Reader
from jetmill.bus.jetstream.signal import JetStreamSignals
from jetmill.bus.jetstream.subscription import JetStreamSubscriptions
from jetmill.bus.ports import Bus
from jetmill.errors import BusError, ConfigError
from jetmill.protocol.name import parse_label
from jetmill.protocol.subject import Subjects

_CLOCK_SECONDS = 30.0
_BACKLOG = 4000
_CLOSE_SECONDS = 2.0
_CONNECT_SECONDS = 4.0


class JetStreamLink:
    """The port `Link`, for the ports of one namespace; `trunk` is told when it is closed."""

    threaded = True

    def __init__(
        self,
        trunk: JetStreamTrunk,
        *,
        ledger: JetStreamLedger,
        queue: JetStreamQueue,
        events: JetStreamEvents,
        admin: JetStreamAdmin,
    ) -> None:
        self._trunk = trunk
        self._ledger = ledger
        self._queue = queue
        self._events = events
        self._admin = admin

    @property
    def connected(self) -> bool:
        """See the port."""
        return self._trunk.connected

    @property
    def connected_seconds(self) -> float:
        """See the port."""
        return self._trunk.connected_seconds

    def now(self) -> int:
        """See the port."""
        return self._trunk.link.now_us()

    async def room(self) -> None:
        """See the port: the answers that are awaited count as well."""
        await self._ledger.appender.room(_BACKLOG)
        await self._queue.room(_BACKLOG)
        await self._trunk.link.room()

    async def flush(self) -> None:
        """See the port."""
        await self._trunk.link.flush()

    async def close(self) -> None:
        """See the port; answers under way are given, as far as they come within two seconds."""
        self._admin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._ledger.appender.room(1)
                await self._queue.room(1)
                await self._events.appender.room(1)
        self._ledger.appender.close()
        self._queue.close()
        self._events.appender.close()
        await self._trunk.forget(self)


class JetStreamTrunk:
    """The port `Trunk`: one link, and what is shared over it."""

    def __init__(self, link: Link, *, prefix: str, only_one: bool = False) -> None:
        self.link = link
        self._prefix = prefix
        self._only_one = only_one
        self._reader = Reader(link)
        self._links: list[JetStreamLink] = []
        self._clock = asyncio.create_task(self._keep_time())

    @property
    def connected(self) -> bool:
        """See the port."""
        return self.link.connected

    @property
    def connected_seconds(self) -> float:
        """See the port."""
        since = self.link.connected_since
        return 0.0 if since is None else time.monotonic() - since

    def open(self, namespace: str) -> Bus:
        """See the port."""
        subjects = Subjects(namespace, prefix=self._prefix)
        link, reader = self.link, self._reader
        ledger = JetStreamLedger(link, subjects, reader)
        queue = JetStreamQueue(link, subjects, reader)
        events = JetStreamEvents(link, subjects, reader)
        admin = JetStreamAdmin(link, subjects, reader)
        port = JetStreamLink(self, ledger=ledger, queue=queue, events=events, admin=admin)
        self._links.append(port)
        return Bus(
            subjects=subjects,
            ledger=ledger,
            queue=queue,
            admin=admin,
            presence=JetStreamPresence(link, subjects, reader),
            payloads=JetStreamPayloads(link, subjects, reader),
            signals=JetStreamSignals(link, subjects),
            events=events,
            subscriptions=JetStreamSubscriptions(link, subjects, self._reader, events.appender),
            messages=JetStreamMessages(link, subjects),
            notes=JetStreamNotes(link, subjects, reader),
            link=port,
        )

    async def forget(self, port: JetStreamLink) -> None:
        """A Bus has closed; where it was the only one the connection goes with it."""
        if port in self._links:
            self._links.remove(port)
        if self._only_one:
            await self._leave()

    async def close(self) -> None:
        """See the port."""
        await asyncio.gather(*(port.close() for port in tuple(self._links)))
        await self._leave()

    async def _leave(self) -> None:
        self._clock.cancel()
        await self.link.close()

    async def _keep_time(self) -> None:
        """Clocks drift: measure the server's again now and then."""
        while True:
            await asyncio.sleep(_CLOCK_SECONDS)
            with contextlib.suppress(BusError):
                await self.link.sync_clock()


async def connect_jetstream(options: BusOptions) -> Bus:
    """Connect; BusError that names the URL if that fails for four seconds. Later it reconnects for ever."""
    Subjects(options.namespace, prefix=options.prefix)  # a name that cannot be is refused before anything connects
    load_extras(options)
    link = await Link.connect(_link_options(options))
    return JetStreamTrunk(link, prefix=options.prefix, only_one=True).open(options.namespace)


async def connect_jetstream_trunk(options: BusOptions) -> JetStreamTrunk:
    """Connect for many namespaces; as `connect_jetstream`."""
    parse_label(options.prefix, field="prefix")
    load_extras(options)
    return JetStreamTrunk(await Link.connect(_link_options(options)), prefix=options.prefix)


def _link_options(options: BusOptions) -> LinkOptions:
    return LinkOptions(
        url=options.url,
        connect_timeout_seconds=_CONNECT_SECONDS,
        name=options.name,
        credentials=options.credentials,
        nkey_seed=options.nkey_seed,
        user=options.user,
        password=options.password,
        token=options.token,
        tls=_tls(options),
        inbox_prefix=options.inbox_prefix,
    )


def _tls(options: BusOptions) -> ssl.SSLContext | None:
    if options.tls_ca is None:
        return None
    try:
        return ssl.create_default_context(cafile=options.tls_ca)
    except OSError as err:
        raise ConfigError(f"{options.tls_ca}: no CA bundle can be read there: {err}") from err
