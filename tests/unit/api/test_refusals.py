"""The models refuse what the table says, name the field and say the cure."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from jetmill_operator.api.job import IN_CLUSTER, Job
from jetmill_operator.api.refusal import Refusal, list_refusals
from jetmill_operator.api.scheduledjob import ScheduledJob
from jetmill_operator.api.webhook import Webhook
from support.refusals import LEAST, Case, build_object, read_cases

MODELS: dict[str, type[BaseModel]] = {"Job": Job, "ScheduledJob": ScheduledJob, "Webhook": Webhook}
CASES = read_cases()


def refuse(kind: str, body: dict[str, Any]) -> list[Refusal]:
    try:
        MODELS[kind].model_validate(body, context=IN_CLUSTER)
    except ValidationError as err:
        return list_refusals(err, MODELS[kind])
    return []


@pytest.mark.parametrize("case", [case for case in CASES if case.only != "server"], ids=lambda case: case.name)
def test_a_refusal_names_the_field_and_the_cure(case: Case) -> None:
    said = {refusal.field: f"{refusal.what}; {refusal.cure}" for refusal in refuse(case.kind, case.build_object())}
    assert case.says in said.get(case.field, ""), said


@pytest.mark.parametrize("case", [case for case in CASES if case.only == "server"], ids=lambda case: case.name)
def test_what_only_a_server_can_refuse_passes_the_models(case: Case) -> None:
    assert refuse(case.kind, case.build_object()) == []


def test_the_table_is_long_enough_and_says_why_where_one_side_is_silent() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)
    assert [case.name for case in CASES if bool(case.only) != bool(case.why)] == []


@pytest.mark.parametrize("kind", LEAST)
def test_the_least_spec_of_each_kind_is_accepted(kind: str) -> None:
    assert refuse(kind, build_object(kind, {})) == []


def test_a_laptop_needs_no_image_where_a_cluster_does() -> None:
    """`jetmill dev` runs the code of the folder."""
    body = build_object("Job", {"worker": None})
    assert Job.model_validate(body).spec.worker.image is None
    assert [str(refusal) for refusal in refuse("Job", body)] == [
        "spec.worker: says neither image nor from; add `image: …` or `from: {name: JOB}`"
    ]


def test_all_that_is_refused_is_said() -> None:
    body = build_object("Job", {"handler": "nothing", "retry": {"factor": 0}, "worker": {"image": ""}, "foo": 1})
    assert {refusal.field for refusal in refuse("Job", body)} == {
        "spec.handler",
        "spec.retry.factor",
        "spec.worker.image",
        "spec.foo",
    }
