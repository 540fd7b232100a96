"""What one can do with a job, as whoever asks; the answer is the record that stands then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Request, Response, post
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, JSONBody

from jetmill.client.status import Transition
from jetmill.protocol.state import State
from jetmill_operator.gateway.access.right import CANCEL, DISCARD, RESCHEDULE, RETRY
from jetmill_operator.gateway.web.guard import caller_of
from jetmill_operator.gateway.web.model import Reschedule, TransitionView, view_transition
from jetmill_operator.gateway.web.served import served_for


@post("/jobs/{job_id:str}/cancel", opt={"right": CANCEL}, tags=["Jobs"], operation_id="cancelJob", status_code=200)
async def cancel_job(request: Request[Any, Any, Any], job_id: FromPath[str]) -> Response[TransitionView]:
    """Cancel a job, waiting or running; idempotent. 202 while its worker winds up, 200 with what stands otherwise."""
    transition = await served_for(request).as_(caller_of(request).identity.name).cancel(job_id)
    return _answer(transition, code=202 if transition.state is State.CANCELLING else 200)


@post("/jobs/{job_id:str}/retry", opt={"right": RETRY}, tags=["Jobs"], operation_id="retryJob", status_code=202)
async def retry_job(request: Request[Any, Any, Any], job_id: FromPath[str]) -> Response[TransitionView]:
    """Enqueue a finished job once more, at attempt 1; 409 if it is not finished, or was given up."""
    return _answer(await served_for(request).as_(caller_of(request).identity.name).retry(job_id), code=202)


@post("/jobs/{job_id:str}/discard", opt={"right": DISCARD}, tags=["Jobs"], operation_id="discardJob", status_code=200)
async def discard_job(request: Request[Any, Any, Any], job_id: FromPath[str]) -> Response[TransitionView]:
    """Give up a failed job for good; 409 if it has not failed."""
    return _answer(await served_for(request).as_(caller_of(request).identity.name).discard(job_id), code=200)


@post(
    "/jobs/{job_id:str}/reschedule",
    opt={"right": RESCHEDULE},
    tags=["Jobs"],
    operation_id="rescheduleJob",
    status_code=200,
)
async def reschedule_job(
    request: Request[Any, Any, Any], job_id: FromPath[str], data: JSONBody[Reschedule]
) -> Response[TransitionView]:
    """Move a scheduled job to another time; 409 if it is not scheduled."""
    client = served_for(request).as_(caller_of(request).identity.name)
    return _answer(await client.reschedule(job_id, at=data.at, delay=data.delay_seconds), code=200)


def _answer(transition: Transition, *, code: int) -> Response[TransitionView]:
    return Response(view_transition(transition), status_code=code)


HANDLERS: Sequence[BaseRouteHandler] = (cancel_job, retry_job, discard_job, reschedule_job)
