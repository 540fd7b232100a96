"""What each field of `spec.worker` becomes in the Deployment."""

from __future__ import annotations

from typing import Any

import pytest

from jetmill.errors import InputError
from jetmill_operator.resources.budget import build_budget
from jetmill_operator.resources.deployment import Rider, WorkerLink, build_deployment, decide_grace_seconds
from jetmill_operator.resources.serviceaccount import build_service_account
from support.declare import make_body, parse_body

LINK = WorkerLink("nats://nats:4222")


def build(*, riders: list[Rider] | None = None, link: WorkerLink = LINK, worker: Any = None, **spec: Any) -> Any:
    body = make_body(worker={"image": "shop:1", **(worker or {})}, **spec)
    return build_deployment(parse_body(body), body, riders or [], link)


def pod_of(deployment: Any) -> Any:
    return deployment["spec"]["template"]["spec"]


def container_of(deployment: Any) -> Any:
    [container] = pod_of(deployment)["containers"]
    return container


def env_of(deployment: Any) -> dict[str, Any]:
    return {var["name"]: var.get("value", var.get("valueFrom")) for var in container_of(deployment)["env"]}


def test_a_plain_job_gets_a_restricted_pod_that_drains() -> None:
    deployment = build()
    pod, container = pod_of(deployment), container_of(deployment)
    assert "replicas" not in deployment["spec"]
    assert deployment["metadata"]["name"] == "send-email-worker"
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": "25%"}
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert pod["automountServiceAccountToken"] is False
    assert pod["terminationGracePeriodSeconds"] == 330
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert (container["readinessProbe"]["httpGet"]["path"], container["livenessProbe"]["httpGet"]["path"]) == (
        "/readyz",
        "/livez",
    )
    assert container["volumeMounts"] == [{"name": "jetmill-tmp", "mountPath": "/tmp"}]
    assert env_of(deployment) == {
        "JETMILL_NATS_URL": "nats://nats:4222",
        "JETMILL_NAMESPACE": "shop",
        "JETMILL_JOBS": "send-email",
        "JETMILL_GRACE_SECONDS": "300",
        "JETMILL_POD_NAME": {"fieldRef": {"fieldPath": "metadata.name"}},
        "JETMILL_HEALTH_PORT": "8081",
        "JETMILL_LOG_FORMAT": "json",
    }


def test_no_empty_map_or_list_is_sent() -> None:
    def find_empty(value: Any, path: str = "") -> list[str]:
        if value in ({}, []):
            return [] if path.endswith("emptyDir") else [path]
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        return [found for name, below in items for found in find_empty(below, f"{path}.{name}")]

    assert find_empty(build()) == []


def test_the_owners_labels_are_not_copied() -> None:
    body = make_body(metadata={"labels": {"app.kubernetes.io/instance": "argo", "team": "shop"}})
    labels = build_deployment(parse_body(body), body, [], LINK)["metadata"]["labels"]
    assert set(labels) == {"app.kubernetes.io/managed-by", "app.kubernetes.io/name", "jetmill.dev/job"}


def test_the_job_controls_its_children() -> None:
    [owner] = build()["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", "send-email", "uid-of-send-email")
    assert owner["controller"] is owner["blockOwnerDeletion"] is True


def test_riders_get_their_time_and_change_nothing_else() -> None:
    deployment = build(riders=[Rider("report", timeout_seconds=900), Rider("clean-up")], timeoutSeconds=60)
    assert env_of(deployment)["JETMILL_JOBS"] == "send-email"
    assert env_of(deployment)["JETMILL_GRACE_SECONDS"] == "900"
    assert pod_of(deployment)["terminationGracePeriodSeconds"] == 930
    assert build(riders=[Rider("report", timeout_seconds=10)]) == build()


@pytest.mark.parametrize(("timeouts", "grace"), [([], 300), ([0.5], 1), ([60, 90.2], 91), ([604_800], 3570)])
def test_the_grace_period_is_the_longest_timeout_within_an_hour(timeouts, grace) -> None:
    assert decide_grace_seconds(timeouts) == grace


def test_a_secret_of_the_namespace_gives_the_login() -> None:
    env = env_of(build(link=WorkerLink("nats://n:4222", prefix="acme", secret="nats-worker")))
    assert env["JETMILL_PREFIX"] == "acme"
    assert env["JETMILL_NATS_USER"] == {"secretKeyRef": {"name": "nats-worker", "key": "user"}}
    assert env["JETMILL_NATS_PASSWORD"] == {"secretKeyRef": {"name": "nats-worker", "key": "password"}}
    assert env["JETMILL_NATS_INBOX_PREFIX"] == {"secretKeyRef": {"name": "nats-worker", "key": "inboxPrefix"}}


