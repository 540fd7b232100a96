"""From what is declared and what is seen to what is to be done."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetmill.bus.ports import Change
from jetmill_operator.cluster.ports import BUDGET, DEPLOYMENT, SERVICE_ACCOUNT, Body, Kind
from jetmill_operator.resources.deployment import Rider, WorkerLink
from jetmill_operator.resources.label import BORN, FINALIZER, read_mark, sign
from jetmill_operator.resources.plan import (
    AddFinalizer,
    ApplyObject,
    ApplyQueue,
    Blocked,
    Carrier,
    DeleteObject,
    HandOver,
    Plan,
    Seen,
    Step,
    plan_job,
)
from support.declare import make_body, parse_body

LINK = WorkerLink("nats://nats:4222")
FIELDS = {DEPLOYMENT: "deployment", SERVICE_ACCOUNT: "service_account", BUDGET: "budget"}
NEW = (Change("stream jm_shop_q_send-email"), Change("settings of send-email"))


def plan(seen: Seen) -> Plan:
    return plan_job(parse_body(seen.body), seen, LINK)


def set_child(seen: Seen, kind: Kind, body: Body | None) -> Seen:
    fields: dict[str, Any] = {FIELDS[kind]: body}
    return replace(seen, **fields)


def take(seen: Seen, step: Step) -> Seen:
    """The world after a step, as an API server would have it."""
    match step:
        case AddFinalizer(finalizers):
            body = copy.deepcopy(seen.body)
            body["metadata"]["finalizers"] = list(finalizers)
            return replace(seen, body=body)
        case ApplyQueue():
            return replace(seen, changes=())
        case ApplyObject(kind, body):
            before = getattr(seen, FIELDS[kind])
            body = copy.deepcopy(body)
            body["metadata"]["uid"] = "u1"
            if before is not None and "replicas" in before.get("spec", {}):
                body["spec"].setdefault("replicas", before["spec"]["replicas"])
            return set_child(seen, kind, body)
        case HandOver(_, replicas):
            assert seen.deployment is not None
            deployment = copy.deepcopy(seen.deployment)
            deployment["spec"]["replicas"] = replicas
            return replace(seen, deployment=deployment)
        case DeleteObject(kind):
            return set_child(seen, kind, None)


def converge(seen: Seen) -> Seen:
    for step in plan(seen).steps:
        seen = take(seen, step)
    assert plan(seen) == Plan()
    return seen


def see(**fields: Any) -> Seen:
    return Seen(make_body(**fields), changes=NEW)


def make_foreign(kind: str = "Deployment", **metadata: Any) -> Body:
    return {"kind": kind, "metadata": {"name": "send-email-worker", "namespace": "shop", "uid": "x", **metadata}}


def test_a_new_job_gets_its_finalizer_its_queue_and_its_workers_in_that_order() -> None:
    finalizer, queue, born, hand_over, deployment = plan(see()).steps
    assert finalizer == AddFinalizer((FINALIZER,))
    assert isinstance(queue, ApplyQueue)
    assert (queue.settings.job, queue.settings.generation) == ("send-email", 1)
    assert isinstance(born, ApplyObject)
    assert (born.body["spec"]["replicas"], read_mark(born.body), born.force) == (0, BORN, False)
    assert hand_over == HandOver("send-email-worker", 0)
    assert isinstance(deployment, ApplyObject)
    assert "replicas" not in deployment.body["spec"]
    assert deployment.force


def test_what_is_done_is_not_planned_again() -> None:
    converge(see())


@pytest.mark.parametrize("done", range(6))
def test_after_a_crash_between_two_steps_the_rest_is_planned(done) -> None:
    seen = see()
    for step in plan(seen).steps[:done]:
        seen = take(seen, step)
    assert converge(seen) == converge(see())


def test_a_deployment_not_handed_over_keeps_the_replicas_that_it_has() -> None:
    seen = see()
    for step in plan(seen).steps[:3]:
        seen = take(seen, step)
    assert seen.deployment is not None
    seen.deployment["spec"]["replicas"] = 4
    assert HandOver("send-email-worker", 4) in plan(seen).steps


def test_the_finalizers_of_others_stay() -> None:
    first = plan(see(metadata={"finalizers": ["other/one"]})).steps[0]
    assert first == AddFinalizer(("other/one", FINALIZER))


def test_a_new_image_is_one_apply() -> None:
    seen = converge(see())
    [step] = plan(replace(seen, body={**seen.body, "spec": make_body(worker={"image": "shop:2"})["spec"]})).steps
    assert isinstance(step, ApplyObject)
    assert step.body["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:2"


def test_what_somebody_changed_is_put_back_and_what_somebody_added_stays() -> None:
    seen = converge(see())
    assert seen.deployment is not None
    template = seen.deployment["spec"]["template"]["spec"]
    template["containers"].append({"name": "sidecar", "image": "s"})
    seen.deployment["metadata"]["labels"]["team"] = "shop"
    seen.deployment["spec"]["replicas"] = 7
    assert plan(seen) == Plan()
    template["containers"][0]["image"] = "evil:1"
    assert [type(step) for step in plan(seen).steps] == [ApplyObject]


def test_a_field_that_is_not_wanted_any_more_is_taken_back() -> None:
    """Only the fingerprint tells: what is live covers all that is wanted."""
    seen = converge(see(worker={"image": "shop:1", "env": [{"name": "A", "value": "1"}]}))
    changed = replace(seen, body={**seen.body, "spec": make_body()["spec"]})
    [step] = plan(changed).steps
    assert "not wanted any more" in str(plan(changed))
    assert isinstance(step, ApplyObject)


def test_children_that_are_not_wanted_any_more_are_deleted() -> None:
    worker = {"image": "a", "serviceAccount": {"create": True}, "disruptionBudget": {}}
    seen = converge(see(worker=worker))
    assert seen.budget is not None
    without = replace(seen, body={**seen.body, "spec": make_body(worker={"image": "a"})["spec"]})
    kinds = [step.kind for step in plan(without).steps if isinstance(step, DeleteObject)]
    assert kinds == [BUDGET, SERVICE_ACCOUNT]
    converge(without)


def test_what_is_not_ours_is_never_deleted() -> None:
    seen = converge(see())
    assert plan(replace(seen, budget=make_foreign("PodDisruptionBudget"))) == Plan()


@pytest.mark.parametrize("owner", [[], [{"controller": True, "kind": "Thing", "name": "x", "uid": "y"}]])
def test_a_deployment_of_somebody_else_is_left_alone_and_the_queue_is_made(owner) -> None:
    found = plan(replace(see(), deployment=make_foreign(ownerReferences=owner)))
    assert [type(step) for step in found.steps] == [AddFinalizer, ApplyQueue]
    assert found.obstacle is not None
    assert found.obstacle.reason is Blocked.CONFLICT
    assert "send-email-worker" in found.obstacle.message
    assert not found.obstacle.passing


def test_what_an_earlier_job_of_that_name_left_goes_by_itself() -> None:
    earlier = make_body(metadata={"uid": "earlier"})
    left = converge(Seen(earlier, changes=NEW)).deployment
    found = plan(replace(see(), deployment=left))
    assert found.obstacle is not None
    assert (found.obstacle.reason, found.obstacle.passing) == (Blocked.LEFTOVER, True)


def test_a_rider_rolls_no_workers_unless_it_needs_more_time() -> None:
    seen = converge(see())
    assert plan(replace(seen, riders=(Rider("report"),))) == Plan()
    [step] = plan(replace(seen, riders=(Rider("report", timeout_seconds=900),))).steps
    assert isinstance(step, ApplyObject)


def test_what_the_queue_is_told_says_whose_it_is_and_who_carries_it() -> None:
    seen = replace(see(worker={"from": {"name": "report"}}), carrier=Carrier.PRESENT)
    [queue] = [step for step in plan(seen).steps if isinstance(step, ApplyQueue)]
    assert (queue.settings.uid, queue.settings.carrier) == ("uid-of-send-email", "report")
    assert queue.before is None


@pytest.mark.field("Job.spec.worker.from.name")
def test_a_rider_has_a_queue_and_no_workers_of_its_own() -> None:
    seen = replace(see(worker={"from": {"name": "report"}}), carrier=Carrier.PRESENT)
    assert [type(step) for step in plan(seen).steps] == [AddFinalizer, ApplyQueue]
    converge(seen)


def test_a_job_that_becomes_a_rider_gives_its_workers_up() -> None:
    seen = converge(see())
    body = {**seen.body, "spec": make_body(worker={"from": {"name": "report"}})["spec"]}
    [step] = plan(replace(seen, body=body, carrier=Carrier.PRESENT)).steps
    assert step == DeleteObject(DEPLOYMENT, "send-email-worker", "u1")


@pytest.mark.parametrize(
    ("carrier", "name", "said"),
    [
        (Carrier.MISSING, "report", "no Job report"),
        (Carrier.RIDES, "report", "no workers of its own"),
        (Carrier.PRESENT, "report", ""),
    ],
)
def test_a_carrier_that_cannot_carry_is_said(carrier, name, said) -> None:
    found = plan(replace(see(worker={"from": {"name": name}}), carrier=carrier))
    assert (found.obstacle.message if found.obstacle else "").find(said) >= 0
    assert (found.obstacle is None) == (said == "")


def test_a_job_without_image_or_carrier_has_a_queue_and_says_what_it_lacks() -> None:
    found = plan(see(worker={"concurrency": 1}))
    assert [type(step) for step in found.steps] == [AddFinalizer, ApplyQueue]
    assert found.obstacle is not None
    assert (found.obstacle.reason, "spec.worker" in found.obstacle.message) == (Blocked.INVALID_SPEC, True)


def test_while_the_bus_is_away_the_workers_are_planned_all_the_same() -> None:
    found = plan(replace(see(), changes=None))
    assert not any(isinstance(step, ApplyQueue) for step in found.steps)
    assert any(isinstance(step, ApplyObject) for step in found.steps)


def test_a_plan_prints_as_a_diff() -> None:
    text = str(plan(see()))
    assert text.startswith(f"+ finalizer {FINALIZER}\n+ stream jm_shop_q_send-email\n")
    assert text.count("--- /dev/null\n+++ wanted Deployment send-email-worker\n") == 1
    seen = converge(see())
    changed = replace(seen, body={**seen.body, "spec": make_body(worker={"image": "shop:2"})["spec"]})
    lines = str(plan(changed)).splitlines()
    assert lines[:2] == ["--- live Deployment send-email-worker", "+++ wanted Deployment send-email-worker"]
    assert [line.strip("+- ") for line in lines[2:] if line[0] in "+-"] == ["image: shop:1", "image: shop:2"]
    assert str(Plan()) == ""


def test_the_mark_does_not_depend_on_the_order_of_fields() -> None:
    body = make_foreign()
    assert sign(body) == sign(dict(reversed(body.items())))


_workers = st.fixed_dictionaries(
    {"image": st.sampled_from(["a:1", "b:2"])},
    optional={
        "concurrency": st.integers(1, 9),
        "env": st.sampled_from([[], [{"name": "A", "value": "1"}], [{"name": "B"}]]),
        "resources": st.sampled_from([{"limits": {"cpu": "0.5"}}, {"requests": {"memory": 1024}}, {}]),
        "serviceAccount": st.sampled_from([{"create": True}, {"create": False}]),
        "disruptionBudget": st.sampled_from([{}, {"maxUnavailable": "25%"}]),
        "podTemplate": st.sampled_from([{}, {"spec": {"hostNetwork": True}}, {"metadata": {"labels": {"a": "b"}}}]),
    },
)
_specs = st.fixed_dictionaries(
    {"worker": _workers | st.just({"from": {"name": "carrier"}})},
    optional={"timeoutSeconds": st.sampled_from([1, 0.5, 9_999]), "suspend": st.booleans()},
)


@settings(max_examples=2 * settings().max_examples)
@given(first=_specs, second=_specs, done=st.integers(0, 9))
def test_from_any_world_to_any_other_and_no_further(first, second, done) -> None:
    """Whatever was declared before, and wherever the way there was cut: the same end, and nothing to do there."""
    start = replace(see(**first), carrier=Carrier.PRESENT)
    for step in plan(start).steps[:done]:
        start = take(start, step)
    body = {**start.body, "spec": make_body(**second)["spec"]}
    end = converge(replace(start, body=body, changes=NEW))
    direct = converge(replace(see(**second), carrier=Carrier.PRESENT))
    assert (end.deployment, end.service_account, end.budget) == (
        direct.deployment,
        direct.service_account,
        direct.budget,
    )
