"""The port `Admin`: streams, consumers and settings, created or changed only where they differ."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import msgspec

from jetmill.bus.jetstream import wire
from jetmill.bus.jetstream.follow import Follow
from jetmill.bus.jetstream.layout import (
    FAR_FUTURE,
    Config,
    build_consumers,
    build_namespace,
    build_queue,
    find_changes,
)
from jetmill.bus.jetstream.link import Link
from jetmill.bus.jetstream.read import Reader, StoredMessage
from jetmill.errors import BusError, NotFoundError
from jetmill.protocol.codec import decode_settings, encode
from jetmill.protocol.record import JobSettings
from jetmill.protocol.subject import Subjects

_REMOVED = b"KV-Operation: DEL\r\n"
_BATCH = 1000
_APPLY_SECONDS = 15.0
_WATCH_RETRY_SECONDS = 2.0

OnChange = Callable[[str, JobSettings | None], None]


class _Info(msgspec.Struct):
    config: dict[str, Any]
    paused: bool = False


class JetStreamAdmin:
    """What the reconciler of one namespace does; clients and workers read settings by it."""

    def __init__(self, link: Link, subjects: Subjects, reader: Reader) -> None:
        self._link = link
        self._subjects = subjects
        self._reader = reader
        self._stream = f"KV_{subjects.jobs_bucket}"
        self._prefix = f"$KV.{subjects.jobs_bucket}."
        self._watchers: set[asyncio.Task[None]] = set()

    async def apply_namespace(self, *, replicas: int = 1) -> None:
        """See the port; BusError for a stream of that name that is not ours."""
        for config in build_namespace(self._subjects, replicas=replicas):
            await self._apply_stream(config)

    async def apply_job(self, settings: JobSettings, *, replicas: int = 1) -> None:
        """See the port; the settings come last, so that who sees them finds a queue."""
        await self._apply_stream(build_queue(self._subjects, settings.job, replicas=replicas))
        stream = self._subjects.queue_stream(settings.job)
        for config in build_consumers(self._subjects, settings):
            await self._apply_consumer(stream, config, suspend=settings.suspend)
        if await self.settings(settings.job) != settings:
            await self._ask(self._prefix + settings.job, encode(settings))

    async def remove_job(self, job: str) -> None:
        """See the port."""
        if await self.settings(job) is not None:
            frame = await self._link.request(self._prefix + job, b"", headers=_REMOVED)
            wire.raise_for_error(frame.payload, self._prefix + job)
        try:
            await self._ask(f"$JS.API.STREAM.DELETE.{self._subjects.queue_stream(job)}")
        except NotFoundError:
            return

    async def settings(self, job: str) -> JobSettings | None:
        """See the port."""
        message = await self._reader.get_last(self._stream, self._prefix + job)
        return None if message is None else _decode(message)

    async def all_settings(self) -> list[JobSettings]:
        """See the port."""
        found: list[JobSettings] = []
        start = 1
        while messages := await self._reader.direct_batch(
            self._stream, start_seq=start, subject_filter=f"{self._prefix}*", batch=_BATCH
        ):
            found += [settings for message in messages if (settings := _decode(message)) is not None]
            start = messages[-1].seq + 1
        return sorted(found, key=lambda settings: settings.job)

    async def watch_settings(self, on_change: OnChange) -> Callable[[], None]:
        """See the port; returns when every Job that is there was told."""
        follow = Follow(self._link, self._stream, [f"{self._prefix}*"])
        await follow.ready()
        told = asyncio.Event()
        if follow.caught_up:
            told.set()
        task = asyncio.create_task(self._watch(follow, on_change, told))
        self._watchers.add(task)
        task.add_done_callback(self._watchers.discard)
        await told.wait()

        def stop() -> None:
            task.cancel()

        return stop

    def close(self) -> None:
        """End every watch."""
        for task in tuple(self._watchers):
            task.cancel()

    async def _watch(self, follow: Follow, on_change: OnChange, told: asyncio.Event) -> None:
        while True:
            try:
                async for messages in follow:
                    for message in messages:
                        on_change(message.subject[len(self._prefix) :], _decode(message))
                    if follow.caught_up:
                        told.set()
            except BusError:  # the bucket went; it may come again
                await asyncio.sleep(_WATCH_RETRY_SECONDS * random.uniform(0.5, 1.0))
            follow = Follow(self._link, self._stream, [f"{self._prefix}*"], start_seq=follow.last_seq + 1)

    async def _apply_stream(self, wanted: Config) -> None:
        name = wanted["name"]
        try:
            there = await self._info(f"STREAM.INFO.{name}")
        except NotFoundError:
            await self._ask(f"$JS.API.STREAM.CREATE.{name}", msgspec.json.encode(wanted))
            return
        if not set(there.config.get("subjects") or []) & set(wanted["subjects"]):
            raise BusError(
                f"stream {name} is there and takes {there.config.get('subjects')}: it is not ours",
                cure="rename or remove it, or choose another prefix",
            )
        if find_changes(wanted, there.config):
            changed = {**there.config, **wanted}
            await self._ask(f"$JS.API.STREAM.UPDATE.{name}", msgspec.json.encode(changed))

    async def _apply_consumer(self, stream: str, wanted: Config, *, suspend: bool) -> None:
        name = wanted["name"]
        try:
            there = await self._info(f"CONSUMER.INFO.{stream}.{name}")
        except NotFoundError:
            there = _Info({})
        if find_changes(wanted, there.config):
            config = {**there.config, **wanted}
            config.pop("pause_until", None)
            if suspend:
                config["pause_until"] = FAR_FUTURE
            request = {"stream_name": stream, "config": config}
            await self._ask(
                f"$JS.API.CONSUMER.CREATE.{stream}.{name}.{wanted['filter_subject']}", msgspec.json.encode(request)
            )
        if suspend != there.paused:
            until = {"pause_until": FAR_FUTURE} if suspend else {}
            await self._ask(f"$JS.API.CONSUMER.PAUSE.{stream}.{name}", msgspec.json.encode(until))

    async def _info(self, method: str) -> _Info:
        try:
            return msgspec.json.decode(await self._ask(f"$JS.API.{method}"), type=_Info)
        except msgspec.MsgspecError as err:
            raise BusError(f"{method}: an answer of another shape") from err

    async def _ask(self, subject: str, payload: bytes = b"") -> bytes:
        frame = await self._link.request(subject, payload, timeout_seconds=_APPLY_SECONDS)
        wire.raise_for_error(frame.payload, subject)
        return frame.payload


def _decode(message: StoredMessage) -> JobSettings | None:
    return None if message.header("KV-Operation") is not None else decode_settings(message.payload)
