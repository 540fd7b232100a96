"""The Pod of a worker process: made of a Deployment's template, its status as a kubelet would write it."""

from __future__ import annotations

import asyncio
import secrets
import socket
from dataclasses import dataclass
from typing import Any

from jetmill_operator.cluster.ports import DEPLOYMENT, POD, Body
from jetmill_operator.dev.environment import find_container
from jetmill_operator.dev.process import Process
from jetmill_operator.dev.rollout import EDITION

MANAGER = "jetmill-dev"
HOLD = "jetmill.dev/process"
"""Finalizer of a Pod while its process is there."""
CODE = "jetmill.dev/code"
"""Annotation of a template: which change of the code it follows; another one rolls the workers."""


@dataclass(slots=True, eq=False)
class Worker:
    """What runs for a pod."""

    job: str
    name: str
    """How its lines are marked."""
    number: int
    edition: str
    process: Process | None = None
    watcher: asyncio.Task[None] | None = None
    ready: bool = False
    told: bool = False
    """To leave."""
    kill_time: float = 0.0
    restarts: int = 0
    status: int | None = None
    """How its last process ended."""
    fault: str = ""
    """Why none can be started."""


def build_pod(deployment: Body, edition: str) -> Body:
    """A new pod of a Deployment, under a name of its own."""
    meta, template = deployment["metadata"], deployment["spec"]["template"]
    of_template = template["metadata"]
    return {
        "apiVersion": POD.api_version,
        "kind": POD.name,
        "metadata": {
            **of_template,
            "name": f"{meta['name']}-{secrets.token_hex(3)}",
            "namespace": meta["namespace"],
            "labels": {**of_template["labels"], EDITION: edition},
            "finalizers": [HOLD],
            "ownerReferences": [
                {
                    "apiVersion": DEPLOYMENT.api_version,
                    "kind": DEPLOYMENT.name,
                    "name": meta["name"],
                    "uid": meta["uid"],
                    "controller": True,
                }
            ],
        },
        "spec": {**template["spec"], "nodeName": socket.gethostname()},
    }


def build_pod_status(pod: Body, worker: Worker, *, crashes: int) -> dict[str, Any]:
    """What a kubelet would say; `crashes` in a row, of which the second makes a loop."""
    container: dict[str, Any] = {
        "name": find_container(pod)["name"],
        "image": find_container(pod)["image"],
        "ready": worker.ready,
        "restartCount": worker.restarts,
    }
    if worker.process is not None:
        container["state"] = {"running": {}}
    elif worker.fault:
        container["state"] = {"waiting": {"reason": "CreateContainerConfigError", "message": worker.fault}}
    else:
        reason = "CrashLoopBackOff" if crashes > 1 else "ContainerCreating"
        container["state"] = {"waiting": {"reason": reason}}
    if worker.status is not None:
        container["lastState"] = {"terminated": {"exitCode": worker.status}}
    truth = "True" if worker.ready else "False"
    return {
        "phase": "Pending" if worker.process is None and worker.status is None else "Running",
        "conditions": [{"type": "Ready", "status": truth}],
        "containerStatuses": [container],
    }
