"""Whatever a Job says, what is built of it is built or refused with the field: nothing else ever comes out."""

from __future__ import annotations

from hypothesis import settings

from jetmill.errors import InputError
from jetmill_operator.policy.worker import Problem
from jetmill_operator.reconcile.job import parse_job
from jetmill_operator.resources.deployment import WorkerLink
from jetmill_operator.resources.plan import Seen, build_settings, plan_job
from support.declare import make_body
from support.junk import make_spec

LINK = WorkerLink("nats://nats:4222")


def test_no_spec_makes_the_plan_fail() -> None:
    for number in range(50 * settings().max_examples):
        spec = make_spec(number)
        body = {**make_body(), "spec": spec}
        job = parse_job(body)
        if isinstance(job, Problem):
            continue
        try:
            plan_job(job, Seen(body), LINK)
            build_settings(job, body)
        except InputError:
            raise
        except Exception as err:
            raise AssertionError(f"spec {number}: {spec}") from err