def test_a_variable_of_the_job_outranks_the_operators_and_others_follow() -> None:
    secret = {"secretKeyRef": {"name": "s", "key": "k"}}
    env = env_of(
        build(worker={"env": [{"name": "JETMILL_LOG_FORMAT", "value": "console"}, {"name": "K", "valueFrom": secret}]})
    )
    assert env["JETMILL_LOG_FORMAT"] == "console"
    assert env["K"] == secret


TOLERATION = {"key": "gpu", "operator": "Equal", "value": "a", "effect": "NoExecute", "tolerationSeconds": 60}
ENV_FROM = [
    {"prefix": "A_", "secretRef": {"name": "s", "optional": True}},
    {"configMapRef": {"name": "c", "optional": False}},
]
RESOURCES = {"requests": {"cpu": "500m"}, "limits": {"memory": "1Gi"}}
VOLUMES = [
    {"name": "a", "configMap": {"name": "c", "optional": True}},
    {"name": "b", "secret": {"secretName": "s", "optional": True}},
    {"name": "c", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
    {"name": "d", "persistentVolumeClaim": {"claimName": "p", "readOnly": True}},
]
MOUNTS = [{"name": "a", "mountPath": "/a", "subPath": "x", "readOnly": True}]

FIELDS: dict[str, tuple[Any, Any, list[str]]] = {
    "imagePullPolicy": ("Never", lambda d: container_of(d)["imagePullPolicy"], [""]),
    "imagePullSecrets": ([{"name": "regcred"}], lambda d: pod_of(d)["imagePullSecrets"], [".name"]),
    "envFrom": (
        ENV_FROM,
        lambda d: container_of(d)["envFrom"],
        [".prefix", *(f".{ref}.{name}" for ref in ("secretRef", "configMapRef") for name in ("name", "optional"))],
    ),
    "resources": (RESOURCES, lambda d: container_of(d)["resources"], [".requests", ".limits"]),
    "nodeSelector": ({"disk": "ssd"}, lambda d: pod_of(d)["nodeSelector"], [""]),
    "tolerations": ([TOLERATION], lambda d: pod_of(d)["tolerations"], [f".{name}" for name in TOLERATION]),
    "priorityClassName": ("high", lambda d: pod_of(d)["priorityClassName"], [""]),
    "podAnnotations": ({"a": "1"}, lambda d: d["spec"]["template"]["metadata"]["annotations"], [""]),
    "serviceAccountName": ("mailer", lambda d: pod_of(d)["serviceAccountName"], [""]),
}


@pytest.mark.parametrize(
    ("field", "value", "find"),
    [
        pytest.param(
            field,
            value,
            find,
            id=field,
            marks=pytest.mark.field(*(f"Job.spec.worker.{field}{leaf}" for leaf in leaves)),
        )
        for field, (value, find, leaves) in FIELDS.items()
    ],
)
def test_a_field_of_the_pod_goes_where_kubernetes_has_it(field, value, find) -> None:
    assert find(build(worker={field: value})) == value


@pytest.mark.field("Job.spec.worker.volumes.name")
@pytest.mark.field("Job.spec.worker.volumes.configMap.name", "Job.spec.worker.volumes.configMap.optional")
@pytest.mark.field("Job.spec.worker.volumes.secret.secretName", "Job.spec.worker.volumes.secret.optional")
@pytest.mark.field("Job.spec.worker.volumes.emptyDir.medium", "Job.spec.worker.volumes.emptyDir.sizeLimit")
@pytest.mark.field("Job.spec.worker.volumes.persistentVolumeClaim.claimName")
@pytest.mark.field("Job.spec.worker.volumes.persistentVolumeClaim.readOnly")
@pytest.mark.field("Job.spec.worker.volumeMounts.name", "Job.spec.worker.volumeMounts.mountPath")
@pytest.mark.field("Job.spec.worker.volumeMounts.subPath", "Job.spec.worker.volumeMounts.readOnly")
def test_volumes_and_mounts_stand_beside_our_own() -> None:
    deployment = build(worker={"volumes": VOLUMES, "volumeMounts": MOUNTS})
    assert pod_of(deployment)["volumes"][:4] == VOLUMES
    assert container_of(deployment)["volumeMounts"][0] == MOUNTS[0]
    assert len(pod_of(deployment)["volumes"]) == 5


@pytest.mark.field("Job.spec.worker.image")
def test_the_image_is_that_of_the_worker() -> None:
    assert container_of(build(worker={"image": "shop:2"}))["image"] == "shop:2"


SOURCES: list[dict[str, dict[str, Any]]] = [
    {"secretKeyRef": {"name": "s", "key": "k", "optional": True}},
    {"configMapKeyRef": {"name": "c", "key": "k", "optional": True}},
    {"fieldRef": {"fieldPath": "status.podIP"}},
]


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(
            source,
            id=kind,
            marks=pytest.mark.field(*(f"Job.spec.worker.env.valueFrom.{kind}.{name}" for name in ref)),
        )
        for source in SOURCES
        for kind, ref in source.items()
    ],
)
def test_a_variable_may_come_from_elsewhere(source) -> None:
    assert env_of(build(worker={"env": [{"name": "K", "valueFrom": source}]}))["K"] == source


