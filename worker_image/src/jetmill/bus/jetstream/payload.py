"""The port `Payloads` on an object store; nats-py's own client does the chunks and the digests."""

from __future__ import annotations

from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from nats.js.errors import BucketNotFoundError, ObjectNotFoundError
from nats.js.errors import NotFoundError as NatsNotFoundError
from nats.js.object_store import ObjectStore

from jetmill.bus.jetstream.link import Link
from jetmill.errors import BusError, DisconnectedError, NoAnswerError, NotFoundError
from jetmill.protocol.subject import Subjects

_MISSING = (ObjectNotFoundError, BucketNotFoundError, NatsNotFoundError)


class JetStreamPayloads:
    """Large payloads and results of one namespace."""

    def __init__(self, link: Link, subjects: Subjects) -> None:
        self._link = link
        self._bucket = subjects.payloads_bucket
        self._js: JetStreamContext = link.client.jetstream()
        self._found: ObjectStore | None = None

    async def put(self, name: str, data: bytes) -> None:
        """See the port."""
        try:
            await (await self._store()).put(name, data)
        except (NatsError, OSError) as err:
            raise self._translate(err, name) from err

    async def get(self, name: str) -> bytes:
        """See the port."""
        try:
            data = (await (await self._store()).get(name)).data
        except (NatsError, OSError) as err:
            raise self._translate(err, name) from err
        return data or b""

    async def remove(self, name: str) -> None:
        """See the port."""
        try:
            await (await self._store()).delete(name)
        except _MISSING:
            return
        except (NatsError, OSError) as err:
            raise self._translate(err, name) from err

    async def _store(self) -> ObjectStore:
        if not self._link.connected:
            raise DisconnectedError(f"{self._bucket}: not connected to {self._link.options.url}")
        if self._found is None:
            self._found = await self._js.object_store(self._bucket)
        return self._found

    def _translate(self, err: Exception, name: str) -> BusError:
        where = f"object {name} in {self._bucket}"
        if isinstance(err, _MISSING):
            return NotFoundError(f"{where}: not there")
        if isinstance(err, NatsTimeoutError | NoRespondersError | OSError):
            return NoAnswerError(f"{where}: no answer")
        return BusError(f"{where}: {err}")
