"""Rights: each verb granted stands here with its reason, and no more is granted.

The half that can be seen without a cluster; tests/cluster/test_rights.py compares with what is asked at run time.
"""

from __future__ import annotations

from typing import Any

import pytest

from jetmill_operator.gateway.access.right import GROUP, RIGHTS
from support.chart import Manifest, find, render
from support.right import Grant, list_grants

WATCHED: dict[Grant, str] = {
    **{
        ("jetmill.dev", kind, verb): reason
        for kind in ("jobs", "scheduledjobs", "webhooks")
        for verb, reason in {
            "get": "to reconcile a key by what is there now",
            "list": "the start of a watch, and the sentinel",
            "watch": "to hear of changes",
        }.items()
    },
    **{("jetmill.dev", kind, "patch"): "the finalizer" for kind in ("jobs", "scheduledjobs", "webhooks")},
    ("jetmill.dev", "jobs/finalizers", "update"): "children that block their owner's deletion, if admission checks it",
    **{
        ("jetmill.dev", f"{kind}/status", "patch"): "conditions and counters"
        for kind in ("jobs", "scheduledjobs", "webhooks")
    },
    **{
        (group, kind, verb): reason
        for group, kind in (("apps", "deployments"), ("", "serviceaccounts"), ("policy", "poddisruptionbudgets"))
        for verb, reason in {
            "get": "to see what is there before it is changed",
            "list": "the start of a watch",
            "watch": "drift",
            "create": "server-side apply of one that is not there",
            "patch": "server-side apply",
            "delete": "what the declaration no longer names",
        }.items()
    },
    ("apps", "deployments/scale", "patch"): "the autoscaler, and nothing but replicas",
    ("", "pods", "list"): "why workers are not there, and who may go",
    ("", "pods", "watch"): "the same, as it happens",
    ("", "pods", "patch"): "pod-deletion-cost: who goes first",
    ("", "events", "create"): "to tell a person",
    ("", "events", "patch"): "to count one up",
}
COPIES: dict[Grant, str] = {
    ("", "secrets", "get"): "does the copy differ?",
    ("", "secrets", "create"): "server-side apply of one that is not there",
    ("", "secrets", "patch"): "server-side apply",
}
"""Only of the two names in NAMES."""
NAMES = ["jetmill-nats-worker", "jetmill-nats-producer"]
OWN: dict[Grant, str] = {
    ("coordination.k8s.io", "leases", "create"): "the first leader",
    ("coordination.k8s.io", "leases", "get"): "who leads?",
    ("coordination.k8s.io", "leases", "patch"): "to renew, and to let go",
    ("", "events", "create"): "to tell a person",
    ("", "events", "patch"): "to count one up",
    ("", "secrets", "get"): "what is to be copied",
}


def test_the_cluster_role_grants_what_is_used_and_no_more() -> None:
    role = find(render(), "ClusterRole", "jetmill:jetmill-operator")
    assert list_grants(role) == {*WATCHED, *COPIES}


def test_a_namespaced_install_grants_the_same_in_its_namespaces_only() -> None:
    manifests = render({"watchNamespaces": ["shop", "billing"], "namespaces": [{"name": "shop"}]})
    watching = [
        one for one in manifests if one["kind"] == "Role" and one["metadata"]["name"] == "jetmill-operator-watch"
    ]
    assert {one["metadata"]["namespace"] for one in watching} == {"shop", "billing"}
    for role in watching:
        assert list_grants(role) == {*WATCHED, *COPIES}
    bound = [one["roleRef"]["name"] for one in manifests if one["kind"] == "ClusterRoleBinding"]
    assert bound == ["system:auth-delegator"], "the gateway asks who somebody is, which no namespace knows"


def test_in_its_own_namespace_it_has_a_lease_and_the_secrets_that_it_copies() -> None:
    role = find(render(), "Role", "jetmill-operator")
    assert list_grants(role) == set(OWN)
    assert secret_names(role) == ["jetmill-nats-worker-default", "jetmill-nats-producer-default"]


