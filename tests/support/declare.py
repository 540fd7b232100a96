"""Jobs as the API server gives them, for tests of what reconciles them."""

from __future__ import annotations

import copy
from typing import Any

from jetmill_operator.api.job import Job
from jetmill_operator.cluster.ports import Body

NAMESPACE = "shop"


def make_body(
    name: str = "send-email",
    *,
    worker: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    **spec: Any,
) -> Body:
    """A Job with an image and a handler, as it was applied and stored."""
    body: Body = {
        "apiVersion": "jetmill.dev/v1alpha1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-of-{name}",
            "generation": 1,
            **(metadata or {}),
        },
        "spec": {"handler": "shop.tasks:send_email", "worker": worker or {"image": "shop:1"}, **spec},
    }
    body["metadata"] |= metadata or {}
    if status is not None:
        body["status"] = status
    return copy.deepcopy(body)


def parse_body(body: Body) -> Job:
    """The model of a body that must be right."""
    return Job.model_validate(body)
