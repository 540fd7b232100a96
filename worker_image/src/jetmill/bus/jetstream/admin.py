"""The port `Admin`: streams, consumers and settings, created or changed only where they differ."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from msgspec import UNSET, UnsetType

from jetmill.bus.jetstream import wire
from jetmill.bus.jetstream.follow import Follow
from jetmill.bus.jetstream.layout import (
    FAR_FUTURE,
    Config,
    build_consumers,
    build_namespace,
    build_queue,
    find_changes,
    find_obstacle,
)
from jetmill.bus.jetstream.link import Link
from jetmill.bus.jetstream.read import Reader, StoredMessage
from jetmill.bus.ports import Change
from jetmill.errors import BusError, CodecError, NotFoundError, ObstacleError, RefusedError
from jetmill.protocol.codec import decode_settings, encode
from jetmill.protocol.record import JobSettings
from jetmill.protocol.subject import Subjects

_REMOVED = b"KV-Operation: DEL\r\n"
_FOLLOWS = b"Nats-Expected-Last-Subject-Sequence: %d\r\n"
_APPLY_SECONDS = 15.0
_WATCH_RETRY_SECONDS = 2.0
_SUBJECTS_TAKEN = 10065

log = structlog.get_logger(__name__)

OnChange = Callable[[str, JobSettings | None], None]


class _Info(msgspec.Struct):
    config: dict[str, Any]
    paused: bool = False


class _Owned(msgspec.Struct):
    uid: str = ""


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
        """See the port."""
        for config in build_namespace(self._subjects, replicas=replicas):
            await self._apply_stream(config)

    async def apply_job(
        self, settings: JobSettings, *, replicas: int = 1, before: JobSettings | UnsetType | None = UNSET
    ) -> None:
        """See the port; the settings come last, so that who sees them finds a queue."""
        key, data = self._prefix + settings.job, encode(settings)
        there = await self._reader.get_last(self._stream, key)
        if before is not UNSET and (there is None or there.payload != data):
            _need_unmoved(there, before, settings.job)
        await self._apply_stream(build_queue(self._subjects, settings.job, replicas=replicas))
        stream = self._subjects.queue_stream(settings.job)
        for config in build_consumers(self._subjects, settings):
            await self._apply_consumer(stream, config, suspend=settings.suspend)
        if there is None or there.payload != data:
            await self._ask(key, data, headers=_FOLLOWS % (there.seq if there else 0))

    async def inspect_namespace(self, *, replicas: int = 1) -> list[Change]:
        """See the port."""
        found = [await self._inspect_stream(config) for config in build_namespace(self._subjects, replicas=replicas)]
        return [change for change in found if change is not None]

    async def inspect_job(self, settings: JobSettings, *, replicas: int = 1) -> list[Change]:
        """See the port."""
        job, stream = settings.job, self._subjects.queue_stream(settings.job)
        found = [await self._inspect_stream(build_queue(self._subjects, job, replicas=replicas))]
        for config in build_consumers(self._subjects, settings):
            there = await self._find_consumer(stream, config["name"])
            fields = (*find_changes(config, there.config), *(["paused"] if there.paused != settings.suspend else []))
            if fields:
                found.append(Change(f"consumer {config['name']} of {stream}", fields if there.config else ()))
        try:
            message = await self._reader.get_last(self._stream, self._prefix + job)
        except NotFoundError:  # the whole namespace is yet to be applied
            message = None
        if message is None or _is_removed(message):
            found.append(Change(f"settings of {job}"))
        elif message.payload != encode(settings):
            found.append(Change(f"settings of {job}", _compare(message, settings)))
        return [change for change in found if change is not None]

    async def remove_job(self, job: str, *, uid: str | None = None) -> None:
        """See the port."""
        wanted = build_queue(self._subjects, job, replicas=1)
        method, key = f"STREAM.INFO.{wanted['name']}", self._prefix + job
        with contextlib.suppress(NotFoundError):
            _need_ours(wanted, (await self._info(method)).config)
        there = await self._reader.get_last(self._stream, key)
        if there is not None and not _is_removed(there):
            if uid is not None:
                _need_owned(there, uid, job)
            await self._ask(key, headers=_REMOVED + _FOLLOWS % there.seq)
        with contextlib.suppress(NotFoundError):
            await self._ask(f"$JS.API.STREAM.DELETE.{wanted['name']}")

    async def settings(self, job: str) -> JobSettings | None:
        """See the port."""
        message = await self._reader.get_last(self._stream, self._prefix + job)
        return None if message is None else _decode(message)

    async def all_settings(self) -> list[JobSettings]:
        """See the port."""
        found = [_decode(message) for message in await self._read_all()]
        return sorted((settings for settings in found if settings is not None), key=lambda settings: settings.job)

    async def watch_settings(self, on_change: OnChange) -> Callable[[], None]:
        """See the port; returns when every Job that is there was told. What cannot be read is logged and left out."""
        last = await self._reader.last_seq(self._stream)
        follow = Follow(self._link, self._stream, [f"{self._prefix}*"], start_seq=last + 1)
        await follow.ready()
        try:
            for message in await self._read_all():
                if not _is_removed(message):
                    self._tell(message, on_change)
        except BaseException:
            await follow.close()
            raise
        task = asyncio.create_task(self._watch(follow, on_change))
        self._watchers.add(task)
        task.add_done_callback(self._watchers.discard)

        def stop() -> None:
            task.cancel()

        return stop

    def close(self) -> None:
        """End every watch."""
        for task in tuple(self._watchers):
            task.cancel()

    async def _read_all(self) -> list[StoredMessage]:
        """The last message of every key, from the leader: a replica that lags would leave out a new Job."""
        keys = await self._reader.subjects(self._stream, f"{self._prefix}*")
        found = await asyncio.gather(*(self._reader.get_last(self._stream, key) for key in sorted(keys)))
        return [message for message in found if message is not None]

    async def _watch(self, follow: Follow, on_change: OnChange) -> None:
        while True:
            try:
                async for messages in follow:
                    for message in messages:
                        self._tell_safely(message, on_change)
            except BusError as err:  # the bucket went, or the right to see it; either may come again
                log.warning("settings_watch_interrupted", error=str(err))
            await asyncio.sleep(_WATCH_RETRY_SECONDS * random.uniform(0.5, 1.0))
            follow = Follow(self._link, self._stream, [f"{self._prefix}*"], start_seq=follow.last_seq + 1)

    def _tell(self, message: StoredMessage, on_change: OnChange) -> None:
        job = message.subject[len(self._prefix) :]
        try:
            settings = _decode(message)
        except CodecError as err:
            log.error("settings_unreadable", job=job, error=str(err))
            return
        on_change(job, settings)

    def _tell_safely(self, message: StoredMessage, on_change: OnChange) -> None:
        try:
            self._tell(message, on_change)
        except Exception as err:  # noqa: BLE001 - one listener's fault must not end the watch; the loop reports it
            context = {"message": "a callback for changed settings failed", "exception": err}
            asyncio.get_running_loop().call_exception_handler(context)

    async def _inspect_stream(self, wanted: Config) -> Change | None:
        try:
            there = await self._info(f"STREAM.INFO.{wanted['name']}")
        except NotFoundError:
            return Change(f"stream {wanted['name']}")
        _need_ours(wanted, there.config)
        changes = find_changes(wanted, there.config)
        return Change(f"stream {wanted['name']}", tuple(changes)) if changes else None

    async def _apply_stream(self, wanted: Config) -> None:
        name = wanted["name"]
        try:
            there = await self._info(f"STREAM.INFO.{name}")
        except NotFoundError:
            await self._create_stream(wanted)
            return
        _need_ours(wanted, there.config)
        changes = find_changes(wanted, there.config)
        if changes:
            await self._ask(f"$JS.API.STREAM.UPDATE.{name}", msgspec.json.encode({**there.config, **changes}))

    async def _create_stream(self, wanted: Config) -> None:
        name = wanted["name"]
        try:
            await self._ask(f"$JS.API.STREAM.CREATE.{name}", msgspec.json.encode(wanted))
        except BusError as err:
            if err.code != _SUBJECTS_TAKEN:
                raise
            cure = "find it with `nats stream ls --subjects`, and rename or remove it, or choose another prefix"
            raise ObstacleError(f"stream {name} cannot be made: {err.message}", code=err.code, cure=cure) from err

    async def _find_consumer(self, stream: str, name: str) -> _Info:
        """What there is; without a config: nothing."""
        try:
            return await self._info(f"CONSUMER.INFO.{stream}.{name}")
        except NotFoundError:
            return _Info({})

    async def _apply_consumer(self, stream: str, wanted: Config, *, suspend: bool) -> None:
        name = wanted["name"]
        there = await self._find_consumer(stream, name)
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

    async def _ask(self, subject: str, payload: bytes = b"", *, headers: bytes | None = None) -> bytes:
        frame = await self._link.request(subject, payload, headers=headers, timeout_seconds=_APPLY_SECONDS)
        wire.raise_for_error(frame.payload, subject)
        return frame.payload


def _is_removed(message: StoredMessage) -> bool:
    return message.header("KV-Operation") is not None


def _decode(message: StoredMessage) -> JobSettings | None:
    return None if _is_removed(message) else decode_settings(message.payload)


def _need_ours(wanted: Config, there: Config) -> None:
    obstacle = find_obstacle(wanted, there)
    if obstacle is not None:
        raise ObstacleError(f"stream {wanted['name']} {obstacle[0]}", cure=obstacle[1])


def _need_unmoved(there: StoredMessage | None, before: JobSettings | None, job: str) -> None:
    """Refuse where other settings stand than the caller saw; what cannot be read, it cannot have seen."""
    try:
        now = None if there is None else _decode(there)
    except CodecError as err:
        raise RefusedError(f"settings of {job} cannot be read: {err.message}", cure=err.cure) from err
    if (None if now is None else encode(now)) != (None if before is None else encode(before)):
        raise RefusedError(f"settings of {job} have changed", cure="read them again, then decide again")


def _need_owned(there: StoredMessage, uid: str, job: str) -> None:
    try:
        owner = msgspec.json.decode(there.payload, type=_Owned).uid
    except msgspec.MsgspecError:  # nobody's: whoever wants to may tidy it up
        owner = ""
    if owner not in ("", uid):
        raise RefusedError(f"settings of {job} are of another object ({owner})", cure="leave them to their owner")


def _compare(message: StoredMessage, settings: JobSettings) -> tuple[str, ...]:
    """The fields of settings that differ; all that is said of unreadable ones is that they are."""
    try:
        there = decode_settings(message.payload)
    except CodecError:
        return ("unreadable",)
    fields = tuple(name for name in settings.__struct_fields__ if getattr(there, name) != getattr(settings, name))
    return fields or ("encoding",)
