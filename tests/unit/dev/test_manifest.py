"""What is wrong with a manifest is said with file, line, field and cure, and stops no other."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from jetmill.protocol.record import TriggerSettings
from jetmill_operator.dev.manifest import Manifests, decide_namespace, read_manifests
from jetmill_operator.dev.reference import check_references

HEAD = "apiVersion: jetmill.dev/v1alpha1\nkind: Job\nmetadata: {name: broken}\nspec:\n"
GOOD = "apiVersion: jetmill.dev/v1alpha1\nkind: Job\nmetadata: {name: good}\nspec: {handler: 'tasks:run'}\n"


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def read(*, namespace: str | None = None, **files: str) -> Manifests:
        for name, text in files.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return read_manifests(tmp_path, namespace=namespace)

    return read


SPECS = {
    "unknown field": ("handlr: 'a:b'", "5: spec.handlr: unknown field; did you mean handler?"),
    "snake case": (
        "handler: 'a:b'\n  timeout_seconds: 3",
        "6: spec.timeout_seconds: unknown field; did you mean timeoutSeconds?",
    ),
    "unknown field, nothing close": (
        "handler: 'a:b'\n  retry:\n    xyz: 3",
        (
            "7: spec.retry.xyz: unknown field; the fields here are "
            "maxRetries, initialDelaySeconds, factor, maxDelaySeconds, jitter"
        ),
    ),
    "neither handler nor command": (
        "suspend: true",
        "4: spec: says neither handler nor command; add `handler: module:function`",
    ),
    "both": (
        "handler: 'a:b'\n  command: [ls]",
        "6: spec.command: stands beside handler; keep one of the two",
    ),
    "no handler's name": (
        "handler: tasks.send",
        (
            "5: spec.handler: 'tasks.send' does not fit; "
            "the Python function that runs a job, as module:function (shop.tasks:send_email)"
        ),
    ),
    "text for a number": (
        "handler: 'a:b'\n  timeoutSeconds: '3'",
        (
            "6: spec.timeoutSeconds: '3': input should be a valid number; "
            "the longest that an attempt may run: seconds, above 0 and at most 604800 (a week); else 300"
        ),
    ),
    "out of bounds": (
        "handler: 'a:b'\n  worker:\n    concurrency: 0",
        (
            "7: spec.worker.concurrency: 0: input should be greater than or equal to 1; "
            "jobs at once in one worker, 1 to 10000; if neither this nor the decorator says it, 50"
        ),
    ),
    "not a number": (
        "handler: 'a:b'\n  timeoutSeconds: .nan",
        (
            "6: spec.timeoutSeconds: nan: input should be a finite number; "
            "the longest that an attempt may run: seconds, above 0 and at most 604800 (a week); else 300"
        ),
    ),
    "wrong word": (
        "handler: 'a:b'\n  worker: {executor: fast}",
        (
            "6: spec.worker.executor: 'fast': input should be 'auto', 'async', 'thread' or 'process'; "
            "where handlers run: auto (as the decorator says, else async functions on the event loop, others on "
            "threads), async, thread or process"
        ),
    ),
    "text for a mapping": (
        "handler: 'a:b'\n  retry: 3",
        "6: spec.retry: 3 is no mapping; write its fields below it, indented",
    ),
    "more at least than at most": (
        "handler: 'a:b'\n  scaling:\n    maxReplicas: 2\n    minReplicas: 3",
        "8: spec.scaling.minReplicas: 3 is more than maxReplicas (2); lower minReplicas or raise maxReplicas",
    ),
    "delays the wrong way round": (
        "handler: 'a:b'\n  retry: {initialDelaySeconds: 9, maxDelaySeconds: 8}",
        "6: spec.retry.initialDelaySeconds: 9 is more than maxDelaySeconds (8); swap or lower it",
    ),
    "executor of a command": (
        "command: [ls]\n  worker:\n    executor: process",
        "7: spec.worker.executor: is for handlers; a command runs as a program: leave it out",
    ),
    "variable twice": (
        "handler: 'a:b'\n  worker:\n    env:\n      - {name: A}\n      - {name: A}",
        "9: spec.worker.env[1].name: A is there twice; keep one of them",
    ),
    "number in the environment": (
        "handler: 'a:b'\n  worker:\n    env:\n      - name: A\n        value: 1",
        (
            "9: spec.worker.env[0].value: 1: input should be a valid string; "
            "its value; a text (put quotes around numbers and booleans)"
        ),
    ),
    "no schema": (
        "handler: 'a:b'\n  payload:\n    schema: {type: objct}",
        (
            '7: spec.payload.schema: no JSON Schema: "objct" is not valid under any of the schemas listed in the '
            "'anyOf' keyword; see https://json-schema.org/specification"
        ),
    ),
    "key twice": (
        "handler: 'a:b'\n  handler: 'a:c'",
        "6: spec.handler: stands twice (first in line 5); keep one of them",
    ),
}


@pytest.mark.parametrize(("spec", "fault"), SPECS.values(), ids=SPECS.keys())
def test_a_fault_says_file_line_field_and_cure(read, spec, fault):
    manifests = read(bad=f"{HEAD}  {spec}\n", good=GOOD)
    assert [str(one) for one in manifests.faults] == [f"bad.yaml:{fault}"]
    assert list(manifests.jobs) == ["good"]


DOCUMENTS = {
    "bad name": (
        GOOD.replace("good", "Good_One"),
        (
            "3: metadata.name: 'Good_One' does not fit; the object's name: an RFC 1123 label (1 to 63 of a-z, 0-9 and "
            "'-'), for it becomes a part of NATS subjects"
        ),
    ),
    "no name": (
        GOOD.replace("name: good", ""),
        (
            "3: metadata.name: is missing; the object's name: an RFC 1123 label (1 to 63 of a-z, 0-9 and "
            "'-'), for it becomes a part of NATS subjects"
        ),
    ),
    "no spec": (GOOD.partition("spec")[0], "1: spec: is missing; what is wanted: at the least a handler or a command"),
    "misspelt group": (
        GOOD.replace("jetmill.dev", "jetmil.dev"),
        "1: apiVersion: no group 'jetmil.dev'; did you mean jetmill.dev/v1alpha1?",
    ),
    "other version": (
        GOOD.replace("v1alpha1", "v1"),
        "1: apiVersion: no version 'jetmill.dev/v1'; write jetmill.dev/v1alpha1",
    ),
    "unknown kind": (
        GOOD.replace("kind: Job", "kind: Jobb"),
        "2: kind: no kind 'Jobb' in jetmill.dev; did you mean Job?",
    ),
    "no kind": (GOOD.replace("kind: Job\n", ""), "1: kind: is missing, or no text; add `kind: Job`"),
    "no YAML": (
        "a: [1,\nb: 2\n",
        "2: is no YAML: did not find expected ',' or ']'; check indentation, quotes and colons",
    ),
    "contains itself": ("kind: &a [*a]\n", "1: kind[0]: contains itself; remove the alias"),
}


@pytest.mark.parametrize(("document", "fault"), DOCUMENTS.values(), ids=DOCUMENTS.keys())
def test_a_bad_document_does_not_hide_the_good_ones_of_its_file(read, document, fault):
    line, _, rest = fault.partition(":")
    later = len(GOOD.splitlines()) + 1 + int(line)
    last = GOOD.replace("good", "last")
    manifests = read(jobs=f"{GOOD}---\n{document}---\n{last}")
    if "is no YAML" in rest:  # PyYAML words it differently with and without libyaml
        assert str(manifests.faults[0]).startswith(f"jobs.yaml:{later}: is no YAML: ")
    else:
        assert [str(one) for one in manifests.faults] == [f"jobs.yaml:{later}:{rest}"]
    assert list(manifests.jobs) == ["good", "last"]


def test_several_faults_of_one_document_are_all_said_by_line(read):
    manifests = read(bad=f"{HEAD}  handler: nothing\n  leaseSeconds: 0\n  foo: 1\n")
    assert [(fault.line, fault.field) for fault in manifests.faults] == [
        (5, "spec.handler"),
        (6, "spec.leaseSeconds"),
        (7, "spec.foo"),
    ]
    assert manifests.faulty == {"broken"}


def test_of_two_jobs_of_one_name_neither_is_taken_and_both_places_are_named(read):
    manifests = read(one=GOOD, two=f"# a comment\n{GOOD}")
    assert [str(fault) for fault in manifests.faults] == [
        "one.yaml:3: metadata.name: good is declared in two.yaml:4 too; rename or remove one",
        "two.yaml:4: metadata.name: good is declared in one.yaml:3 too; rename or remove one",
    ]
    assert manifests.jobs == {}
    assert manifests.faulty == {"good"}


def test_other_tools_files_are_none_of_our_business(read):
    manifests = read(
        pod="apiVersion: v1\nkind: Pod\n",
        kubernetes_job="apiVersion: batch/v1\nkind: Job\n",
        values="replicas: 3\n",
        list="- 1\n- 2\n",
        empty="",
        comment="# nothing\n---\n---\n",
    )
    assert (manifests.jobs, manifests.faults, manifests.notes) == ({}, [], [])


def test_images_that_are_not_run_are_noted(read):
    image = f"{GOOD.rstrip()[:-1]}, worker: {{image: 'shop:1'}}}}\n"
    manifests = read(image=image)
    assert [str(note) for note in manifests.notes] == [
        "image.yaml:4: note: good runs the code of this folder, not its image"
    ]


SCHEDULE = (
    "apiVersion: jetmill.dev/v1alpha1\nkind: ScheduledJob\nmetadata: {name: nightly}\nspec:\n  jobRef: {name: good}\n"
)


@pytest.mark.parametrize(
    ("when", "fault"),
    [
        (
            "  schedule: 0 25 * * *\n",
            "nightly.yaml:6: spec.schedule: hour: '25' does not fit (character 3); use 0 to 23, with , - and /",
        ),
        (
            "  schedule: 0 9 * * *\n  timeZone: Mars/X\n",
            "nightly.yaml:7: spec.timeZone: 'Mars/X' is no time zone; use a name of the IANA database,",
        ),
        ("", "nightly.yaml:4: spec: says none of schedule, every; add one of them"),
    ],
)
def test_a_schedule_that_cannot_be_understood_is_a_fault_with_its_place(read, when, fault):
    manifests = read(nightly=SCHEDULE + when)
    [found] = manifests.faults
    assert str(found).startswith(fault)
    assert manifests.objects == {}
    assert manifests.faulty_objects == {("ScheduledJob", "nightly")}


def test_what_is_otherwise_without_pods_is_noted_where_it_stands(read):
    worker = dedent("""\
          worker:
            image: shop:1
            env:
              - {name: LEVEL, value: "3"}
              - {name: TOKEN, valueFrom: {secretKeyRef: {name: shop, key: token}}}
            envFrom: [{secretRef: {name: db}}]
            resources: {requests: {cpu: 1}}
            volumes: [{name: data, emptyDir: {}}]
        """)
    pods = f"{HEAD}  handler: 'a:b'\n" + "".join(f"  {line}\n" for line in worker.splitlines())
    manifests = read(pods=pods)
    check_references(manifests, {"TOKEN": "t"})
    assert manifests.faults == []
    assert [str(note) for note in sorted(manifests.notes)] == [
        "pods.yaml:7: note: broken runs the code of this folder, not its image",
        "pods.yaml:10: note: broken has TOKEN from the environment of jetmill dev, if it is there",
        "pods.yaml:11: note: broken has what envFrom names from the environment of jetmill dev, if it is there",
        "pods.yaml:13: note: broken runs without its volumes",
    ]


REFERENCES = {
    "no Secret": ("secretKeyRef: {name: none, key: token}", "valueFrom: there is no Secret none in this folder"),
    "no key": (
        "secretKeyRef: {name: shop, key: none}",
        "valueFrom: there is no key none in Secret shop in this folder",
    ),
    "no ConfigMap": ("configMapKeyRef: {name: shop, key: a}", "valueFrom: there is no ConfigMap shop in this folder"),
    "no such field": (
        "fieldRef: {fieldPath: status.podIPs}",
        "valueFrom.fieldRef.fieldPath: there is no status.podIPs on a laptop; give it a value",
    ),
}
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: shop}\ndata: {token: czNjcmV0}\nstringData: {user: ada}\n"


@pytest.mark.parametrize(("reference", "fault"), REFERENCES.values(), ids=REFERENCES.keys())
def test_a_variable_that_refers_to_what_is_nowhere_is_a_fault_of_its_job(read, reference, fault):
    variable = f"  handler: 'a:b'\n  worker:\n    env:\n      - {{name: TOKEN, valueFrom: {{{reference}}}}}\n"
    manifests = read(bad=f"{HEAD}{variable}", good=GOOD, shop=SECRET)
    check_references(manifests, {"OTHER": "1"})
    if "give it" not in fault:
        fault += "; write it into a document of this folder, or set TOKEN where jetmill dev is started"
    assert [str(one) for one in manifests.faults] == [f"bad.yaml:8: spec.worker.env[0].{fault}"]
    assert (list(manifests.jobs), manifests.faulty) == (["good"], {"broken"})


def test_secrets_and_config_maps_of_the_folder_are_what_variables_refer_to(read):
    config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\ndata: {level: 3}\n"
    env = "    env: [{name: A, valueFrom: {secretKeyRef: {name: shop, key: token}}}]\n"
    env_from = "    envFrom: [{configMapRef: {name: shop}}]\n"
    manifests = read(
        job=f"{HEAD}  handler: 'a:b'\n  worker:\n{env}{env_from}",
        secret=f"{SECRET}---\n{SECRET.replace('name: shop', 'name: shop, namespace: bank').replace('ada', 'bob')}",
        config=config,
        odd="apiVersion: v1\nkind: Secret\nmetadata: shop\ndata: [1]\n",
        namespace="shop",
    )
    check_references(manifests, {})
    assert (manifests.faults, manifests.notes) == ([], [])
    assert manifests.sources == {
        ("Secret", "shop"): {"token": "s3cret", "user": "ada"},
        ("ConfigMap", "shop"): {"level": "3"},
    }


def test_a_secret_that_is_no_base64_is_a_fault(read):
    manifests = read(secret=SECRET.replace("czNjcmV0", "s3cret"))
    assert [str(fault) for fault in manifests.faults] == [
        "secret.yaml:4: data.token: is no text in base64; encode it, or move it to stringData as it is"
    ]


def test_a_text_that_looks_like_a_document_marker_is_one_for_yaml_too(read):
    manifests = read(jobs="--- # first\n" + GOOD + "--- \n" + GOOD.replace("good", "second") + "...\n")
    assert list(manifests.jobs) == ["good", "second"]
    assert manifests.jobs["second"].line == 7


def test_what_is_no_text_is_a_fault_of_its_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "control.yml").write_text("b: 1\na: \x07\n")
    (tmp_path / "date.yaml").write_text("a: 2024-13-45\n")
    faults = [str(fault) for fault in read_manifests(tmp_path).faults]
    assert faults[0] == "binary.yaml:1: is not UTF-8; save it as UTF-8"
    assert faults[1] == "control.yml:2: is no YAML: special characters are not allowed; remove the character U+0007"
    assert faults[2].startswith("date.yaml:1: holds a value that cannot be read: ")


@pytest.mark.parametrize(
    ("named", "asked", "namespace"),
    [
        (["shop", "shop"], None, "shop"),
        (["shop", "bank"], None, "default"),
        (["shop", None], None, "default"),
        ([], None, "default"),
        (["shop"], "bank", "bank"),
    ],
)
def test_the_namespace_is_the_one_asked_for_or_agreed_on(read, named, asked, namespace):
    files = {}
    for number, name in enumerate(named):
        extra = f", namespace: {name}" if name else ""
        files[f"f{number}"] = GOOD.replace("name: good", f"name: job-{number}{extra}")
    assert decide_namespace(read(**files), asked=asked) == namespace


def test_a_job_of_another_namespace_is_left_out_with_a_note(read):
    manifests = read(namespace="shop", other=GOOD.replace("name: good", "name: good, namespace: bank"))
    assert manifests.jobs == {}
    assert [str(note) for note in manifests.notes] == [
        "other.yaml:3: note: Job good is of namespace bank, not shop: left out (jetmill dev --namespace bank)"
    ]


def test_all_fields_reach_the_settings(read):
    text = dedent("""\
        apiVersion: jetmill.dev/v1alpha1
        kind: Job
        metadata: {name: all, namespace: shop, labels: {team: a}, annotations: {}}
        spec:
          handler: shop.tasks:send
          worker: {image: "shop:1", concurrency: 7, executor: thread, env: [{name: A, value: b}]}
          timeoutSeconds: 12.5
          leaseSeconds: 9
          retry: {maxRetries: 4, initialDelaySeconds: 1, factor: 3, maxDelaySeconds: 60, jitter: false}
          payload: {schema: {type: object}, maxBytes: 1000}
          retention: {succeededSeconds: 10, failedSeconds: 20}
          scaling: {minReplicas: 1, maxReplicas: 2, targetDrainSeconds: 3, cooldownSeconds: 4}
          triggers: [{event: doc.*, filter: "event.data.n > 1", payload: Data}, {event: a}]
          suspend: true
          deletionPolicy: Delete
        status: {ready: true}
        """)
    settings = read(all=text).jobs["all"].job.to_settings(generation=5)
    assert bytes(settings.payload_schema) == b'{"type":"object"}'
    assert {name: getattr(settings, name) for name in settings.__struct_fields__ if name != "payload_schema"} == {
        "job": "all",
        "generation": 5,
        "uid": "",
        "carrier": None,
        "handler": "shop.tasks:send",
        "command": None,
        "concurrency": 7,
        "executor": "thread",
        "timeout_seconds": 12.5,
        "lease_seconds": 9.0,
        "max_retries": 4,
        "initial_delay_seconds": 1.0,
        "factor": 3.0,
        "max_delay_seconds": 60.0,
        "jitter": False,
        "payload_max_bytes": 1000,
        "succeeded_seconds": 10.0,
        "failed_seconds": 20.0,
        "suspend": True,
        "webhook": None,
        "triggers": [
            TriggerSettings(event="doc.*", expression="event.data.n > 1", payload="data"),
            TriggerSettings(event="a"),
        ],
    }


def test_what_is_not_declared_stays_open_for_the_decorator(read):
    settings = read(good=GOOD).jobs["good"].job.to_settings()
    undeclared = ("concurrency", "executor", "timeout_seconds", "max_retries", "initial_delay_seconds", "jitter")
    assert {getattr(settings, name) for name in undeclared} == {None}


def test_every_field_says_what_it_is_for():
    from pydantic import BaseModel

    from jetmill_operator.api import job

    models = [item for item in vars(job).values() if isinstance(item, type) and issubclass(item, BaseModel)]
    sections = {"worker", "retry", "payload", "retention", "scaling", "metadata", "spec", "api_version", "kind"}
    silent = [
        f"{model.__name__}.{name}"
        for model in models
        for name, info in model.model_fields.items()
        if not info.description and name not in sections
    ]
    assert silent == []
