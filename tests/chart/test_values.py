"""Values: a typing error is refused, a contradiction says its cure, everything is described."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from support.chart import CHART, VALUES, load_helm, render

SECRET = {"name": "shop", "worker": {"existingSecret": "x"}}


@pytest.mark.parametrize(
    "values",
    [
        {"oprator": {}},
        {"operator": {"replica": 2}},
        {"operator": {"image": {"digest": "latest"}}},
        {"operator": {"logLevel": "loud"}},
        {"operator": {"resources": {"limit": {}}}},
        {"nats": {"replicas": 2}},
        {"nats": {"persistence": {"size": "10 GB"}}},
        {"nats": {"url": "nats.example:4222"}},
        {"nats": {"streamReplicas": 2}},
        {"namespaces": ["shop"]},
        {"namespaces": [{"name": "Shop"}]},
        {"namespaces": [{"create": True}]},
        {"watchNamespaces": ["shop", "shop"]},
        {"networkPolicy": {"apiServerPorts": []}},
        {"metrics": {"serviceMonitor": {"interval": 30}}},
        {"commonLabels": {"a": 1}},
    ],
    ids=json.dumps,
)
def test_the_schema_refuses(values: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="schema"):
        render(values)


@pytest.mark.parametrize(
    ("values", "cure"),
    [
        ({"nats": {"url": "nats://nats:4222"}}, "set nats.enabled to false"),
        ({"nats": {"enabled": False}}, "nats.url is missing"),
        ({"nats": {"existingSecret": "x"}}, "use nats.auth.existingSecret"),
        ({"nats": {"auth": {"existingSecret": "x"}}}, "nats.auth.operatorSecret is missing"),
        ({"nats": {"auth": {"operatorSecret": "x"}}}, "goes with nats.auth.existingSecret"),
        ({"namespaces": [SECRET]}, "the chart's own passwords"),
        ({"namespaces": [{"name": "a"}, {"name": "a"}]}, "keep one of them"),
        ({"watchNamespaces": ["a"], "namespaces": [{"name": "b"}]}, "add it to watchNamespaces"),
        ({"operator": {"lease": {"seconds": 5}}}, "retrySeconds < renewSeconds < seconds"),
        ({"gateway": {"replicas": 2}}, "goes with gateway.mode deployment"),
        ({"gateway": {"nats": {"existingSecret": "x"}}}, "the chart's own passwords"),
        ({"gateway": {"ingress": {"enabled": True}}}, "gateway.ingress.hosts is missing"),
        ({"rbac": {"create": False}}, "operator.serviceAccount.name is missing"),
    ],
)
def test_a_contradiction_says_its_cure(values: dict[str, Any], cure: str) -> None:
    with pytest.raises(load_helm().HelmError, match=re.escape(cure)):
        render(values)


def test_what_is_made_from_elsewhere_is_not_stale() -> None:
    """CRDs from crds/, NATS permissions from docs/permissions.md, README.md's table from values.yaml."""
    done = subprocess.run(
        [sys.executable, str(CHART.parent / "generate.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}: run `make generate`"


def leaves(schema: dict[str, Any], definitions: dict[str, Any], path: str = "") -> Iterator[str]:
    schema = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if "properties" not in schema or path.endswith("esources"):  # what stands inside is Kubernetes' own
        yield path
        return
    assert schema["additionalProperties"] is False, path
    for key, inner in schema["properties"].items():
        yield from leaves(inner, definitions, f"{path}.{key}".lstrip("."))


def test_schema_and_defaults_know_the_same_values_and_each_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(CHART.parent))
    read_values = runpy.run_path(str(CHART.parent / "generate.py"))["read_values"]
    schema = json.loads((CHART / "values.schema.json").read_text())
    text = (CHART / "values.yaml").read_text()
    described = {path for path, _, _ in read_values(text)}
    defaults = yaml.safe_load(text)
    for path in leaves(schema, schema["definitions"]):
        value = defaults
        for key in path.split("."):
            assert key in value, f"{path} is in the schema only"
            value = value[key]
        assert any(path == one or path.startswith(one + ".") for one in described), f"{path} is not described"
    known = set(leaves(schema, schema["definitions"]))
    for path in described:
        assert any(one == path or one.startswith(path + ".") for one in known), f"{path} is not in the schema"


def test_the_sets_of_values_reach_every_switch() -> None:
    """A switch that no snapshot turns over would be a branch that nobody looked at."""
    switches = {
        path
        for path, default in _scalars(yaml.safe_load((CHART / "values.yaml").read_text()))
        if default in (True, False)
    }
    turned = {path for values in VALUES.values() for path, value in _scalars(values) if path in switches}
    assert switches - turned - NEVER_TURNED == set()


NEVER_TURNED = {
    "operator.serviceAccount.create",
    "operator.podDisruptionBudget.enabled",
    "gateway.serviceAccount.create",
    "dispatcher.serviceAccount.create",
    "nats.podDisruptionBudget.enabled",
    "rbac.create",
}
"""Their other side is the absence of an object."""


def _scalars(values: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(values, dict):
        for key, value in values.items():
            yield from _scalars(value, f"{path}.{key}".lstrip("."))
    else:
        yield path, values if not isinstance(values, list) else None
