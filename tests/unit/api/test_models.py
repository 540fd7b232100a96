"""What manifests may say is accepted, the examples first, and nothing that they say breaks the models."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from jetmill_operator.api.job import IN_CLUSTER, Job
from jetmill_operator.api.refusal import Refusal, list_refusals
from jetmill_operator.api.scheduledjob import ScheduledJob
from jetmill_operator.api.webhook import Webhook
from support.refusals import build_object

ROOT = Path(__file__).parents[3]
MODELS: dict[str, type[BaseModel]] = {"Job": Job, "ScheduledJob": ScheduledJob, "Webhook": Webhook}
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def list_examples() -> list[tuple[str, dict[str, Any]]]:
    """Every manifest of ours in examples/ and in the pages that people copy from."""
    texts = [(file, file.read_text()) for file in sorted(ROOT.glob("examples/**/*.yaml"))]
    for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))):
        texts += [(page, found) for found in BLOCK.findall(page.read_text())]
    documents = [
        (file, body)
        for file, text in texts
        if "jetmill.dev/" in text
        for body in yaml.load_all(text, Loader=yaml.CSafeLoader)
    ]
    return [
        (f"{file.relative_to(ROOT)} {body['metadata']['name']}", body)
        for file, body in documents
        if body["apiVersion"].startswith("jetmill.dev/")
    ]


EXAMPLES = list_examples()


@pytest.mark.parametrize("body", [body for _, body in EXAMPLES], ids=[name for name, _ in EXAMPLES])
def test_an_example_is_accepted(body: dict[str, Any]) -> None:
    MODELS[body["kind"]].model_validate(body)


FULL_WORKER = """
image: registry.example.com/shop:1.4.2
imagePullPolicy: Always
imagePullSecrets: [{name: registry}]
concurrency: 50
executor: thread
env:
  - {name: LEVEL, value: "3"}
  - {name: EMPTY, value: ""}
  - {name: TOKEN, valueFrom: {secretKeyRef: {name: shop, key: token, optional: true}}}
  - {name: MODE, valueFrom: {configMapKeyRef: {name: shop.v2, key: mode.txt}}}
  - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
envFrom: [{prefix: DB_, secretRef: {name: db}}, {configMapRef: {name: db, optional: true}}]
resources: {requests: {cpu: 500m, memory: 256Mi}, limits: {cpu: 2, memory: 1e9, nvidia.com/gpu: 1}}
volumes:
  - {name: config, configMap: {name: shop}}
  - {name: keys, secret: {secretName: keys, optional: true}}
  - {name: scratch, emptyDir: {medium: Memory, sizeLimit: 1Gi}}
  - {name: data, persistentVolumeClaim: {claimName: data, readOnly: true}}
volumeMounts:
  - {name: config, mountPath: /etc/shop, readOnly: true}
  - {name: data, mountPath: /data, subPath: shop}
serviceAccount: {create: true, annotations: {cloud.example.com/role: shop}}
nodeSelector: {disk: fast}
tolerations: [{key: batch, operator: Equal, value: "yes", effect: NoExecute, tolerationSeconds: 60}, {operator: Exists}]
priorityClassName: low
podLabels: {team: shop, app.kubernetes.io/part-of: shop}
podAnnotations: {example.com/note: a}
disruptionBudget: {maxUnavailable: 25%}
podTemplate: {metadata: {labels: {a: b}}, spec: {hostAliases: [{ip: 10.0.0.1, hostnames: [bank]}]}}
"""


def test_a_worker_with_everything_comes_out_as_it_went_in() -> None:
    """Pods are built from what the models give: nothing is added, renamed or normalised."""
    worker = yaml.safe_load(FULL_WORKER)
    worker["resources"]["limits"]["memory"] = "1e9"
    job = Job.model_validate(build_object("Job", {"worker": worker}), context=IN_CLUSTER)
    assert job.spec.worker.model_dump(by_alias=True, exclude_none=True) == worker


@pytest.mark.parametrize(
    "worker",
    [
        {"from": {"name": "other"}},
        {"from": {"name": "other"}, "concurrency": 5, "executor": "thread"},
        {"image": "shop:1", "serviceAccountName": "shop", "serviceAccount": {}},
        # what a mount means may stand in the template
        {"image": "shop:1", "volumeMounts": [{"name": "a", "mountPath": "/a"}], "podTemplate": {"spec": {}}},
        {"image": "shop:1", "disruptionBudget": {}},
    ],
)
def test_what_may_stand_together_is_accepted(worker: dict[str, Any]) -> None:
    Job.model_validate(build_object("Job", {"worker": worker}), context=IN_CLUSTER)


@pytest.mark.field("Webhook.spec.events")
@pytest.mark.parametrize("event", ["*", "job.failed", "doc.*", "a.b.c.d.e.f.g.h", "order-paid", "1.2"])
def test_events_are_types_beginnings_or_all(event: str) -> None:
    assert Webhook.model_validate(build_object("Webhook", {"events": [event]})).spec.events == [event]


@pytest.mark.field("Webhook.spec.url")
@pytest.mark.parametrize(
    "url", ["https://hooks.example.com", "http://10.0.0.1:8080/a?b=c@d", "https://[::1]/in", "https://x.example?a=b"]
)
def test_addresses_are_http(url: str) -> None:
    assert Webhook.model_validate(build_object("Webhook", {"url": url})).spec.url == url


@pytest.mark.field("ScheduledJob.spec.jobRef.name")
@pytest.mark.parametrize("name", ["a", "daily-report", "0" * 63])
def test_a_schedule_names_its_job(name: str) -> None:
    body = build_object("ScheduledJob", {"jobRef": {"name": name}})
    assert ScheduledJob.model_validate(body).spec.job_ref.name == name


def test_what_an_api_server_adds_is_ignored() -> None:
    body = build_object("Job", {}, metadata={"namespace": "shop", "uid": "1", "managedFields": [{"manager": "a"}]})
    assert Job.model_validate({**body, "status": {"anything": [1]}}).metadata.namespace == "shop"


KNOWN = ("handler", "command", "worker", "image", "from", "name", "env", "value", "valueFrom", "secretKeyRef", "retry")
WORDS = st.sampled_from(
    [*KNOWN, "factor", "scaling", "minReplicas", "payload", "schema", "$ref", "type", "podTemplate", "spec", "volumes"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=3 * settings().max_examples, suppress_health_check=[HealthCheck.too_slow])
@given(spec=st.dictionaries(WORDS, VALUES, max_size=6))
def test_no_spec_whatever_does_more_than_be_refused(spec: dict[str, Any]) -> None:
    """The operator reads what anybody may have written: a refusal is the worst that comes of it."""
    with suppress_refusals() as refusals:
        Job.model_validate({**build_object("Job", {}), "spec": spec}, context=IN_CLUSTER)
    assert all(str(refusal).startswith("spec") for refusal in refusals)


@contextmanager
def suppress_refusals() -> Iterator[list[Refusal]]:
    refusals: list[Refusal] = []
    try:
        yield refusals
    except ValidationError as err:
        refusals += list_refusals(err, Job)
