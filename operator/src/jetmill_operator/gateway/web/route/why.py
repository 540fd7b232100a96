"""Why isn't it running? Looked at now: the job, its Job's queue, who works, and what the cluster says of the Job.

What the cluster says (an image that cannot be pulled, a limit that is reached) is told to those who may see the Job
there, and which schedules of it rest to those who may list them. While NATS is away that is the answer: it keeps every
job from starting.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import structlog
from litestar import Request, get
from litestar.params import FromPath

from jetmill.cli.cause import OF_SCHEDULES, Cause
from jetmill.cli.sight import find_causes, find_job_causes
from jetmill.errors import BusError, NotFoundError
from jetmill.protocol.name import parse_job_name
from jetmill.protocol.state import OPEN
from jetmill_operator.cluster.errors import ClusterError
from jetmill_operator.cluster.ports import JOB, SCHEDULED_JOB
from jetmill_operator.gateway.access.right import DECLARED, QUEUES, READ
from jetmill_operator.gateway.web.body import CauseBody, CausesBody
from jetmill_operator.gateway.web.filter import refusing_parameters
from jetmill_operator.gateway.web.guard import permit_of
from jetmill_operator.gateway.web.parts import parts_of
from jetmill_operator.gateway.web.route.job import PATH, NamespaceQuery, find_status
from jetmill_operator.gateway.web.served import served_for
from jetmill_operator.reconcile.cause import explain

Asked = Request[Any, Any, Any]
PATIENCE_SECONDS = 3.0
"""How long the cluster is waited for: what NATS says is the better half."""
_AWAY = Cause("nats_away", "NATS cannot be asked now: nothing starts before it is back", "look at the NATS server")
log = structlog.get_logger(__name__)


@get(f"{PATH}/{{job_id:str}}/why", opt={"right": READ}, tags=["jobs"], summary="Why a job stands where it stands")
async def explain_job(request: Asked, job_id: FromPath[str], namespace: NamespaceQuery = None) -> CausesBody:  # noqa: ARG001
    """The causes that keep it from running, each with a constant code and a cure; or how it ended, and what to do."""
    served = served_for(request)
    try:
        status = await find_status(served, job_id)
        causes = await find_causes(served.reader, status)
    except NotFoundError:
        raise
    except BusError:
        return _answer([_AWAY])
    if not permit_of(request).everywhere:
        causes = [_hide_holder(one) for one in causes]
    if status.state in OPEN:
        causes += await _ask_cluster(request, status.job)
    return _answer(causes)


@get(
    "/api/v1/queues/{job:str}/why",
    opt={"right": QUEUES},
    tags=["namespace"],
    summary="Why the jobs of a Job do not start",
)
async def explain_queue(request: Asked, job: FromPath[str], namespace: NamespaceQuery = None) -> CausesBody:  # noqa: ARG001
    """Empty: nothing keeps them."""
    with refusing_parameters():
        name = parse_job_name(job)
    try:
        causes = await find_job_causes(served_for(request).reader, name)
    except NotFoundError:  # the namespace has no Job yet
        causes = [Cause("unknown_job", f"no Job {name} is declared here", "apply its manifest")]
    except BusError:
        return _answer([_AWAY])
    if not (await permit_of(request).ask(right=DECLARED[SCHEDULED_JOB.plural][0])).allowed:
        causes = [one for one in causes if one.code not in OF_SCHEDULES]
    return _answer(causes + await _ask_cluster(request, name))


async def _ask_cluster(request: Asked, job: str) -> list[Cause]:
    """What the Job's conditions say; nothing where there is no cluster, or it is not for the caller."""
    cluster = parts_of(request).cluster
    permit = permit_of(request)
    _, to_get = DECLARED[JOB.plural]
    if cluster is None or not (await permit.ask(right=to_get, job=job)).allowed:
        return []
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            body = await cluster.get(JOB, permit.namespace, job)
    except (ClusterError, TimeoutError) as err:
        log.info("cluster_not_asked", namespace=permit.namespace, error=str(err))
        return [Cause("cluster_away", "the Kubernetes API could not be asked: what it knows is missing here")]
    return [] if body is None else explain(body.get("status") or {})


def _hide_holder(cause: Cause) -> Cause:
    """Which job has the key is not for those who may see those of single Jobs alone."""
    return Cause(cause.code, "its key is held by another job") if cause.code == "held" else cause


def _answer(causes: list[Cause]) -> CausesBody:
    items = [CauseBody(code=one.code, text=one.text, cure=one.cure) for one in causes]
    return CausesBody(items=items, looked=datetime.now(UTC))


HANDLERS = [explain_job, explain_queue]
