"""A worker without a pod has the variables that its container declares, and what holds on a laptop."""

from __future__ import annotations

from pathlib import Path

import pytest

from jetmill.errors import InputError
from jetmill_operator.cluster.ports import Body
from jetmill_operator.dev.environment import build_worker_environment

SOURCES = {
    ("Secret", "shop"): {"token": "s3cret", "user": "ada"},
    ("ConfigMap", "shop"): {"level": "3", "no-name": "x"},
}
FOLDER = Path("/shop")


def build(env: list[Body] | None = None, env_from: list[Body] | None = None, **environ: str) -> dict[str, str]:
    container = {"name": "worker", "env": env or [], "envFrom": env_from or []}
    meta = {"name": "mail-1", "namespace": "bank", "labels": {"team": "a"}}
    pod = {"metadata": meta, "spec": {"containers": [{"name": "sidecar"}, container]}}
    return build_worker_environment(pod, FOLDER, SOURCES, url="nats://here", environ=environ)


def refer(kind: str, name: str, key: str, **more: object) -> Body:
    return {"name": "A", "valueFrom": {kind: {"name": name, "key": key, **more}}}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ({"name": "A", "value": "b"}, "b"),
        ({"name": "A"}, ""),
        ({"name": "A", "value": "$(FIRST), $$(FIRST), $(LATER)"}, "1, $(FIRST), $(LATER)"),
        (refer("secretKeyRef", "shop", "token"), "s3cret"),
        (refer("configMapKeyRef", "shop", "level"), "3"),
        (refer("secretKeyRef", "shop", "nothing"), "mine"),
        ({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, "mail-1"),
        ({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['team']"}}}, "a"),
        ({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}, "127.0.0.1"),
    ],
)
@pytest.mark.field(
    "Job.spec.worker.env.valueFrom.secretKeyRef.name",
    "Job.spec.worker.env.valueFrom.secretKeyRef.key",
    "Job.spec.worker.env.valueFrom.configMapKeyRef.name",
    "Job.spec.worker.env.valueFrom.configMapKeyRef.key",
    "Job.spec.worker.env.valueFrom.fieldRef.fieldPath",
)
def test_a_variable_has_the_value_that_it_would_have_in_a_pod(variable, value):
    env = [{"name": "FIRST", "value": "1"}, variable, {"name": "LATER", "value": "2"}]
    assert build(env, A="mine")["A"] == value


def test_a_variable_that_may_be_missing_is_left_out():
    assert "A" not in build([refer("secretKeyRef", "none", "token", optional=True)])


@pytest.mark.parametrize(
    "variable",
    [
        refer("secretKeyRef", "none", "token"),
        {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.podIPs"}}},
        {"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
    ],
)
def test_a_variable_that_cannot_be_known_keeps_the_worker_from_starting(variable):
    with pytest.raises(InputError):
        build([variable])


def test_whole_secrets_and_config_maps_become_variables_and_env_outranks_them():
    env_from: list[Body] = [{"secretRef": {"name": "shop"}}, {"prefix": "P_", "configMapRef": {"name": "shop"}}]
    built = build([{"name": "user", "value": "bob"}], [*env_from, {"secretRef": {"name": "none"}}])
    assert {name: built.get(name) for name in ("token", "user", "P_level", "P_no-name")} == {
        "token": "s3cret",
        "user": "bob",
        "P_level": "3",
        "P_no-name": None,
    }


def test_no_variable_leads_a_worker_to_another_nats_than_that_of_dev():
    names = ("JETMILL_NATS_URL", "JETMILL_NATS_USER", "JETMILL_PREFIX")
    built = build([{"name": name, "value": "theirs"} for name in names], JETMILL_NATS_CREDENTIALS="mine")
    assert {name: value for name, value in built.items() if name.startswith("JETMILL_")} == {
        "JETMILL_NATS_URL": "nats://here",
        "JETMILL_HEALTH_HOST": "127.0.0.1",
        "JETMILL_HEALTH_PORT": "0",
        "JETMILL_LOG_FORMAT": "console",
    }


def test_the_folder_comes_first_on_the_path_of_the_code():
    assert build(PYTHONPATH="/lib")["PYTHONPATH"] == "/shop:/lib"
    assert build([{"name": "PYTHONPATH", "value": "/more"}], PYTHONPATH="/lib")["PYTHONPATH"] == "/shop:/more"
    assert build()["PYTHONPATH"] == "/shop"
