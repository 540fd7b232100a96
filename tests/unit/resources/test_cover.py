"""What is live covers what is wanted, whatever stands beside it."""

from __future__ import annotations

import pytest

from jetmill_operator.resources.cover import covers, find_gaps, project

COVERED = [
    ({"a": 1, "b": 2}, {"a": 1}),
    ({"spec": {"containers": [{"name": "side"}, {"name": "w", "image": "a", "tty": False}]}},
     {"spec": {"containers": [{"name": "w", "image": "a"}]}}),
    ({"limits": {"cpu": "500m", "memory": "1Gi"}}, {"limits": {"cpu": "0.5", "memory": "1024Mi"}}),
    ({"emptyDir": {"sizeLimit": "1Gi"}}, {"emptyDir": {"sizeLimit": "1024Mi"}}),
    ({"env": [{"name": "A"}]}, {"env": [{"name": "A", "value": ""}]}),
    ({"volumeMounts": [{"mountPath": "/a"}]}, {"volumeMounts": [{"mountPath": "/a", "readOnly": False}]}),
    ({}, {"annotations": {}}),
]  # fmt: skip
GAPS = [
    ({"a": 1}, {"a": 2}, ["a"]),
    ({}, {"a": {"b": 1}}, ["a.b"]),
    ({"command": ["a", "b"]}, {"command": ["a"]}, ["command"]),
    ({"command": ["a", "b"]}, {"command": ["a", "c"]}, ["command[1]"]),
    ({"spec": {"env": [{"name": "A", "value": "1"}]}}, {"spec": {"env": [{"name": "A", "value": "2"}, {"name": "B"}]}},
     ["spec.env[A].value", "spec.env[B]"]),
    ({"limits": {"cpu": "500m"}}, {"limits": {"cpu": "0.6"}}, ["limits.cpu"]),
    ({}, {"automountServiceAccountToken": False}, ["automountServiceAccountToken"]),
    ({"labels": {"a": "1"}}, {"labels": {"a": "01"}}, ["labels.a"]),
]  # fmt: skip


@pytest.mark.parametrize(("live", "wanted"), COVERED)
def test_what_others_added_and_other_spellings_are_no_gap(live, wanted) -> None:
    assert list(find_gaps(live, wanted)) == []
    assert covers(live, wanted)


@pytest.mark.parametrize(("live", "wanted", "gaps"), GAPS)
def test_each_gap_is_named_by_its_path(live, wanted, gaps) -> None:
    assert list(find_gaps(live, wanted)) == gaps
    assert not covers(live, wanted)


def test_a_projection_holds_what_is_spoken_of_and_no_more() -> None:
    live = {
        "metadata": {"uid": "u", "labels": {"a": "1", "b": "2"}},
        "env": [{"name": "B"}, {"name": "A", "value": "x"}],
    }
    wanted = {"metadata": {"labels": {"a": "9", "c": "3"}}, "env": [{"name": "A", "value": "y"}, {"name": "C"}]}
    assert project(live, wanted) == {"metadata": {"labels": {"a": "1"}}, "env": [{"name": "A", "value": "x"}]}


def test_a_projection_keeps_the_wanted_spelling_of_a_quantity() -> None:
    assert project({"limits": {"cpu": "500m"}}, {"limits": {"cpu": "0.5"}}) == {"limits": {"cpu": "0.5"}}