@pytest.mark.field("Job.spec.worker.podLabels")
def test_pod_labels_stand_beside_the_operators_own() -> None:
    labels = build(worker={"podLabels": {"team": "shop"}})["spec"]["template"]["metadata"]["labels"]
    assert labels["team"] == "shop"
    assert labels["jetmill.dev/job"] == "send-email"


def test_volumes_are_mounted_and_one_at_tmp_takes_the_place_of_ours() -> None:
    volume = {"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}
    mount = {"name": "scratch", "mountPath": "/tmp"}
    deployment = build(worker={"volumes": [volume], "volumeMounts": [mount]})
    assert pod_of(deployment)["volumes"] == [volume]
    assert container_of(deployment)["volumeMounts"] == [mount]


def test_a_named_account_brings_its_token_and_a_made_one_does_not() -> None:
    named = pod_of(build(worker={"serviceAccountName": "mailer"}))
    made = pod_of(build(worker={"serviceAccount": {"create": True}}))
    assert named["automountServiceAccountToken"] is True
    assert (made["serviceAccountName"], made["automountServiceAccountToken"]) == ("send-email-worker", False)


@pytest.mark.field("Job.spec.worker.serviceAccount.create", "Job.spec.worker.serviceAccount.annotations")
def test_an_account_is_made_with_its_annotations_where_it_is_asked_for() -> None:
    body = make_body(worker={"image": "a", "serviceAccount": {"create": True, "annotations": {"role": "r"}}})
    account = build_service_account(parse_body(body), body)
    assert account is not None
    assert (account["metadata"]["name"], account["metadata"]["annotations"]) == ("send-email-worker", {"role": "r"})
    assert build_service_account(parse_body(make_body()), make_body()) is None


@pytest.mark.field("Job.spec.worker.disruptionBudget.maxUnavailable")
def test_a_disruption_budget_covers_the_jobs_own_pods() -> None:
    body = make_body(worker={"image": "a", "disruptionBudget": {"maxUnavailable": "25%"}})
    budget = build_budget(parse_body(body), body)
    assert budget is not None
    assert budget["spec"]["maxUnavailable"] == "25%"
    assert budget["spec"]["selector"]["matchLabels"]["jetmill.dev/job"] == "send-email"
    assert build_budget(parse_body(make_body()), make_body()) is None


def test_concurrency_is_told_to_the_worker() -> None:
    assert env_of(build(worker={"concurrency": 7}))["JETMILL_CONCURRENCY"] == "7"


@pytest.mark.field("Job.spec.worker.podTemplate.metadata", "Job.spec.worker.podTemplate.spec")
def test_a_pod_template_is_merged_over_all() -> None:
    template = {
        "metadata": {"annotations": {"sidecar": "on"}},
        "spec": {
            "hostNetwork": True,
            "containers": [
                {"name": "worker", "env": [{"name": "A", "value": "1"}], "livenessProbe": {"$patch": "delete"}},
                {"name": "proxy", "image": "proxy:1"},
            ],
        },
    }
    deployment = build(worker={"podTemplate": template})
    worker, proxy = pod_of(deployment)["containers"]
    assert proxy == {"name": "proxy", "image": "proxy:1"}
    assert worker["image"] == "shop:1"
    assert "livenessProbe" not in worker
    assert {"name": "A", "value": "1"} in worker["env"]
    assert pod_of(deployment)["hostNetwork"] is True


REFUSED = {
    "spec.worker.podTemplate.metadata.labels": {"metadata": {"labels": {"jetmill.dev/job": "other"}}},
    "spec.worker.podTemplate.spec.containers": {"spec": {"containers": [{"name": "worker", "$patch": "delete"}]}},
    "spec.worker.podTemplate.spec.containers[0]": {"spec": {"containers": [{"image": "x"}]}},
}


@pytest.mark.parametrize("field", REFUSED)
def test_a_pod_template_that_takes_away_what_is_needed_is_refused(field) -> None:
    with pytest.raises(InputError) as refused:
        build(worker={"podTemplate": REFUSED[field]})
    assert refused.value.field == field


@pytest.mark.parametrize("name", ["JETMILL_JOBS", "JETMILL_NAMESPACE", "JETMILL_POD_NAME"])
def test_no_pod_template_says_which_queues_are_served(name) -> None:
    container = {"name": "worker", "env": [{"name": name, "value": "other"}]}
    with pytest.raises(InputError, match=name):
        build(worker={"podTemplate": {"spec": {"containers": [container]}}})