def secret_names(role: Manifest) -> list[str]:
    """The names of all Secrets that a role reaches; fails for a rule without names."""
    return [name for rule in role["rules"] if "secrets" in rule["resources"] for name in rule["resourceNames"]]


def test_of_secrets_elsewhere_only_the_two_copies_are_reached() -> None:
    assert secret_names(find(render(), "ClusterRole", "jetmill:jetmill-operator")) == NAMES


def test_without_copies_no_secret_is_reached_at_all() -> None:
    values = {"nats": {"enabled": False, "url": "nats://nats:4222"}}
    for role in (one for one in render(values) if one["kind"] in ("Role", "ClusterRole")):
        assert "secrets" not in {resource for rule in role["rules"] for resource in rule["resources"]}


@pytest.mark.parametrize("values", [{}, {"watchNamespaces": ["shop"], "namespaces": []}])
def test_nothing_is_granted_by_a_star_and_nobody_may_grant(values: dict[str, Any]) -> None:
    roles = [one for one in render(values) if one["kind"] in ("Role", "ClusterRole")]
    assert roles
    for role in roles:
        for group, resource, verb in list_grants(role):
            assert "*" not in (group, resource, verb), role["metadata"]["name"]
            assert verb not in ("bind", "escalate", "impersonate"), role["metadata"]["name"]
            assert group != "rbac.authorization.k8s.io", role["metadata"]["name"]


def test_people_who_may_view_edit_or_administer_may_do_so_with_jobs() -> None:
    manifests = render()
    for role, verbs in {
        "view": {"get", "list", "watch"},
        "edit": {"create", "update", "patch", "delete", "deletecollection"},
        "admin": {"create", "update", "patch", "delete", "deletecollection"},
    }.items():
        found = find(manifests, "ClusterRole", f"jetmill:jetmill-{role}")
        assert found["metadata"]["labels"][f"rbac.authorization.k8s.io/aggregate-to-{role}"] == "true"
        assert {verb for _, kind, verb in list_grants(found) if "/" not in kind} == verbs


def test_the_test_may_make_and_remove_its_one_job() -> None:
    role = find(render(), "Role", "jetmill-test")
    assert list_grants(role) == {("jetmill.dev", "jobs", verb) for verb in ("create", "get", "delete")}
    assert [rule.get("resourceNames") for rule in role["rules"]] == [None, ["jetmill-test"]]


def test_the_clean_up_may_stop_the_operator_and_remove_what_it_made() -> None:
    manifests = render()
    role = find(manifests, "Role", "jetmill-cleanup")
    assert list_grants(role) == {
        ("apps", "deployments/scale", "patch"),
        ("", "pods", "list"),
        ("coordination.k8s.io", "leases", "delete"),
    }
    assert list_grants(find(manifests, "ClusterRole", "jetmill:jetmill-cleanup")) == {
        *(
            ("jetmill.dev", kind, verb)
            for kind in ("jobs", "scheduledjobs", "webhooks")
            for verb in ("get", "list", "patch")
        ),
        *(
            (group, kind, verb)
            for group, kind in (("apps", "deployments"), ("policy", "poddisruptionbudgets"), ("", "serviceaccounts"))
            for verb in ("list", "delete")
        ),
        ("", "secrets", "get"),
        ("", "secrets", "delete"),
    }


def test_a_gateway_of_its_own_reads_what_is_declared_and_asks_who_somebody_is() -> None:
    manifests = render({"gateway": {"mode": "deployment"}})
    grants = list_grants(find(manifests, "ClusterRole", "jetmill:jetmill-gateway"))
    assert grants == {
        ("jetmill.dev", kind, verb)
        for kind in ("jobs", "scheduledjobs", "webhooks")
        for verb in ("get", "list", "watch")
    }
    account = {"kind": "ServiceAccount", "name": "jetmill-gateway", "namespace": "jetmill"}
    for name in ("jetmill:jetmill-gateway", "jetmill:jetmill-gateway-reviews"):
        assert find(manifests, "ClusterRoleBinding", name)["subjects"] == [account]


