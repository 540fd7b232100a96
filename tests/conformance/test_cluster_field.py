"""What every `Cluster` promises of fields: who owns which one, and what a patch changes."""

from __future__ import annotations

import asyncio

import pytest

from conformance.world import World, version
from jetmill_operator.cluster.errors import AbsentError, ConflictError, InvalidError
from jetmill_operator.cluster.ports import DEPLOYMENT, LEASE, OPERATOR
from support.kube import PROBE

OTHER = "somebody-else"


# -- who owns which field


async def test_what_a_manager_names_no_more_goes(world: World) -> None:
    await world.apply(world.body(metadata={"labels": {"a": "1", "b": "2"}}, spec={"size": 1, "more": {"x": 1}}))
    body = await world.apply(world.body(metadata={"labels": {"b": "2"}}, spec={"size": 1}))
    assert body["metadata"]["labels"] == {"b": "2"}
    assert body["spec"] == {"size": 1}


async def test_what_another_manager_names_too_stays(world: World) -> None:
    await world.apply(world.body(spec={"size": 1, "more": {"x": 1, "y": 2}}))
    await world.apply(world.body(spec={"more": {"x": 1}}), manager=OTHER)
    body = await world.apply(world.body(spec={"size": 1}))
    assert body["spec"] == {"size": 1, "more": {"x": 1}}


async def test_another_value_of_a_field_that_is_owned_is_a_conflict_unless_forced(world: World) -> None:
    await world.apply(world.body(spec={"size": 1}))
    with pytest.raises(ConflictError, match=OPERATOR) as caught:
        await world.apply(world.body(spec={"size": 2}), manager=OTHER, force=False)
    assert ".spec.size" in str(caught.value)
    assert (await world.now())["spec"] == {"size": 1}
    await world.apply(world.body(spec={"size": 2}), manager=OTHER)
    assert await world.cluster.owners(PROBE, world.namespace, "one", ".spec.size") == {OTHER}


async def test_the_same_value_is_owned_together(world: World) -> None:
    await world.apply(world.body(spec={"size": 1}))
    await world.apply(world.body(spec={"size": 1}), manager=OTHER, force=False)
    assert await world.cluster.owners(PROBE, world.namespace, "one", ".spec") == {OPERATOR, OTHER}


async def test_a_forced_apply_reverts_changes_and_leaves_additions(world: World) -> None:
    """Row 3d."""
    wanted = world.body(spec={"size": 1, "env": [{"name": "A", "value": "1"}]}, metadata={"labels": {"a": "1"}})
    await world.apply(wanted)
    drift = {
        "metadata": {"labels": {"a": "drifted", "b": "added"}, "annotations": {"note": "added"}},
        "spec": {"size": 5, "env": [{"name": "A", "value": "drifted"}, {"name": "B", "value": "added"}]},
    }
    await world.cluster.patch(PROBE, world.namespace, "one", drift, manager=OTHER)
    body = await world.apply(wanted)
    assert body["metadata"]["labels"] == {"a": "1", "b": "added"}
    assert body["metadata"]["annotations"] == {"note": "added"}
    assert body["spec"]["size"] == 1
    assert body["spec"]["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "added"}]


async def test_items_of_a_keyed_list_are_each_ones_own(world: World) -> None:
    await world.apply(world.body(spec={"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}))
    await world.apply(world.body(spec={"env": [{"name": "C", "value": "3"}]}), manager=OTHER)
    body = await world.apply(world.body(spec={"env": [{"name": "B", "value": "4"}]}))
    assert body["spec"]["env"] == [{"name": "B", "value": "4"}, {"name": "C", "value": "3"}]


async def test_containers_of_another_manager_stay_beside_ours(world: World) -> None:
    await world.apply(world.deployment(replicas=0, env=[{"name": "A", "value": "1"}]), DEPLOYMENT)
    sidecar = world.deployment(replicas=0)
    sidecar["spec"]["template"]["spec"]["containers"] = [{"name": "sidecar", "image": "busybox:1.35"}]
    await world.apply(sidecar, DEPLOYMENT, manager=OTHER)
    body = await world.apply(world.deployment(replicas=0, env=[{"name": "B", "value": "2"}]), DEPLOYMENT)
    containers = {item["name"]: item for item in body["spec"]["template"]["spec"]["containers"]}
    assert containers.keys() == {"worker", "sidecar"}
    assert containers["worker"]["env"] == [{"name": "B", "value": "2"}]


async def test_two_items_alike_are_refused_for_ever(world: World) -> None:
    """Row 3e: the API server says 500, and means never."""
    with pytest.raises(InvalidError) as caught:
        await world.apply(
            world.deployment(replicas=0, env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]), DEPLOYMENT
        )
    assert caught.value.code == 500
    assert not caught.value.retryable


# -- patches


async def test_a_patch_changes_what_it_names_and_null_takes_out(world: World) -> None:
    await world.apply(world.body(spec={"size": 1, "more": {"x": 1, "y": 2}}))
    body = await world.cluster.patch(PROBE, world.namespace, "one", {"spec": {"size": 2, "more": {"y": None}}})
    assert body["spec"] == {"size": 2, "more": {"x": 1}}


async def test_a_patch_that_changes_nothing_writes_nothing(world: World) -> None:
    before = await world.apply(world.body(spec={"size": 1}))
    assert await world.cluster.patch(PROBE, world.namespace, "one", {"spec": {"size": 1}}) == before


async def test_a_patch_of_a_stale_version_is_refused(world: World) -> None:
    first = await world.apply(world.body(spec={"size": 1}))
    await world.apply(world.body(spec={"size": 2}))
    stale = {"metadata": {"resourceVersion": version(first)}, "spec": {"size": 3}}
    with pytest.raises(ConflictError):
        await world.cluster.patch(PROBE, world.namespace, "one", stale)
    assert (await world.now())["spec"] == {"size": 2}


async def test_of_many_patches_of_one_version_one_is_taken(world: World) -> None:
    head = version(await world.cluster.create(LEASE, world.body(LEASE, spec={"holderIdentity": "nobody"})))

    async def take(who: int) -> bool:
        patch = {"metadata": {"resourceVersion": head}, "spec": {"holderIdentity": f"candidate-{who}"}}
        try:
            await world.cluster.patch(LEASE, world.namespace, "one", patch)
        except ConflictError:
            return False
        return True

    assert sum(await asyncio.gather(*(take(who) for who in range(5)))) == 1


async def test_a_patch_of_nothing_is_said_to_be_one(world: World) -> None:
    with pytest.raises(AbsentError):
        await world.cluster.patch(PROBE, world.namespace, "one", {"spec": {"size": 1}})


async def test_an_apply_to_a_stale_version_is_refused(world: World) -> None:
    first = await world.apply(world.body(spec={"size": 1}))
    await world.apply(world.body(spec={"size": 2}))
    with pytest.raises(ConflictError):
        await world.apply(world.body(spec={"size": 3}, metadata={"resourceVersion": version(first)}))
    with pytest.raises(ConflictError):
        await world.apply(world.body(name="two", metadata={"uid": first["metadata"]["uid"]}))
