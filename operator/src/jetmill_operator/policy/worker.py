"""What keeps a Job's workers from running, read off their Deployment and pods: a reason, and what a person can do.

A quota, a missing ServiceAccount and pod security show on the Deployment, for no pod comes to be; the node's room, the
image, a missing Secret and a crash show on the pods alone (measured on Kubernetes 1.34).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jetmill_operator.policy.reason import Reason

Body = Mapping[str, Any]
CONTAINER = "worker"
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Problem:
    """Why workers do not run."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers of a Job, as its Deployment tells."""

    desired: int = 0
    ready: int = 0
    rolling: bool = False
    """Some are not of the newest template yet."""
    problem: Problem | None = None


def read_workers(deployment: Body | None, pods: Sequence[Body]) -> Workers | None:
    """Read them; None: there is no Deployment."""
    if deployment is None:
        return None
    spec, status = deployment.get("spec", {}), deployment.get("status", {})
    desired, updated = int(spec.get("replicas", 0)), int(status.get("updatedReplicas", 0))
    behind = int(status.get("observedGeneration", 0)) < int(deployment["metadata"].get("generation", 0))
    return Workers(
        desired=desired,
        ready=int(status.get("readyReplicas", 0)),
        rolling=desired > 0 and (behind or int(status.get("replicas", 0)) > updated),
        problem=find_problem(deployment, pods) if desired else None,
    )


def find_problem(deployment: Body, pods: Sequence[Body]) -> Problem | None:
    """Find the most telling of all problems that show; the newest pods are looked at first."""
    for pod in sorted(pods, key=_age, reverse=True):
        if "deletionTimestamp" not in pod["metadata"]:
            found = next(_find_in_pod(pod), None)
            if found is not None:
                return found
    return next(_find_in_deployment(deployment), None)


def _age(pod: Body) -> tuple[str, int]:
    """Pods of one second are told apart by their last change: a pod that an edit replaced changes no more."""
    meta = pod["metadata"]
    version = str(meta.get("resourceVersion", ""))
    return str(meta.get("creationTimestamp", "")), int(version) if version.isdecimal() else 0


def _find_in_pod(pod: Body) -> Iterator[Problem]:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        waiting = container.get("state", {}).get("waiting")
        if waiting is not None:
            yield from _explain_waiting(name, container, waiting)
    for condition in _conditions(status):
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            yield Problem(
                Reason.UNSCHEDULABLE,
                f"pod {name} finds no node: {_shorten(condition.get('message', ''))} "
                "(lower worker.resources, add nodes, or look at nodeSelector and tolerations)",
            )


def _explain_waiting(pod: str, container: Body, waiting: Body) -> Iterator[Problem]:
    reason, said, image = waiting.get("reason", ""), _shorten(waiting.get("message", "")), container.get("image", "")
    match reason:
        case "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" | "RegistryUnavailable":
            yield Problem(
                Reason.IMAGE_PULL_FAILED,
                f"image {image} of pod {pod} cannot be pulled: {said or reason} "
                "(look at worker.image and worker.imagePullSecrets)",
            )
        case "CreateContainerConfigError":
            yield _explain_config(pod, said)
        case "CrashLoopBackOff":
            yield _explain_crash(pod, container)
        case "CreateContainerError" | "RunContainerError" | "StartError" | "PreCreateHookError" | "PostStartHookError":
            yield Problem(
                Reason.START_FAILED,
                f"container {container.get('name')} of pod {pod} cannot start: {said or reason} "
                "(the image needs the command `jetmill`: build it FROM the worker image, or install the wheel)",
            )
        case _:
            return  # ContainerCreating, PodInitializing: on the way


def _explain_config(pod: str, said: str) -> Problem:
    missing = re.search(r'(secret|configmap) "([^"]+)" not found|couldn\'t find key (\S+) in (\S+) (\S+)', said)
    if missing is not None:
        return Problem(Reason.REFERENCE_MISSING, f"pod {pod} waits: {said} (create it, or mark it optional)")
    if "non-root" in said or "runAsNonRoot" in said:
        cure = "add a USER to the image, or set runAsUser by worker.podTemplate"
        return Problem(Reason.START_FAILED, f"pod {pod} may not run as root: {said} ({cure})")
    return Problem(Reason.START_FAILED, f"pod {pod} cannot be set up: {said} (look at its env, envFrom and volumes)")


def _explain_crash(pod: str, container: Body) -> Problem:
    last = container.get("lastState", {}).get("terminated", {})
    if last.get("reason") == "OOMKilled":
        return Problem(
            Reason.OUT_OF_MEMORY,
            f"pod {pod} is killed for its memory again and again (raise worker.resources.limits.memory, or lower "
            "worker.concurrency)",
        )
    status = f" with status {last['exitCode']}" if "exitCode" in last else ""
    return Problem(
        Reason.CRASH_LOOPING,
        f"container {container.get('name')} of pod {pod} ends{status} again and again (kubectl logs --previous {pod})",
    )


def _find_in_deployment(deployment: Body) -> Iterator[Problem]:
    for condition in _conditions(deployment.get("status", {})):
        kind, status, said = condition.get("type"), condition.get("status"), _shorten(condition.get("message", ""))
        if kind == "ReplicaFailure" and status == "True":
            yield _explain_failure(said)
        if kind == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            yield Problem(
                Reason.NOT_PROGRESSING, f"new workers did not become ready in time: {said} (look at their logs)"
            )


def _explain_failure(said: str) -> Problem:
    if "exceeded quota" in said or "must specify" in said:
        return Problem(Reason.QUOTA_EXCEEDED, f"{said} (raise the quota, or lower worker.resources)")
    if "service account" in said or "serviceaccount" in said:
        cure = "create it, or set worker.serviceAccount.create"
        return Problem(Reason.SERVICE_ACCOUNT_MISSING, f"{said} ({cure})")
    if "violates PodSecurity" in said:
        cure = "take out of worker.podTemplate what the namespace's policy forbids"
        return Problem(Reason.POD_FORBIDDEN, f"{said} ({cure})")
    return Problem(Reason.POD_FORBIDDEN, f"{said} (the cluster refuses the pods: look at its policies)")


def _conditions(status: Body) -> Iterable[Body]:
    return status.get("conditions") or ()


def _shorten(text: str) -> str:
    text = " ".join(str(text).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
