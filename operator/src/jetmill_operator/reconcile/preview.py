"""What the operator would do with manifests, without doing it: `jetmill plan`.

Without a look at the cluster everything is new. With one (`--live`) each manifest goes through the API server as a dry
run, which fills in defaults, applies the CRD's rules and says what the object would then be; children and, where NATS
can be reached, streams and settings are compared with those that are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from msgspec import UnsetType

from jetmill.bus.ports import Change
from jetmill.errors import BusError
from jetmill.protocol.name import name_deliveries
from jetmill.protocol.record import JobSettings
from jetmill.protocol.subject import BANDS, Subjects
from jetmill_operator.api.job import Job
from jetmill_operator.api.webhook import Webhook
from jetmill_operator.cluster.errors import ClusterError
from jetmill_operator.cluster.ports import BUDGET, DEPLOYMENT, JOB, SERVICE_ACCOUNT, WEBHOOK, Body, Cluster, Kind
from jetmill_operator.policy.worker import Problem
from jetmill_operator.reconcile.bus import Buses
from jetmill_operator.reconcile.index import JobIndex
from jetmill_operator.reconcile.job import parse_job
from jetmill_operator.reconcile.webhook import parse_webhook, read_since
from jetmill_operator.resources.deployment import WorkerLink
from jetmill_operator.resources.label import name_child
from jetmill_operator.resources.plan import ApplyQueue, Plan, Seen, build_settings, plan_job

DRY_RUN_MANAGER = "jetmill-plan"
UNKNOWN_UID = "00000000-0000-0000-0000-000000000000"
"""Of an object that is not there yet."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be done for one object."""

    name: str
    plan: Plan
    fault: str = ""
    """What stands in the way."""
    note: str = ""
    """What could not be looked at."""
    kind: Kind = JOB

    def __str__(self) -> str:
        head = f"{self.kind.name} {self.name}: "
        if self.fault:
            head += f"stalled: {self.fault}"
        elif self.plan:
            head += f"{len(self.plan.steps)} steps"
        else:
            head += "nothing to do"
        return head + (f" ({self.note})" if self.note else "") + "\n" + str(self.plan)


