"""What every `Cluster` promises: the twin in memory always, a real API server where there is one for tests."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.world import World, version
from jetmill_operator.cluster.errors import AbsentError, ConflictError, ForbiddenError, InvalidError
from jetmill_operator.cluster.ports import AUTOSCALER, DEPLOYMENT, OPERATOR, SECRET, Body
from support.kube import PROBE
from support.wait import eventually

OTHER = "somebody-else"


# -- reading


async def test_what_is_not_there_is_none(world: World) -> None:
    assert await world.cluster.get(PROBE, world.namespace, "one") is None


async def test_an_object_comes_without_who_manages_it(world: World) -> None:
    for body in (await world.apply(world.body(spec={"size": 1})), await world.now()):
        assert body["kind"] == "Probe"
        assert body["apiVersion"] == "test.jetmill.dev/v1"
        assert body["spec"] == {"size": 1}
        assert body["metadata"]["uid"]
        assert body["metadata"]["creationTimestamp"].endswith("Z")
        assert "managedFields" not in body["metadata"]


async def test_what_was_given_out_is_the_readers_own(world: World) -> None:
    body = await world.apply(world.body(spec={"size": 1}))
    body["spec"]["size"] = 2
    assert (await world.now())["spec"] == {"size": 1}


async def test_a_list_is_sorted_and_says_what_its_items_are(world: World) -> None:
    for name in ("two", "one", "three"):
        await world.apply(world.body(name=name))
    bodies = await world.cluster.list(PROBE)
    assert [body["metadata"]["name"] for body in bodies] == ["one", "three", "two"]
    assert {(body["apiVersion"], body["kind"]) for body in bodies} == {("test.jetmill.dev/v1", "Probe")}
    assert not any("managedFields" in body["metadata"] for body in bodies)


async def test_a_list_asks_for_all_labels(world: World) -> None:
    await world.apply(world.body(name="one", metadata={"labels": {"a": "1"}}))
    await world.apply(world.body(name="two", metadata={"labels": {"a": "1", "b": "2"}}))
    both = await world.cluster.list(PROBE, labels={"a": "1"})
    assert len(both) == 2
    found = await world.cluster.list(PROBE, labels={"a": "1", "b": "2"}, namespace=world.namespace)
    assert [body["metadata"]["name"] for body in found] == ["two"]


async def test_a_list_of_another_namespace_is_empty(world: World) -> None:
    await world.apply(world.body())
    assert await world.cluster.list(PROBE, namespace="jm-test-elsewhere") == []


# -- creating


async def test_what_is_there_cannot_be_created(world: World) -> None:
    await world.cluster.create(PROBE, world.body())
    with pytest.raises(ConflictError, match="already exists") as caught:
        await world.cluster.create(PROBE, world.body())
    assert caught.value.code == 409


async def test_a_generated_name_is_a_new_one_each_time(world: World) -> None:
    head = {"namespace": world.namespace, "generateName": "one-"}
    body = {"apiVersion": PROBE.api_version, "kind": PROBE.name, "metadata": head}
    names = {(await world.cluster.create(PROBE, body))["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("one-") for name in names)


async def test_a_name_that_can_be_none_is_refused(world: World) -> None:
    with pytest.raises(InvalidError) as caught:
        await world.apply(world.body(name="One_"))
    assert caught.value.code == 422
    assert caught.value.field == "metadata.name"
    assert not caught.value.retryable


# -- versions and generations


async def test_an_apply_that_changes_nothing_writes_nothing(world: World) -> None:
    wanted = world.body(metadata={"labels": {"a": "1"}}, spec={"size": 1, "env": [{"name": "A", "value": "1"}]})
    first = await world.apply(wanted)
    assert await world.apply(wanted) == first
    assert await world.now() == first


async def test_only_the_spec_moves_the_generation(world: World) -> None:
    first = await world.apply(world.body(spec={"size": 1}))
    labelled = await world.apply(world.body(spec={"size": 1}, metadata={"labels": {"a": "1"}}))
    state = await world.apply(world.body(status={"backlog": 3}), subresource="status")
    changed = await world.apply(world.body(spec={"size": 2}, metadata={"labels": {"a": "1"}}))
    assert [body["metadata"]["generation"] for body in (first, labelled, state, changed)] == [1, 1, 1, 2]
    assert len({version(body) for body in (first, labelled, state, changed)}) == 4


async def test_an_object_that_comes_again_is_another_one(world: World) -> None:
    first = await world.apply(world.body())
    await world.cluster.delete(PROBE, world.namespace, "one")
    assert (await world.apply(world.body()))["metadata"]["uid"] != first["metadata"]["uid"]


async def test_a_dry_run_says_what_would_be_and_writes_nothing(world: World) -> None:
    before = await world.apply(world.body(spec={"size": 1}))
    would = await world.apply(world.body(spec={"size": 2}), dry_run=True)
    assert would["spec"] == {"size": 2}
    assert await world.now() == before
    await world.apply(world.body(name="two"), dry_run=True)
    assert await world.cluster.get(PROBE, world.namespace, "two") is None


# -- status and scale


async def test_spec_and_status_are_written_apart(world: World) -> None:
    await world.apply(world.body(spec={"size": 1}, status={"backlog": 1}))
    assert "status" not in await world.now()
    await world.apply(world.body(spec={"size": 2}, status={"backlog": 2}), subresource="status")
    body = await world.now()
    assert (body["spec"], body["status"]) == ({"size": 1}, {"backlog": 2})


async def test_conditions_are_merged_by_type_and_dropped_ones_vanish(world: World) -> None:
    def conditions(**statuses: str) -> Body:
        return world.body(status={"conditions": [{"type": kind, "status": is_so} for kind, is_so in statuses.items()]})

    await world.apply(world.body())
    await world.apply(conditions(Ready="False", Stalled="True"), subresource="status")
    await world.apply(conditions(Ours="True"), subresource="status", manager=OTHER)
    await world.apply(conditions(Ready="True"), subresource="status")
    found = {item["type"]: item["status"] for item in (await world.now())["status"]["conditions"]}
    assert found == {"Ready": "True", "Ours": "True"}


async def test_a_status_that_says_the_same_writes_nothing(world: World) -> None:
    await world.apply(world.body())
    status = world.body(status={"backlog": 1, "conditions": [{"type": "Ready", "status": "True"}]})
    before = await world.apply(status, subresource="status")
    assert await world.apply(status, subresource="status") == before


@pytest.mark.parametrize("subresource", ["status", "scale"])
async def test_a_subresource_needs_its_object(world: World, subresource: str) -> None:
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 1}}
    head = {"name": "one", "namespace": world.namespace}
    kind = DEPLOYMENT if subresource == "scale" else PROBE
    body = {**scale, "metadata": head} if subresource == "scale" else world.body(status={"backlog": 1})
    with pytest.raises(AbsentError):
        await world.apply(body, kind, subresource=subresource)


async def scale(world: World, replicas: int, **more: Any) -> Body:
    head = {"name": "one", "namespace": world.namespace, **more}
    body = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": head, "spec": {"replicas": replicas}}
    return await world.apply(body, DEPLOYMENT, manager=AUTOSCALER, subresource="scale")


async def test_a_deployment_that_never_names_replicas_has_one(world: World) -> None:
    assert (await world.apply(world.deployment(), DEPLOYMENT, dry_run=True))["spec"]["replicas"] == 1


async def test_replicas_that_nobody_owns_any_more_fall_back_to_one(world: World) -> None:
    """Row 3b: the trap that the handover is for."""
    await world.apply(world.deployment(replicas=0), DEPLOYMENT)
    assert (await world.apply(world.deployment(), DEPLOYMENT))["spec"]["replicas"] == 1


async def test_replicas_are_handed_over_to_the_autoscaler(world: World) -> None:
    async def owners() -> frozenset[str]:
        return await world.cluster.owners(DEPLOYMENT, world.namespace, "one", ".spec.replicas")

    assert await owners() == frozenset()
    await world.apply(world.deployment(replicas=0), DEPLOYMENT)
    assert await owners() == {OPERATOR}
    assert (await scale(world, 0))["spec"]["replicas"] == 0
    assert AUTOSCALER in await owners()  # and the operator too, unless it is zero: a Scale leaves that out
    await world.apply(world.deployment(), DEPLOYMENT)
    assert await owners() == {AUTOSCALER}
    assert (await world.now(DEPLOYMENT))["spec"]["replicas"] == 0


async def test_a_scale_changes_replicas_and_nothing_else(world: World) -> None:
    before = await world.apply(world.deployment(replicas=0, args=["true"]), DEPLOYMENT)
    answer = await scale(world, 0)
    assert answer["kind"] == "Scale"
    after = await world.now(DEPLOYMENT)
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


async def test_a_scale_that_rests_on_an_old_version_is_a_conflict(world: World) -> None:
    """A value that was read before somebody scaled up, written back, would kill workers."""
    old = await world.apply(world.deployment(replicas=0, args=["true"]), DEPLOYMENT)
    await scale(world, 0)
    await world.cluster.patch(DEPLOYMENT, world.namespace, "one", {"metadata": {"labels": {"new": "1"}}})
    head = {"name": "one", "namespace": world.namespace}
    body = {"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 0}}
    for stale in ({"resourceVersion": old["metadata"]["resourceVersion"]}, {"uid": "another"}):
        with pytest.raises(ConflictError):
            await world.apply(
                {**body, "metadata": {**head, **stale}}, DEPLOYMENT, manager=AUTOSCALER, subresource="scale"
            )

    async def scale_what_is_there() -> Body | None:
        """None: a controller of the cluster wrote between the look and the change."""
        now = await world.now(DEPLOYMENT)
        fresh = {name: now["metadata"][name] for name in ("resourceVersion", "uid")}
        done = {**body, "metadata": {**head, **fresh}}
        try:
            return await world.apply(done, DEPLOYMENT, manager=AUTOSCALER, subresource="scale")
        except ConflictError:
            return None

    answer = await eventually(scale_what_is_there)
    assert answer["metadata"]["uid"] == old["metadata"]["uid"]


async def test_a_scale_to_zero_is_one_and_says_its_version(world: World) -> None:
    """A Scale leaves 0 out, so this is no matter of course."""
    suspended = world.deployment(replicas=0, args=["true"])
    suspended["spec"]["paused"] = True  # no pods come of it
    await world.apply(suspended, DEPLOYMENT)
    await scale(world, 0)
    del suspended["spec"]["replicas"]
    await world.apply(suspended, DEPLOYMENT)
    for replicas in (3, 2, 0, 1, 0):
        answer = await scale(world, replicas)
        now = await world.now(DEPLOYMENT)
        assert (answer["spec"]["replicas"], now["spec"]["replicas"]) == (replicas, replicas)
        assert int(answer["metadata"]["resourceVersion"]) <= int(now["metadata"]["resourceVersion"])
        assert await world.cluster.owners(DEPLOYMENT, world.namespace, "one", ".spec.replicas") == {AUTOSCALER}


async def test_a_patch_that_names_a_uid_is_for_that_object_alone(world: World) -> None:
    body = await world.apply(world.body(spec={"size": 1}))
    change: Body = {"metadata": {"uid": body["metadata"]["uid"], "annotations": {"cost": "-100"}}}
    await world.cluster.patch(PROBE, world.namespace, "one", change)
    assert (await world.now())["metadata"]["annotations"] == {"cost": "-100"}
    other: Body = {"metadata": {"uid": "5b9e2fd4-0000-4000-8000-000000000000", "annotations": {"cost": None}}}
    with pytest.raises(ConflictError):
        await world.cluster.patch(PROBE, world.namespace, "one", other)
    change["metadata"]["annotations"]["cost"] = None
    await world.cluster.patch(PROBE, world.namespace, "one", change)
    assert not (await world.now())["metadata"].get("annotations")


# -- deleting


async def test_deleting_what_is_not_there_is_no_error(world: World) -> None:
    await world.cluster.delete(PROBE, world.namespace, "one")


async def test_only_the_object_that_is_meant_is_deleted(world: World) -> None:
    uid = (await world.apply(world.body()))["metadata"]["uid"]
    await world.cluster.delete(PROBE, world.namespace, "one", uid="00000000-0000-0000-0000-000000000000")
    assert (await world.now())["metadata"]["uid"] == uid
    await world.cluster.delete(PROBE, world.namespace, "one", uid=uid)
    assert await world.cluster.get(PROBE, world.namespace, "one") is None


async def test_a_finalizer_holds_an_object_until_it_is_taken_off(world: World) -> None:
    await world.apply(world.body(metadata={"finalizers": ["jetmill.dev/cleanup"]}, spec={"size": 1}))
    await world.cluster.delete(PROBE, world.namespace, "one")
    body = await world.now()
    assert body["metadata"]["deletionTimestamp"]
    assert body["metadata"]["generation"] == 2
    await world.cluster.delete(PROBE, world.namespace, "one")
    assert await world.now() == body
    free = {"metadata": {"resourceVersion": version(body), "finalizers": []}}
    await world.cluster.patch(PROBE, world.namespace, "one", free)
    assert await world.cluster.get(PROBE, world.namespace, "one") is None


async def test_each_managers_finalizer_is_its_own(world: World) -> None:
    await world.apply(world.body(metadata={"finalizers": ["jetmill.dev/cleanup"]}))
    await world.apply(world.body(metadata={"finalizers": ["test.jetmill.dev/other"]}), manager=OTHER)
    await world.cluster.delete(PROBE, world.namespace, "one")
    assert (await world.apply(world.body()))["metadata"]["finalizers"] == ["test.jetmill.dev/other"]
    await world.apply(world.body(), manager=OTHER)
    assert await world.cluster.get(PROBE, world.namespace, "one") is None


async def test_what_is_going_takes_no_new_finalizer(world: World) -> None:
    await world.apply(world.body(metadata={"finalizers": ["jetmill.dev/cleanup"]}))
    await world.cluster.delete(PROBE, world.namespace, "one")
    with pytest.raises(InvalidError) as caught:
        await world.apply(world.body(metadata={"finalizers": ["jetmill.dev/cleanup", "test.jetmill.dev/late"]}))
    assert caught.value.code == 422


def owned_by(body: Body) -> Body:
    reference = {"apiVersion": body["apiVersion"], "kind": body["kind"], "controller": True}
    return {"ownerReferences": [{**reference, "name": body["metadata"]["name"], "uid": body["metadata"]["uid"]}]}


async def test_children_follow_their_owner(world: World) -> None:
    owner = await world.apply(world.body())
    await world.apply(world.body(SECRET, "child", metadata=owned_by(owner)), SECRET)
    await world.apply(world.body(SECRET, "stranger"), SECRET)
    await world.cluster.delete(PROBE, world.namespace, "one")

    async def is_gone() -> bool:
        return await world.cluster.get(SECRET, world.namespace, "child") is None

    await eventually(is_gone)
    assert await world.cluster.get(SECRET, world.namespace, "stranger") is not None


async def test_a_child_of_an_owner_that_is_gone_is_collected(world: World) -> None:
    owner = await world.apply(world.body())
    await world.cluster.delete(PROBE, world.namespace, "one")
    await world.apply(world.body(SECRET, "child", metadata=owned_by(owner)), SECRET)

    async def is_gone() -> bool:
        return await world.cluster.get(SECRET, world.namespace, "child") is None

    await eventually(is_gone)


async def test_a_namespace_that_is_going_takes_nothing_new_but_lets_finalizers_off(world: World) -> None:
    """Row 5."""
    await world.apply(world.body(metadata={"finalizers": ["jetmill.dev/cleanup"]}))
    await world.terminate()
    for write in (world.apply(world.body(name="two")), world.cluster.create(SECRET, world.body(SECRET))):
        with pytest.raises(ForbiddenError) as caught:
            await write
        assert caught.value.terminating
    await world.apply(world.body(metadata={"labels": {"a": "1"}, "finalizers": ["jetmill.dev/cleanup"]}))
    await world.cluster.delete(PROBE, world.namespace, "one")
    await world.cluster.patch(PROBE, world.namespace, "one", {"metadata": {"finalizers": []}})
    assert await world.cluster.get(PROBE, world.namespace, "one") is None
