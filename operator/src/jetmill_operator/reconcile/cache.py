"""What the autoscaler knows of the cluster, as the watch tells it: Jobs, their Deployments, the workers' pods.

It looks every two seconds at every Job that has workers; from here that costs the API server nothing. What is old here
does no harm: a write of replicas names the version that it rests on, and a step down reads everything anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jetmill_operator.api.job import JobSpec
from jetmill_operator.cluster.ports import DEPLOYMENT, JOB, POD, Body, Key, Kind, is_older
from jetmill_operator.policy.condition import Scaling
from jetmill_operator.policy.crew import DeploymentSeen, PodSeen, read_deployment, read_pod
from jetmill_operator.policy.worker import Problem
from jetmill_operator.reconcile.job import parse_job
from jetmill_operator.resources.deployment import is_handed_over
from jetmill_operator.resources.label import JOB as JOB_LABEL
from jetmill_operator.resources.label import name_child


@dataclass(frozen=True, slots=True)
class JobSeen:
    """A Job that can be read."""

    key: Key
    uid: str
    spec: JobSpec
    leaving: bool = False
    said: Scaling | None = field(default=None, compare=False)
    """What its status said of scaling when it was read; right after a restart nothing is newer."""

    @property
    def carrier(self) -> str | None:
        """Whose workers serve it, if not its own."""
        return None if self.spec.worker.from_ is None else self.spec.worker.from_.name

    @property
    def body(self) -> Body:
        """As much of the object as an Event needs."""
        meta = {"name": self.key.name, "namespace": self.key.namespace, "uid": self.uid}
        return {"apiVersion": JOB.api_version, "kind": JOB.name, "metadata": meta}


class Cache:
    """The last that was told of each. `on_change` is called with a Job whose workers may be too many or too few now."""

    def __init__(self) -> None:
        self.on_change: Callable[[Key], None] = lambda _: None
        self.jobs: dict[Key, JobSeen] = {}
        self.deployments: dict[Key, DeploymentSeen] = {}
        """By their Job."""
        self._pods: dict[Key, dict[str, PodSeen]] = {}
        """By their Job, then by name."""

    def fill(self, bodies: Iterable[Body]) -> None:
        """Take all Jobs that a LIST gave."""
        for body in bodies:
            self.put(JOB, "LISTED", body)

    def put(self, kind: Kind, event: str, body: Body) -> None:
        """Take an event of the watch."""
        gone = event == "DELETED"
        key = _find_job(kind, body)
        if key is None:
            if kind == POD and gone:
                self._lose_pod(body["metadata"]["namespace"], body["metadata"]["name"])
            return
        if kind == JOB:
            self._put_job(key, None if gone else read_job(key, body))
        elif kind == DEPLOYMENT:
            self.put_deployment(key, None if gone else body)
        else:
            self._put_pod(key, body, gone=gone)

    def put_deployment(self, job: Key, body: Body | None) -> None:
        """Take a Deployment as it is now; None: it has gone. What is older than what is known is passed over."""
        before = self.deployments.get(job)
        if body is None:
            after = None
            self.deployments.pop(job, None)
        else:
            after = read_deployment(body, handed_over=is_handed_over(body))
            if before is not None and before.uid == after.uid and is_older(after.version, before.version):
                return
            self.deployments[job] = after
        if _summarize(before) != _summarize(after):
            self.on_change(job)

    def note_scale(self, job: Key, scale: Body) -> None:
        """Take what a write of /scale answered: the watch will tell the same, but later."""
        before = self.deployments.get(job)
        version = scale["metadata"].get("resourceVersion", "")
        if before is not None and not is_older(version, before.version):
            # Its controller has not seen it yet, whatever the old status says.
            replicas = int(scale["spec"].get("replicas", 0))
            steady = before.steady and replicas == before.replicas
            self.deployments[job] = replace(before, version=version, replicas=replicas, steady=steady)

    def pods(self, job: Key) -> list[PodSeen]:
        """The pods of a Job's workers."""
        return list(self._pods.get(job, {}).values())

    def marked(self) -> list[tuple[Key, PodSeen]]:
        """All pods that carry our mark, with their Jobs."""
        return [(job, pod) for job, pods in self._pods.items() for pod in pods.values() if pod.marked]

    def _put_job(self, key: Key, after: JobSeen | None) -> None:
        before = self.jobs.get(key)
        if after is None:
            self.jobs.pop(key, None)
        else:
            self.jobs[key] = after
        if before != after:
            carriers = {seen.carrier for seen in (before, after) if seen is not None and seen.carrier is not None}
            for name in {key.name, *carriers}:
                self.on_change(Key(JOB.name, key.namespace, name))

    def _put_pod(self, job: Key, body: Body, *, gone: bool) -> None:
        pods = self._pods.setdefault(job, {})
        name = body["metadata"]["name"]
        if gone:
            pods.pop(name, None)
        else:
            pods[name] = read_pod(body)
        if not pods:
            del self._pods[job]

    def _lose_pod(self, namespace: str, name: str) -> None:
        """Forget a pod of which only the name is known."""
        for job, pods in list(self._pods.items()):
            if job.namespace == namespace and name in pods:
                self._put_pod(job, {"metadata": {"name": name}}, gone=True)


def read_job(key: Key, body: Body) -> JobSeen | None:
    """Read a Job; None: its spec is refused, so nobody decides by it."""
    job = parse_job(body)
    if isinstance(job, Problem):
        return None
    meta = body["metadata"]
    said = _read_scaling((body.get("status") or {}).get("scaling"))
    return JobSeen(key, meta["uid"], job.spec, leaving="deletionTimestamp" in meta, said=said)


def _read_scaling(said: Mapping[str, Any] | None) -> Scaling | None:
    if not said or not {"desired", "reason", "message", "time"} <= said.keys():
        return None
    return Scaling(int(said["desired"]), str(said["reason"]), str(said["message"]), str(said["time"]))


def _find_job(kind: Kind, body: Body) -> Key | None:
    meta = body["metadata"]
    if kind == JOB:
        return Key(JOB.name, meta["namespace"], meta["name"])
    if kind not in (DEPLOYMENT, POD):
        return None
    name = (meta.get("labels") or {}).get(JOB_LABEL)
    if name is None and kind == DEPLOYMENT and meta["name"].endswith(name_child("")):
        name = meta["name"].removesuffix(name_child(""))  # of one that has gone only the name may be known
    return None if name is None else Key(JOB.name, meta["namespace"], name)


def _summarize(deployment: DeploymentSeen | None) -> tuple[object, ...]:
    """What a decision goes by; how many are ready is seen at the next look."""
    if deployment is None:
        return ()
    return (deployment.uid, deployment.replicas, deployment.handed_over, deployment.leaving)
