"""The JetStream Bus: every port over one link to one namespace."""

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
from jetmill.bus.jetstream.payload import JetStreamPayloads
from jetmill.bus.jetstream.presence import JetStreamPresence
from jetmill.bus.jetstream.queue import JetStreamQueue
from jetmill.bus.jetstream.read import Reader
from jetmill.bus.jetstream.signal import JetStreamSignals
from jetmill.bus.ports import Bus
from jetmill.errors import BusError, ConfigError
from jetmill.protocol.subject import Subjects

_CLOCK_SECONDS = 30.0
_BACKLOG = 4000
_CLOSE_SECONDS = 2.0
_CONNECT_SECONDS = 4.0


class JetStreamLink:
    """The port `Link`."""

    threaded = True

    def __init__(
        self,
        link: Link,
        *,
        ledger: JetStreamLedger,
        queue: JetStreamQueue,
        events: JetStreamEvents,
        admin: JetStreamAdmin,
    ) -> None:
        self._link = link
        self._ledger = ledger
        self._queue = queue
        self._events = events
        self._admin = admin
        self._clock = asyncio.create_task(self._keep_time())

    @property
    def connected(self) -> bool:
        """See the port."""
        return self._link.connected

    @property
    def connected_seconds(self) -> float:
        """See the port."""
        since = self._link.connected_since
        return 0.0 if since is None else time.monotonic() - since

    def now(self) -> int:
        """See the port."""
        return self._link.now_us()

    async def room(self) -> None:
        """See the port: the answers that are awaited count as well."""
        await self._ledger.appender.room(_BACKLOG)
        await self._queue.room(_BACKLOG)
        await self._link.room()

    async def close(self) -> None:
        """See the port; answers under way are given, as far as they come within two seconds."""
        self._clock.cancel()
        self._admin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._ledger.appender.room(1)
                await self._queue.room(1)
                await self._events.appender.room(1)
        await self._link.close()

    async def _keep_time(self) -> None:
        """Clocks drift: measure the server's again now and then."""
        while True:
            await asyncio.sleep(_CLOCK_SECONDS)
            with contextlib.suppress(BusError):
                await self._link.sync_clock()


async def connect_jetstream(options: BusOptions) -> Bus:
    """Connect; BusError that names the URL if that fails for four seconds. Later it reconnects for ever."""
    subjects = Subjects(options.namespace, prefix=options.prefix)
    load_extras(options)
    link = await Link.connect(_link_options(options))
    reader = Reader(link)
    ledger = JetStreamLedger(link, subjects, reader)
    queue = JetStreamQueue(link, subjects, reader)
    events = JetStreamEvents(link, subjects, reader)
    admin = JetStreamAdmin(link, subjects, reader)
    return Bus(
        subjects=subjects,
        ledger=ledger,
        queue=queue,
        admin=admin,
        presence=JetStreamPresence(link, subjects, reader),
        payloads=JetStreamPayloads(link, subjects, reader),
        signals=JetStreamSignals(link, subjects),
        events=events,
        link=JetStreamLink(link, ledger=ledger, queue=queue, events=events, admin=admin),
    )


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