@pytest.mark.parametrize("mode", ["deployment", "sidecar"])
def test_a_gateway_changes_what_is_declared_only_if_it_is_to(mode: str) -> None:
    written = {
        ("jetmill.dev", kind, verb)
        for kind in ("jobs", "scheduledjobs", "webhooks")
        for verb in ("create", "patch", "delete")
    }
    manifests = render({"gateway": {"mode": mode, "declarations": "write"}})
    grants = list_grants(find(manifests, "ClusterRole", "jetmill:jetmill-gateway"))
    assert {grant for grant in grants if grant[2] not in ("get", "list", "watch")} == written
    conditions = {
        declarations: find(
            render({"gateway": {"mode": mode, "declarations": declarations}, "admissionPolicy": {"enabled": True}}),
            "ValidatingAdmissionPolicy",
            "jetmill-jetmill-leader",
        )["spec"]["matchConditions"]
        for declarations in ("read", "write")
    }
    assert len(conditions["read"]) == 1
    assert len(conditions["write"]) == (2 if mode == "sidecar" else 1), (
        "beside an operator its account is the fenced one"
    )


def test_view_edit_and_admin_cover_every_right_and_view_no_content() -> None:
    manifests = render()
    view, edit, admin = (
        list_grants(find(manifests, "ClusterRole", f"jetmill:jetmill-{role}")) for role in ("view", "edit", "admin")
    )
    rights = {(GROUP, right.resource, right.verb) for right in RIGHTS}
    assert rights <= view | edit
    assert edit == admin
    assert not {kind for _, kind, _ in view} & {"jobs/payload", "jobs/result", "jobs/messages"}
    assert {verb for _, _, verb in view} == {"get", "list", "watch"}
    assert {(kind, verb) for _, kind, verb in view | edit if "/" in kind} == {
        (right.resource, right.verb) for right in RIGHTS if "/" in right.resource
    }, "what the gateway does not ask for is not granted"


@pytest.mark.parametrize(
    ("secrets", "names"), [([], None), (["hook-secret", "other"], ["hook-secret", "other"]), (["*"], [])]
)
def test_a_dispatcher_reads_the_secrets_that_it_is_told_and_nothing_else(
    secrets: list[str], names: list[str] | None
) -> None:
    values = {"namespaces": [{"name": "shop"}, {"name": "billing"}], "dispatcher": {"secrets": secrets}}
    roles = [one for one in render(values) if one["kind"] == "Role" and one["metadata"]["name"] == "jetmill-dispatcher"]
    assert [one["metadata"]["namespace"] for one in roles] == ([] if names is None else ["shop", "billing"])
    for role in roles:
        assert list_grants(role) == {("", "secrets", "get")}
        assert [rule.get("resourceNames", []) for rule in role["rules"]] == [names]


def test_a_dispatcher_goes_to_the_open_internet_and_to_what_it_is_allowed() -> None:
    values = {"networkPolicy": {"enabled": True}, "dispatcher": {"allow": ["10.20.0.0/16"], "ports": [443]}}
    policy = find(render(values), "NetworkPolicy", "jetmill-dispatcher")
    out = policy["spec"]["egress"][-1]
    assert [one["ipBlock"]["cidr"] for one in out["to"]] == ["0.0.0.0/0", "2000::/3", "10.20.0.0/16"]
    assert {"10.0.0.0/8", "169.254.0.0/16", "127.0.0.0/8"} <= set(out["to"][0]["ipBlock"]["except"])
    assert out["ports"] == [{"port": 443, "protocol": "TCP"}]
