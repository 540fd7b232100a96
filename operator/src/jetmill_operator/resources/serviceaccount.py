"""The ServiceAccount of a Job's workers, where the Job asks for one."""

from __future__ import annotations

from jetmill_operator.api.job import Job
from jetmill_operator.cluster.ports import SERVICE_ACCOUNT, Body
from jetmill_operator.resources.label import build_metadata


def build_service_account(job: Job, body: Body) -> Body | None:
    """Build it; None where none is to be created."""
    account = job.spec.worker.service_account
    if account is None or not account.create:
        return None
    metadata = build_metadata(body)
    if account.annotations:
        metadata["annotations"] = dict(account.annotations)
    return {"apiVersion": SERVICE_ACCOUNT.api_version, "kind": SERVICE_ACCOUNT.name, "metadata": metadata}
