"""What the chart renders: unchanged unless meant, valid for Kubernetes, and restricted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from support.chart import CHART, VALUES, Manifest, find, load_helm, mask, pods, render, render_text

SNAPSHOTS = Path(__file__).parent / "snapshots"
KUBERNETES = "1.34"
OTHERS = ("jetmill.dev/", "monitoring.coreos.com/")
"""API groups of which Kubernetes has no schema."""
each_set = pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())


@pytest.mark.parametrize("name", VALUES)
def test_what_is_rendered_is_what_was_looked_at(name: str) -> None:
    """`make snapshots` writes them anew; look at the difference before you commit it."""
    parts = render_text(VALUES[name])
    text = mask("".join(f"## {path}\n{text.strip()}\n" for path, text in parts.items() if not path.startswith("crds/")))
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.write_text(text)
    assert text == path.read_text(), "run `make snapshots` if that is meant"


@each_set
def test_kubernetes_knows_every_field(values: dict[str, Any]) -> None:
    kubernetes = pytest.importorskip("kubernetes_validate", reason="run `make chart`, which installs it")
    checked = 0
    for manifest in render(values):
        if not manifest["apiVersion"].startswith(OTHERS):
            kubernetes.validate(manifest, KUBERNETES, strict=True)
            checked += 1
    assert checked > 5


@each_set
def test_every_pod_is_restricted(values: dict[str, Any]) -> None:
    found = list(pods(render(values)))
    assert found
    for where, spec in found:
        assert not find_breaches(spec), where


def find_breaches(spec: Manifest) -> list[str]:
    """What the restricted level of the Pod Security Standards and our own rules forbid."""
    breaches = [field for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    security = spec.get("securityContext", {})
    if security.get("runAsNonRoot") is not True or security.get("runAsUser", 0) == 0:
        breaches.append("runs as root")
    if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
        breaches.append("seccompProfile")
    allowed = {"configMap", "secret", "emptyDir", "projected", "persistentVolumeClaim", "downwardAPI"}
    breaches += [volume["name"] for volume in spec.get("volumes", []) if not volume.keys() & allowed]
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        wanted = {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        if container.get("securityContext") != wanted:
            breaches.append(f"securityContext of {container['name']}")
        if "memory" not in container.get("resources", {}).get("limits", {}):
            breaches.append(f"no limit of memory of {container['name']}")
        breaches += [f"host port {port}" for port in container.get("ports", []) if "hostPort" in port]
    if "automountServiceAccountToken" not in spec:
        breaches.append("automountServiceAccountToken is left to the default")
    return breaches


@pytest.mark.parametrize(
    ("change", "breach"),
    [
        ({"securityContext": {"runAsNonRoot": True, "runAsUser": 0}}, "runs as root"),
        ({"hostNetwork": True}, "hostNetwork"),
        ({"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}, "host"),
        ({"containers": [{"name": "worse", "securityContext": {"privileged": True}}]}, "securityContext of worse"),
    ],
)
def test_a_breach_would_be_seen(change: dict[str, Any], breach: str) -> None:
    _, spec = next(iter(pods(render())))
    assert breach in find_breaches({**spec, **change})


@each_set
def test_only_who_talks_to_the_api_server_has_a_token(values: dict[str, Any]) -> None:
    for where, spec in pods(render(values)):
        assert spec["automountServiceAccountToken"] is where.endswith(
            ("-operator", "-gateway", "-dispatcher", "-cleanup", "-test")
        ), where


def test_helm_has_nothing_to_complain_of() -> None:
    report = load_helm().lint(str(CHART), strict=True)
    assert report["errors"] == []
    assert [message for message in report["messages"] if message["severity"] > 1] == []


@each_set
def test_every_object_says_whose_it_is(values: dict[str, Any]) -> None:
    for manifest in render(values):
        if manifest["metadata"]["name"] in ("text", "jetmill-more"):  # extraObjects
            continue
        labels = manifest["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "Helm", manifest["metadata"]["name"]
        assert labels["app.kubernetes.io/part-of"] == "jetmill"


def test_an_upgrade_of_the_chart_alone_restarts_no_server() -> None:
    for kind, name in (("StatefulSet", "jetmill-nats"), ("Deployment", "jetmill-operator")):
        labels = find(render(), kind, name)["spec"]["template"]["metadata"]["labels"]
        assert not labels.keys() & {"helm.sh/chart", "app.kubernetes.io/version"}


def test_a_change_of_users_restarts_no_server_and_a_change_of_the_server_does() -> None:
    def checksum(values: dict[str, Any]) -> str:
        template = find(render(values), "StatefulSet", "jetmill-nats")["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/config"])

    assert checksum({}) == checksum({"namespaces": [{"name": "shop"}]})
    assert checksum({}) != checksum({"nats": {"maxMemoryStore": "1Gi"}})


def test_one_server_syncs_always_and_three_form_a_cluster() -> None:
    one = find(render(), "ConfigMap", "jetmill-nats")["data"]["nats.conf"]
    three = find(render({"nats": {"replicas": 3}}), "ConfigMap", "jetmill-nats")["data"]["nats.conf"]
    assert "sync_interval: always" in one
    assert "cluster.conf" not in one
    assert "sync_interval" not in three
    assert 'include "cluster.conf"' in three


def test_notes_name_what_is_there() -> None:
    notes = render_text({"namespaces": [{"name": "shop"}]})["NOTES.txt"]
    assert "rollout status deployment/jetmill-operator" in notes
    assert "jetmill-nats-producer" in notes
    assert "namespaces[0].name" in render_text({"namespaces": []})["NOTES.txt"]
