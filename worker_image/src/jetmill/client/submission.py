"""From a call to what the ledger accepts: options, filters, the Job's rules, large payloads to the object store.

One call and ten thousand go the same way; only what must wait (a large payload, a filter that is a coroutine) waits.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

from jetmill.bus.ports import Bus
from jetmill.client.binding import encode_payload, parse_payload
from jetmill.client.catalog import Catalog
from jetmill.client.concurrency import build_key_gate
from jetmill.client.filter import Creation, Filter, global_filters
from jetmill.client.option import CallKeywords, CallOptions
from jetmill.errors import JetmillError
from jetmill.ledger.submit import WINDOW, Bulk, Submission, Submitted, submit
from jetmill.protocol.codec import INLINE_BYTES
from jetmill.protocol.identity import make_id
from jetmill.protocol.record import Call, PayloadRef

if TYPE_CHECKING:
    from jetmill.client.declaration import JobHandler, Registry

Payload = Mapping[str, Any] | bytes | None
_NO_CALL = Call()
_NO_OPTIONS = CallOptions()


@dataclass(frozen=True, slots=True, init=False)
class Item:
    """One of many calls, with options of its own: `Item({"to": "a"}, id="x", delay=60)`."""

    payload: Payload
    options: CallOptions | None

    def __init__(self, payload: Payload = None, **options: Unpack[CallKeywords]) -> None:
        object.__setattr__(self, "payload", payload)
        object.__setattr__(self, "options", CallOptions().updated(**options) if options else None)


@dataclass(frozen=True, slots=True)
class Target:
    """The Job that is called: its name, and its handler if this process has it."""

    name: str
    handler: JobHandler[..., Any] | None

    def encode(self, payload: Payload) -> bytes:
        """Encode a payload by the handler's signature, or as it is; InvalidPayloadError names the field."""
        if isinstance(payload, bytes):
            return parse_payload(payload)
        if self.handler is not None and (payload is None or isinstance(payload, Mapping)):
            return self.handler.binding.encode((), payload or {})
        return encode_payload(payload)

    def filters(self) -> tuple[Filter, ...]:
        """Those of every job, then those of this one."""
        own = self.handler.declared.filters if self.handler is not None else ()
        return global_filters() + own


def find_target(job: str | JobHandler[..., Any], registry: Registry) -> Target:
    """The Job that is meant by a handler or by a name."""
    if isinstance(job, str):
        return Target(job, registry.get(job))
    return Target(job.name, job)


class Submitter:
    """Enqueues for one client."""

    def __init__(self, bus: Bus, catalog: Catalog, *, by: str) -> None:
        self._bus = bus
        self._catalog = catalog
        self._by = by

    async def submit(self, target: Target, payload: bytes, options: CallOptions) -> Submitted:
        """Enqueue one encoded payload."""
        draft = await self._draft(target, payload, options)
        submitted = await submit(self._bus, draft, by=self._by)
        await self._tidy(draft, submitted)
        self._bus.signals.wake(target.name)
        return submitted

    async def submit_many(
        self, target: Target, items: Iterable[Payload | Item], options: CallOptions
    ) -> list[Submitted | JetmillError]:
        """Enqueue many; one answer or error for each, in order.

        They are made ready by the window, while NATS works on the one before; all of them before the first is sent
        where a filter, which may raise anything, looks at them.
        """
        calls = list(items)
        step = max(1, len(calls)) if target.filters() else WINDOW
        bulk = Bulk(self._bus, by=self._by)
        large: list[tuple[int, Submission]] = []
        for start in range(0, len(calls), step):
            drafts = await self._draft_many(target, calls[start : start + step], options)
            for index, draft in enumerate(drafts, start):
                if isinstance(draft, Submission) and draft.payload_ref is not None:
                    large.append((index, draft))
            for first in range(0, len(drafts), WINDOW):
                await bulk.add(drafts[first : first + WINDOW])
        results = await bulk.finish()
        for index, draft in large:
            answer = results[index]
            if isinstance(answer, Submitted):
                await self._tidy(draft, answer)
        if any(isinstance(answer, Submitted) for answer in results):
            self._bus.signals.wake(target.name)
        return results

    async def _draft_many(
        self, target: Target, items: Iterable[Payload | Item], options: CallOptions
    ) -> list[Submission | JetmillError]:
        rules = await self._catalog.rules(target.name)
        plain = options == _NO_OPTIONS and not target.filters() and target.handler is None
        drafts: list[Submission | JetmillError] = []
        trace = current_trace()
        for item in items:
            own = options
            payload = item
            if isinstance(item, Item):
                own, payload = item.options or options, item.payload
            try:
                data = target.encode(payload)  # type: ignore[arg-type]
                if plain and own is options and trace is None and len(data) <= INLINE_BYTES:
                    rules.check(data)
                    drafts.append(Submission(job=target.name, payload=data))
                else:
                    drafts.append(await self._draft(target, data, own, trace=trace))
            except JetmillError as err:
                drafts.append(err)
        return drafts

    async def _draft(
        self, target: Target, payload: bytes, options: CallOptions, *, trace: str | None = None
    ) -> Submission:
        filters = target.filters()
        if filters:
            creation = Creation(job=target.name, payload=payload, options=options)
            await run_filters(filters, creation)
            payload, options = creation.payload, creation.options
        rules = await self._catalog.rules(target.name)
        rules.check(payload)
        now = self._bus.link.now()
        declared = target.handler.declared if target.handler is not None else None
        labels = declared.labels if declared is not None else None
        trace = trace or current_trace()
        call = (
            _NO_CALL
            if options == _NO_OPTIONS and not labels and trace is None
            else options.call(now, trace=trace, labels=labels)
        )
        job_id = options.id
        ref = None
        if len(payload) > INLINE_BYTES:
            job_id = job_id or make_id(now // 1000, random.getrandbits(80))
            ref = await self._store(job_id, payload)
        return Submission(
            job=target.name,
            payload=b"{}" if ref else payload,
            payload_ref=ref,
            id=job_id,
            band=options.priority or (declared.priority if declared is not None else "normal"),
            due=options.due(now),
            call=call,
            gate=build_key_gate(options.concurrency_key, options.concurrency_policy),
        )

    async def _store(self, job_id: str, payload: bytes) -> PayloadRef:
        """Put a large payload where the worker fetches it; the hash in its name keeps others' whole."""
        digest = hashlib.sha256(payload).hexdigest()
        name = f"{job_id}.payload.{digest[:16]}"
        await self._bus.payloads.put(name, payload)
        return PayloadRef(name=name, bytes=len(payload), sha256=digest)

    async def _tidy(self, draft: Submission, submitted: Submitted) -> None:
        """Remove a payload that nobody points to: the id was another enqueueing's already."""
        if submitted.created or draft.payload_ref is None:
            return
        chain = await self._bus.ledger.read_chain(submitted.id)
        names = {entry.record.payload_ref.name for entry in chain if entry.record.payload_ref is not None}
        if draft.payload_ref.name not in names:
            await self._bus.payloads.remove(draft.payload_ref.name)


async def run_filters(filters: Iterable[Filter], creation: Creation) -> None:
    """Let the filters look at a job that is about to be enqueued; one that raises refuses it."""
    for one in filters:
        waiting = one.on_creating(creation)
        if waiting is not None:
            await waiting


def current_trace() -> str | None:
    """The W3C `traceparent` of the caller's span, if the application traces with OpenTelemetry."""
    telemetry = sys.modules.get("opentelemetry.trace")
    if telemetry is None:
        return None
    context = telemetry.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
