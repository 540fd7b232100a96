"""One Webhook: the queue of its deliveries and their settings, its status, its end.

```
 get Webhook ─▶ gone: forget it · being deleted: cancel what waits, remove the queue, let it go
    │          refused by its model, or a filter that is no expression: Stalled, what was in force stays
    ▼
 finalizer ─▶ streams, consumers, settings ─▶ who serves it, how it fares, what waits ─▶ status
```

A delivery is a job (ADR 14), so its queue is made as a Job's is; the dispatchers serve it by the settings alone. What
they say of its endpoint is looked at every ten seconds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import structlog
from msgspec import UnsetType
from pydantic import ValidationError

from jetmill.errors import BusError, CodecError, NotFoundError, ObstacleError, RefusedError
from jetmill.protocol.delivery import EndpointState, decode_endpoint, name_note
from jetmill.protocol.name import name_deliveries
from jetmill.protocol.record import JobSettings
from jetmill_operator.api.refusal import list_refusals
from jetmill_operator.api.webhook import Webhook
from jetmill_operator.cluster.errors import AbsentError, ConflictError, ForbiddenError
from jetmill_operator.cluster.ports import WEBHOOK, Body, Cluster, Key
from jetmill_operator.dispatch.expression import ExpressionError, compile_expression
from jetmill_operator.policy.condition import Backlog
from jetmill_operator.policy.reason import Reason
from jetmill_operator.policy.webhook import WebhookView, build_webhook_status
from jetmill_operator.policy.worker import Problem
from jetmill_operator.reconcile.board import COUNTERS_SECONDS
from jetmill_operator.reconcile.bus import Buses
from jetmill_operator.reconcile.deletion import BLOCKED_SECONDS, LOOK_SECONDS, MARGIN_SECONDS, Left, cancel_jobs
from jetmill_operator.reconcile.job import explain_bus_error
from jetmill_operator.reconcile.moment import SYSTEM, Clock, parse_time
from jetmill_operator.reconcile.queue import Again
from jetmill_operator.reconcile.status import StatusWriter
from jetmill_operator.resources.label import FINALIZER, RELEASE

SOON_SECONDS = 0.5
EAGER_SECONDS = 30.0
"""For so long after it was created or changed, a dispatcher is looked for twice a second."""
_LONGEST_MESSAGE = 2_000

log = structlog.get_logger("jetmill.operator")


@dataclass(slots=True)
class _Found:
    """What a pass has found out of the bus."""

    queue: Problem | None = None
    stalled: Problem | None = None
    dispatchers: int = 0
    backlog: Backlog | None = None
    state: EndpointState | None = None


class WebhookReconciler:
    """Keeps every Webhook as it is declared."""

    def __init__(self, cluster: Cluster, buses: Buses, *, status: StatusWriter, clock: Clock = SYSTEM) -> None:
        self._cluster = cluster
        self._buses = buses
        self._status = status
        self._clock = clock
        self._keys: set[Key] = set()
        self._changed: dict[Key, tuple[int, float]] = {}
        """Generation, and when it was seen first."""

    @property
    def namespaces(self) -> set[str]:
        """Those that have Webhooks."""
        return {key.namespace for key in self._keys}

    @property
    def keys(self) -> frozenset[Key]:
        """Every one that is known of."""
        return frozenset(self._keys)

    def fill(self, bodies: Iterable[Body]) -> None:
        """Know of these before each has been reconciled."""
        self._keys.update(Key(WEBHOOK.name, body["metadata"]["namespace"], body["metadata"]["name"]) for body in bodies)

    async def reconcile(self, key: Key) -> Again | None:
        """Bring one Webhook in line; raises ClusterError for what the caller has to try again, NotLeaderError."""
        body = await self._cluster.get(WEBHOOK, key.namespace, key.name)
        if body is None:
            self._forget(key)
            return None
        self._keys.add(key)
        try:
            if "deletionTimestamp" in body["metadata"]:
                return await self._end(key, body)
            return await self._keep(key, body)
        except ForbiddenError as err:
            if err.terminating:
                return None  # the namespace is going away, and the Webhook with it
            raise
        except (ConflictError, AbsentError, RefusedError):  # it is not what it was when this pass began
            return Again(SOON_SECONDS)

    # Keep

    async def _keep(self, key: Key, body: Body) -> Again | None:
        meta = body["metadata"]
        webhook = parse_webhook(body)
        found = _Found(stalled=webhook) if isinstance(webhook, Problem) else _Found()
        if isinstance(webhook, Webhook):
            if FINALIZER not in (meta.get("finalizers") or []):
                await self._put_finalizers(body, [*(meta.get("finalizers") or []), FINALIZER])
                return Again(0.0)
            await self._apply(body, webhook, found)
        await self._observe(body, found)
        view = WebhookView(
            generation=meta["generation"],
            now=self._buses.of(key.namespace).link.now(),
            suspended=isinstance(webhook, Webhook) and webhook.spec.suspend,
            stalled=found.stalled,
            queue=found.queue,
            dispatchers=found.dispatchers,
            backlog=found.backlog,
            state=found.state,
        )
        after = build_webhook_status(view, body.get("status") or {}, now=self._clock.stamp())
        left = await self._status.write(WEBHOOK, body, after)
        return Again(min(self._decide_pause(key, body, found), left or COUNTERS_SECONDS))

    async def _apply(self, body: Body, webhook: Webhook, found: _Found) -> None:
        meta, namespace = body["metadata"], body["metadata"]["namespace"]
        generation, uid = int(meta.get("generation", 0)), str(meta["uid"])
        try:
            before = await self._buses.read(namespace, name_deliveries(webhook.name))
            since = read_since(body, before)
            settings = webhook.to_settings(generation=generation, uid=uid, since=since)
            if await self._buses.inspect(namespace, settings):
                await self._buses.apply(namespace, settings, before=before)
        except RefusedError:
            raise
        except BusError as err:
            self._note_bus_error(namespace, err, found)

    async def _observe(self, body: Body, found: _Found) -> None:
        """Who serves it, how it fares and what waits; what cannot be read is left out."""
        meta = body["metadata"]
        bus = self._buses.of(meta["namespace"])
        try:
            job = name_deliveries(meta["name"])
            found.dispatchers = sum(job in one.jobs for one in await bus.presence.all() if not one.stopping)
            note = await bus.notes.read(name_note(meta["name"]))
            state = None if note is None else decode_endpoint(note.data)
            found.state = state if state is not None and state.uid == meta["uid"] else None
            depth = await bus.queue.depth(job)
            found.backlog = Backlog(depth.ready, depth.in_flight, depth.delayed)
        except (NotFoundError, CodecError):
            pass  # nothing of it is there yet, or a newer dispatcher said it
        except BusError as err:
            if found.queue is None:
                self._note_bus_error(meta["namespace"], err, found)

    def _note_bus_error(self, namespace: str, err: BusError, found: _Found) -> None:
        self._buses.doubt(namespace)
        found.queue = explain_bus_error(err)
        if found.queue.reason in (Reason.CONFLICT, Reason.FORBIDDEN):
            found.stalled = found.stalled or found.queue

    def _decide_pause(self, key: Key, body: Body, found: _Found) -> float:
        generation, now = body["metadata"]["generation"], self._clock.monotonic()
        seen = self._changed.get(key)
        if seen is None or seen[0] != generation:
            seen = self._changed[key] = (generation, now)
        settles = found.stalled is None and (found.dispatchers == 0 or found.state is None)
        return SOON_SECONDS if settles and now - seen[1] < EAGER_SECONDS else COUNTERS_SECONDS

    # End

    async def _end(self, key: Key, body: Body) -> Again | None:
        if FINALIZER not in (body["metadata"].get("finalizers") or []):
            return None
        released = (body["metadata"].get("annotations") or {}).get(RELEASE) == "true"
        try:
            left = Left() if released else await self._clean_up(body)
        except RefusedError:
            return Again(LOOK_SECONDS)
        except ObstacleError:
            left = Left()  # the stream of that name is not ours: there is nothing of ours to clean up
        except BusError as err:
            self._buses.doubt(key.namespace)
            if self._clock.count_deleted(body) >= BLOCKED_SECONDS:
                await self._status.say(WEBHOOK, body, Reason.CLEANUP_BLOCKED, _explain_blocked(body, err), stalled=True)
            return Again(LOOK_SECONDS)
        if left:
            await self._status.say(WEBHOOK, body, Reason.DELETING, "what waits to be sent is cancelled", stalled=False)
            return Again(0.0 if left.waiting else LOOK_SECONDS)
        rest = [name for name in body["metadata"]["finalizers"] if name != FINALIZER]
        await self._put_finalizers(body, rest)
        self._status.forget(body["metadata"]["uid"])
        self._forget(key)
        log.info("webhook_let_go", namespace=key.namespace, webhook=key.name)
        return None

    async def _clean_up(self, body: Body) -> Left:
        meta = body["metadata"]
        bus, job = self._buses.of(meta["namespace"]), name_deliveries(meta["name"])
        settings = await self._buses.read(meta["namespace"], job)
        if isinstance(settings, JobSettings) and settings.uid not in ("", meta["uid"]):
            return Left()  # another object's by now
        await self._pause(meta["namespace"], settings)
        self._buses.require()
        left = await cancel_jobs(bus, job, running_too=self._clock.count_deleted(body) > MARGIN_SECONDS)
        if not left:
            with contextlib.suppress(NotFoundError):  # the namespace itself has nothing in NATS
                await bus.admin.remove_job(job, uid=meta["uid"])
                await bus.notes.remove(name_note(meta["name"]))
        return left

    async def _pause(self, namespace: str, settings: JobSettings | UnsetType | None) -> None:
        if isinstance(settings, JobSettings) and not settings.suspend:
            paused = msgspec.structs.replace(settings, suspend=True)
            await self._buses.apply(namespace, paused, before=settings)

    async def _put_finalizers(self, body: Body, finalizers: list[str]) -> None:
        meta = body["metadata"]
        patch = {"metadata": {"finalizers": finalizers or None, "resourceVersion": meta["resourceVersion"]}}
        await self._cluster.patch(WEBHOOK, meta["namespace"], meta["name"], patch)

    def _forget(self, key: Key) -> None:
        self._keys.discard(key)
        self._changed.pop(key, None)


def parse_webhook(body: Body) -> Webhook | Problem:
    """Read a Webhook, or say what its model refuses, or where its filter is no expression."""
    try:
        webhook = Webhook.model_validate(body)
    except ValidationError as err:
        return Problem(Reason.INVALID_SPEC, _shorten(" · ".join(map(str, list_refusals(err, Webhook)))))
    if webhook.spec.filter.expression is not None:
        try:
            compile_expression(webhook.spec.filter.expression)
        except ExpressionError as err:
            return Problem(Reason.INVALID_EXPRESSION, _shorten(f"spec.filter.expression: {err}"))
    return webhook


def read_since(body: Body, before: JobSettings | UnsetType | None) -> int:
    """When it was created, µs; what was said first stays, for `jetmill dev` makes its objects anew at each start."""
    if isinstance(before, JobSettings) and before.uid == body["metadata"]["uid"] and before.webhook is not None:
        return before.webhook.since
    created = parse_time(body["metadata"].get("creationTimestamp"))
    return 0 if created is None else round(created.timestamp() * 1_000_000)


def _explain_blocked(body: Body, err: BusError) -> str:
    return _shorten(
        f"its queue cannot be cleaned up: {err.message}. It goes when NATS is back, or at once with: "
        f"kubectl annotate jmwh {body['metadata']['name']} {RELEASE}=true (then the queue stays in NATS)"
    )


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"
