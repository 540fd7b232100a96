"""The Jobs that are declared, as a client knows them: watched, so that an enqueue reads nothing.

On the memory bus there is no reconciler, so there the client declares from the decorators what it enqueues.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from jetmill.bus.ports import Admin
from jetmill.errors import (
    ConfigError,
    InvalidPayloadError,
    NotFoundError,
    PayloadTooLargeError,
    UnknownJobError,
)
from jetmill.protocol.name import parse_job_name
from jetmill.protocol.record import JobSettings

if TYPE_CHECKING:
    from jetmill.client.declaration import Registry


class PayloadRules:
    """What a Job's manifest demands of payloads."""

    def __init__(self, settings: JobSettings) -> None:
        self.settings = settings
        self._max_bytes = settings.payload_max_bytes
        self._validator = _build_validator(settings)

    def check(self, payload: bytes) -> None:
        """Raise PayloadTooLargeError or InvalidPayloadError for an encoded payload that the Job refuses."""
        if len(payload) > self._max_bytes:
            raise PayloadTooLargeError(
                f"a payload of {len(payload)} bytes for {self.settings.job}",
                field="payload",
                cure=f"its payload.maxBytes is {self._max_bytes}; pass a reference to what is large",
            )
        if self._validator is not None:
            self._check_schema(payload)

    def _check_schema(self, payload: bytes) -> None:
        assert self._validator is not None
        fault = next(iter(self._validator.iter_errors(msgspec.json.decode(payload))), None)
        if fault is not None:
            field = ".".join(str(part) for part in fault.instance_path)
            raise InvalidPayloadError(
                f"{self.settings.job}: {field or 'payload'}: {fault.message}",
                field=field,
                cure="the Job's payload.schema says what fits",
            )


def _build_validator(settings: JobSettings) -> Any:
    if settings.payload_schema is None:
        return None
    schema = msgspec.json.decode(settings.payload_schema)
    if not schema:
        return None
    import jsonschema_rs

    try:
        return jsonschema_rs.validator_for(schema, mask="the value", retriever=_fetch_nothing)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as err:
        raise ConfigError(f"{settings.job}: payload.schema is no JSON schema: {err}") from err


def _fetch_nothing(uri: str) -> Any:
    """Keep a Job's schema from making its clients ask addresses or read files of its choice."""
    raise ValueError(f"{uri} is not fetched: write it below $defs")


class Catalog:
    """The settings of every Job of a namespace, kept fresh."""

    def __init__(self, admin: Admin, *, registry: Registry, namespace: str, declares: bool) -> None:
        self._admin = admin
        self._registry = registry
        self._namespace = namespace
        self._declares = declares
        self._settings: dict[str, JobSettings] = {}
        self._rules: dict[str, PayloadRules] = {}
        self._stop: Callable[[], None] | None = None
        self._lock = asyncio.Lock()

    async def rules(self, job: str) -> PayloadRules:
        """What a Job demands; UnknownJobError with the names that are known."""
        rules = self._rules.get(job)
        if rules is None:
            settings = await self._find(parse_job_name(job))
            rules = self._rules[job] = PayloadRules(settings)
        return rules

    async def all(self) -> list[JobSettings]:
        """The settings of every Job, by name."""
        try:
            return await self._admin.all_settings()
        except NotFoundError:
            return []

    def close(self) -> None:
        """Watch no more."""
        if self._stop is not None:
            self._stop()
            self._stop = None

    async def _find(self, job: str) -> JobSettings:
        async with self._lock:
            await self._watch()
            settings = self._settings.get(job) or await self._read(job)
            if settings is None and self._declares:
                settings = await self._declare(job)
            if settings is None:
                raise await self._unknown(job)
            if self._stop is not None:
                self._settings[job] = settings
            return settings

    async def _watch(self) -> None:
        if self._stop is None:
            if self._declares:
                await self._admin.apply_namespace()
            try:
                self._stop = await self._admin.watch_settings(self._on_change)
            except NotFoundError:
                return  # nothing is declared in this namespace yet; the next call looks again

    def _on_change(self, job: str, settings: JobSettings | None) -> None:
        self._rules.pop(job, None)
        if settings is None:
            self._settings.pop(job, None)
        else:
            self._settings[job] = settings

    async def _read(self, job: str) -> JobSettings | None:
        try:
            return await self._admin.settings(job)
        except NotFoundError:
            return None

    async def _declare(self, job: str) -> JobSettings | None:
        handler = self._registry.get(job)
        if handler is None:
            return None
        settings = handler.settings()
        await self._admin.apply_job(settings)
        return settings

    async def _unknown(self, job: str) -> UnknownJobError:
        known = {settings.job for settings in await self.all()}
        if self._declares:
            known |= set(self._registry.names())
        named = ", ".join(sorted(known)) or "none"
        cure = "declare it with @job" if self._declares else "apply its manifest (kind: Job), or see `jetmill dev`"
        return UnknownJobError(f"no Job {job!r} in namespace {self._namespace}; known: {named}", field="job", cure=cure)