class Previewer:
    """Plans manifests of one namespace; without a cluster as if nothing were there."""

    def __init__(
        self, namespace: str, *, link: WorkerLink, cluster: Cluster | None = None, buses: Buses | None = None
    ) -> None:
        self._namespace = namespace
        self._link = link
        self._cluster = cluster
        self._buses = buses
        self._index = JobIndex()

    async def preview(self, jobs: Sequence[Job]) -> list[Preview]:
        """Plan each; raises ClusterError if the cluster cannot be asked."""
        if self._cluster is not None:
            self._index.fill(await self._cluster.list(JOB, namespace=self._namespace))
        bodies = [build_body(job, self._namespace) for job in jobs]
        self._index.fill(bodies)
        return [await self._preview(body) for body in bodies]

    async def preview_webhooks(self, webhooks: Sequence[Webhook]) -> list[Preview]:
        """Plan each; a Webhook has a queue and settings, and no children. Raises ClusterError."""
        return [await self._preview_webhook(build_body(webhook, self._namespace)) for webhook in webhooks]

    async def _preview_webhook(self, body: Body) -> Preview:
        name = body["metadata"]["name"]
        if self._cluster is not None:
            try:
                body = await self._cluster.apply(WEBHOOK, body, manager=DRY_RUN_MANAGER, dry_run=True)
            except ClusterError as err:
                return Preview(name, Plan(), fault=str(err), kind=WEBHOOK)
        body = {**body, "metadata": {"uid": UNKNOWN_UID, "generation": 1, **body["metadata"]}}
        webhook = parse_webhook(body)
        if isinstance(webhook, Problem):
            return Preview(name, Plan(), fault=webhook.message, kind=WEBHOOK)
        found, note = await self._plan_webhook(body, webhook)
        return Preview(name, found, note=note, kind=WEBHOOK)

    async def _plan_webhook(self, body: Body, webhook: Webhook) -> tuple[Plan, str]:
        meta, job = body["metadata"], name_deliveries(webhook.name)
        if self._cluster is None:
            return Plan((ApplyQueue(webhook.to_settings(), self._list_new(job)),)), "as if nothing were there yet"
        if self._buses is None:
            return Plan(), "the queue was not looked at: JETMILL_NATS_URL is not set"
        try:
            before = await self._buses.read(self._namespace, job)
            since = read_since(body, before)
            settings = webhook.to_settings(generation=int(meta["generation"]), uid=str(meta["uid"]), since=since)
            changes = await self._buses.inspect(self._namespace, settings)
        except BusError as err:
            return Plan(), f"the queue could not be looked at: {err.message}"
        named = tuple(_name_fields(change, before, settings) for change in changes)
        return Plan((ApplyQueue(settings, named, before),) if named else ()), ""

    async def _preview(self, body: Body) -> Preview:
        name = body["metadata"]["name"]
        if self._cluster is not None:
            try:
                body = await self._cluster.apply(JOB, body, manager=DRY_RUN_MANAGER, dry_run=True)
            except ClusterError as err:
                return Preview(name, Plan(), fault=str(err))
        job = parse_job({**body, "metadata": {**body["metadata"], "uid": body["metadata"].get("uid", UNKNOWN_UID)}})
        if isinstance(job, Problem):
            return Preview(name, Plan(), fault=job.message)
        seen, note = await self._observe(job, body)
        found = plan_job(job, seen, self._link)
        return Preview(name, found, fault=found.obstacle.message if found.obstacle else "", note=note)

    async def _observe(self, job: Job, body: Body) -> tuple[Seen, str]:
        meta = {"uid": UNKNOWN_UID, "generation": 1, **body["metadata"], "namespace": self._namespace}
        carrier = job.spec.worker.from_
        seen = Seen(
            {**body, "metadata": meta},
            changes=self._list_new(job.name),
            riders=self._index.riders_of(self._namespace, job.name),
            carrier=None if carrier is None else self._index.carrier_of(self._namespace, carrier.name),
        )
        if self._cluster is None:
            return seen, "as if nothing were there yet"
        child = name_child(job.name)
        seen = replace(
            seen,
            deployment=await self._cluster.get(DEPLOYMENT, self._namespace, child),
            service_account=await self._cluster.get(SERVICE_ACCOUNT, self._namespace, child),
            budget=await self._cluster.get(BUDGET, self._namespace, child),
        )
        if self._buses is None:
            return replace(seen, changes=None), "the queue was not looked at: JETMILL_NATS_URL is not set"
        try:
            changes = await self._buses.inspect(self._namespace, build_settings(job, seen.body))
        except BusError as err:
            return replace(seen, changes=None), f"the queue could not be looked at: {err.message}"
        return replace(seen, changes=changes), ""

    def _list_new(self, job: str) -> tuple[Change, ...]:
        """What a Job needs in NATS."""
        stream = Subjects(self._namespace, prefix=self._link.prefix).queue_stream(job)
        consumers = (Change(f"consumer {band} of {stream}") for band in BANDS)
        return (Change(f"stream {stream}"), *consumers, Change(f"settings of {job}"))


def build_body(declared: Job | Webhook, namespace: str) -> Body:
    """An object as it is applied: what the manifest says, and the namespace."""
    body: Body = declared.model_dump(mode="json", by_alias=True, exclude_unset=True)
    body["metadata"] = {**body["metadata"], "namespace": namespace}
    return body


def _name_fields(change: Change, before: JobSettings | UnsetType | None, after: JobSettings) -> Change:
    """Say which settings of the Webhook are others, and not only that some are."""
    if "webhook" not in change.fields or not isinstance(before, JobSettings) or before.webhook is None:
        return change
    old, new = before.webhook, after.webhook
    others = [f"webhook.{name}" for name in old.__struct_fields__ if getattr(old, name) != getattr(new, name)]
    return Change(change.name, (*(name for name in change.fields if name != "webhook"), *others))
