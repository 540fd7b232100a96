"""The table of strategic merges, as `kubectl patch --type=strategic` does them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmill.errors import InputError
from jetmill_operator.resources.merge import merge_strategic


def env(*names: str, value: str = "old") -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name in names]


MERGES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "a map is merged": ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}),
    "a null removes": ({"a": 1, "b": {"c": 1, "d": 2}}, {"a": None, "b": {"c": None}}, {"b": {"d": 2}}),
    "a list without a key is replaced": ({"command": ["a", "b"]}, {"command": ["c"]}, {"command": ["c"]}),
    "a list with a key is merged, new elements last": (
        {"env": env("A", "B")},
        {"env": [*env("B", "C", value="new")]},
        {"env": [*env("A"), *env("B", "C", value="new")]},
    ),
    "containers are told apart by name": (
        {"containers": [{"name": "worker", "image": "a", "env": env("A")}]},
        {"containers": [{"name": "proxy", "image": "p"}, {"name": "worker", "env": env("B")}]},
        {"containers": [{"name": "worker", "image": "a", "env": env("A", "B")}, {"name": "proxy", "image": "p"}]},
    ),
    "mounts are told apart by path, ports by number": (
        {"volumeMounts": [{"mountPath": "/a", "name": "x"}], "ports": [{"containerPort": 1}]},
        {"volumeMounts": [{"mountPath": "/a", "name": "y"}], "ports": [{"containerPort": 2}]},
        {"volumeMounts": [{"mountPath": "/a", "name": "y"}], "ports": [{"containerPort": 1}, {"containerPort": 2}]},
    ),
    "an element can be deleted": (
        {"env": env("A", "B")},
        {"env": [{"name": "A", "$patch": "delete"}]},
        {"env": env("B")},
    ),
    "an element can be replaced": (
        {"containers": [{"name": "w", "image": "a", "args": ["x"]}]},
        {"containers": [{"name": "w", "image": "b", "$patch": "replace"}]},
        {"containers": [{"name": "w", "image": "b"}]},
    ),
    "a whole list can be replaced": (
        {"env": env("A", "B")},
        {"env": [{"$patch": "replace"}, *env("C")]},
        {"env": env("C")},
    ),
    "a map can be replaced": ({"a": {"b": 1}}, {"a": {"$patch": "replace", "c": 2}}, {"a": {"c": 2}}),
    "a map can be deleted": ({"a": {"b": 1}, "c": 1}, {"a": {"$patch": "delete"}}, {"c": 1}),
    "a volume of another source takes the place": (
        {"volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory"}}]},
        {"volumes": [{"name": "tmp", "persistentVolumeClaim": {"claimName": "c"}}]},
        {"volumes": [{"name": "tmp", "persistentVolumeClaim": {"claimName": "c"}}]},
    ),
    "a volume of the same source is merged": (
        {"volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory"}}]},
        {"volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}]},
        {"volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}]},
    ),
    "only retained keys stay": ({"a": {"b": 1, "c": 2}}, {"a": {"$retainKeys": ["c"], "c": 3}}, {"a": {"c": 3}}),
    "values go from a list of texts": ({"f": ["a", "b"]}, {"$deleteFromPrimitiveList/f": ["a"]}, {"f": ["b"]}),
    "an order is no field": ({"env": env("A")}, {"$setElementOrder/env": [{"name": "A"}]}, {"env": env("A")}),
    "what is new comes without directives and nulls": (
        {},
        {"a": {"b": None, "c": [{"d": None, "e": 1}]}, "env": [{"name": "A", "value": None}]},
        {"a": {"c": [{"e": 1}]}, "env": [{"name": "A"}]},
    ),
}


@pytest.mark.parametrize("case", MERGES)
def test_merges(case) -> None:
    base, patch, merged = MERGES[case]
    assert merge_strategic(base, patch) == merged


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"spec": {"containers": [{"image": "a"}]}}, "spec.containers[0]"),
        ({"spec": {"containers": ["a"]}}, "spec.containers[0]"),
        ({"spec": {"containers": [{"name": "w", "env": [{"value": "x"}]}]}}, "spec.containers[w].env[0]"),
        ({"spec": {"$patch": "burn"}}, "spec"),
        ({"spec": {"containers": "a"}}, "spec.containers"),
        ({"spec": {"containers": {"name": "w"}}}, "spec.containers"),
        ({"spec": ["a"]}, "spec"),
        ({"spec": {"containers": [{"name": ["w"]}]}}, "spec.containers[0]"),
        ({"spec": {"$retainKeys": 1}}, "spec.$retainKeys"),
        ({"spec": {"$deleteFromPrimitiveList/args": 1}}, "spec.$deleteFromPrimitiveList/args"),
    ],
)
def test_a_patch_that_cannot_be_is_refused_by_its_field(patch, field) -> None:
    with pytest.raises(InputError) as refused:
        merge_strategic({"spec": {"containers": [{"name": "w", "env": env("A")}]}}, patch)
    assert refused.value.field == field
    assert refused.value.cure


_names = st.sampled_from(["a", "b", "c", "env", "volumes", "containers"])
_values = st.recursive(
    st.sampled_from([None, 0, 1, "", "x"]),
    lambda below: st.dictionaries(st.sampled_from(["a", "b", "c"]), below, max_size=3),
    max_leaves=8,
)


@given(base=st.dictionaries(_names, _values, max_size=4), patch=st.dictionaries(_names, _values, max_size=4))
def test_a_patch_applied_again_changes_nothing(base, patch) -> None:
    try:
        once = merge_strategic(base, patch)
    except InputError:
        return  # a mapping's place is no number's
    assert merge_strategic(once, patch) == once


@given(base=st.dictionaries(_names, _values, max_size=4))
def test_an_empty_patch_changes_nothing(base) -> None:
    assert merge_strategic(base, {}) == base
