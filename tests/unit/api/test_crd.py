"""The CRDs are what an API server takes, what kubectl shows well, and what the models say now."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import BaseModel, Field

from jetmill_operator.api.condition import Condition, JobStatus
from jetmill_operator.api.crd import (
    DEFINITIONS,
    Definition,
    build_crd,
    build_object_schema,
    format_crd,
    list_leaves,
)
from jetmill_operator.api.page import format_page
from jetmill_operator.api.structural import build_schema
from support.structural import find_faults

ROOT = Path(__file__).parents[3]
BY_KIND = {definition.kind: definition for definition in DEFINITIONS}
each_kind = pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.kind)


@cache
def schema_of(kind: str) -> dict[str, Any]:
    return build_object_schema(BY_KIND[kind])


@cache
def crd_of(kind: str) -> dict[str, Any]:
    return build_crd(BY_KIND[kind])


@cache
def text_of(kind: str) -> str:
    return format_crd(BY_KIND[kind])


@each_kind
def test_the_files_are_what_the_models_say(definition: Definition) -> None:
    """Run `make generate` and commit what it writes."""
    assert (ROOT / "crds" / f"{definition.plural}.yaml").read_text() == text_of(definition.kind)
    assert (ROOT / "docs/reference" / f"{definition.kind.lower()}.md").read_text() == format_page(definition)


def test_no_file_is_left_of_a_kind_that_is_gone() -> None:
    assert {path.stem for path in (ROOT / "crds").glob("*.yaml")} == {one.plural for one in DEFINITIONS}
    assert {path.stem for path in (ROOT / "docs/reference").glob("*.md")} == {one.kind.lower() for one in DEFINITIONS}


@each_kind
def test_the_schema_is_structural_bounded_and_described(definition: Definition) -> None:
    assert list(find_faults(schema_of(definition.kind))) == []


@each_kind
def test_the_file_can_be_a_template_and_an_annotation(definition: Definition) -> None:
    """Helm reads two braces as its own; client-side apply keeps a whole copy in an annotation of 256 KiB."""
    text = text_of(definition.kind)
    assert "{{" not in text
    assert len(text.encode()) < 200_000


@each_kind
def test_people_can_name_select_and_read_it(definition: Definition) -> None:
    spec = crd_of(definition.kind)["spec"]
    (version,) = spec["versions"]
    assert spec["names"]["categories"] == ["jetmill"]
    assert version["subresources"] == {"status": {}}
    columns = [column["name"] for column in version["additionalPrinterColumns"]]
    assert columns[:2] == ["Ready", "Reason"]
    assert columns[-1] == "Age"
    schema = version["schema"]["openAPIV3Schema"]
    for path in version["selectableFields"]:
        field = find(schema, path["jsonPath"])
        assert field["type"] in ("string", "boolean", "integer")
    for column in version["additionalPrinterColumns"]:
        if column["jsonPath"].startswith((".spec", ".status")) and "[" not in column["jsonPath"]:
            type_ = {"date": "string"}.get(column["type"], column["type"])
            assert find(schema, column["jsonPath"])["type"] == type_


def find(schema: dict[str, Any], path: str) -> dict[str, Any]:
    for name in path.removeprefix(".").split("."):
        schema = schema["properties"][name]
    return schema


def test_short_names_are_those_of_the_design() -> None:
    names = {kind: one.short_name for kind, one in BY_KIND.items()}
    assert names == {"Job": "jmj", "ScheduledJob": "jmsj", "Webhook": "jmwh"}


def test_a_job_shows_backlog_workers_and_whether_it_is_all_right() -> None:
    (version,) = crd_of("Job")["spec"]["versions"]
    narrow = [column["name"] for column in version["additionalPrinterColumns"] if column["priority"] == 0]
    assert narrow == ["Ready", "Reason", "Backlog", "In flight", "Workers", "Desired", "Age"]


def test_defaults_are_whole_and_without_nulls() -> None:
    """An API server checks the default of an object before it fills in those of its fields."""
    spec = schema_of("Job")["properties"]["spec"]["properties"]
    assert {name: field["default"] for name, field in spec.items() if "default" in field} == {
        "leaseSeconds": 30,
        "payload": {"maxBytes": 1_048_576},
        "retention": {"succeededSeconds": 86_400, "failedSeconds": 1_209_600},
        "scaling": {"minReplicas": 0, "maxReplicas": 10, "targetDrainSeconds": 30, "cooldownSeconds": 60},
        "suspend": False,
        "deletionPolicy": "Retain",
    }


@pytest.mark.field("*.status.observedGeneration")
@each_kind
def test_what_nobody_has_seen_yet_is_not_current(definition: Definition) -> None:
    status = schema_of(definition.kind)["properties"]["status"]
    assert status["default"] == {"observedGeneration": -1}


def test_leaves_are_the_fields_that_hold_values() -> None:
    leaves = list_leaves(BY_KIND["Job"])
    expected = {
        "Job.spec.handler",
        "Job.spec.command",
        "Job.spec.retry.factor",
        "Job.spec.worker.env.valueFrom.secretKeyRef.key",
        "Job.spec.worker.resources.requests",
        "Job.spec.worker.podTemplate.spec",
        "Job.status.conditions.lastTransitionTime",
        "Job.status.backlog.inFlight",
    }
    assert expected <= set(leaves)
    assert not {"Job.spec.worker", "Job.spec.worker.env", "Job.metadata"} & set(leaves)


def test_a_condition_is_kubernetes_own() -> None:
    written = Condition(
        type="Ready",
        status="True",
        reason="Idle",
        message="There is nothing to do.",
        last_transition_time="2026-01-31T09:00:00Z",
        observed_generation=2,
    ).model_dump(by_alias=True, exclude_none=True)
    assert written == {
        "type": "Ready",
        "status": "True",
        "reason": "Idle",
        "message": "There is nothing to do.",
        "lastTransitionTime": "2026-01-31T09:00:00Z",
        "observedGeneration": 2,
    }


def test_a_status_of_a_newer_operator_can_be_read() -> None:
    read = JobStatus.model_validate({"observedGeneration": 3, "tomorrow": {}, "backlog": None})
    assert read == JobStatus(observed_generation=3)


class Inner(BaseModel):
    """Says what it is."""

    size: Annotated[int, Field(gt=0, description="Its\nsize.")] = 1


class Outer(BaseModel):
    inner: Annotated[Inner, Field(description="The inner one.")] = Inner()
    word: Literal["yes"] = "yes"
    loose: dict[str, Any] | None = None
    sizes: dict[str, int] | None = None


def test_json_schema_becomes_structural() -> None:
    assert build_schema(Outer) == {
        "type": "object",
        "properties": {
            "inner": {
                "description": "The inner one.",
                "type": "object",
                "properties": {
                    "size": {
                        "description": "Its size.",
                        "type": "integer",
                        "format": "int64",
                        "minimum": 0,
                        "exclusiveMinimum": True,
                        "default": 1,
                    }
                },
                "default": {"size": 1},
            },
            "word": {"type": "string", "enum": ["yes"], "default": "yes"},
            "loose": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "sizes": {"type": "object", "additionalProperties": {"type": "integer", "format": "int64"}},
        },
    }


class Either(BaseModel):
    value: int | str


class Unique(BaseModel):
    values: Annotated[list[int], Field(json_schema_extra={"uniqueItems": True})]


@pytest.mark.parametrize("model", [Either, Unique])
def test_what_has_no_form_in_a_crd_is_refused(model: type[BaseModel]) -> None:
    with pytest.raises(ValueError, match="has no form in a CRD"):
        build_schema(model)


STRING = {"type": "string", "maxLength": 3, "description": "A text."}
BAD: dict[str, dict[str, Any]] = {
    "$ref": {"$ref": "#/definitions/a"},
    "anyOf": {**STRING, "anyOf": [{"type": "string"}, {"type": "integer"}]},
    "null": {**STRING, "type": "null"},
    "types": {**STRING, "type": ["string", "null"]},
    "no type": {"description": "?"},
    "numeric bound": {"type": "number", "exclusiveMinimum": 0},
    "unique": {"type": "array", "items": STRING, "maxItems": 3, "uniqueItems": True},
    "no items": {"type": "array", "maxItems": 3},
    "patternProperties": {"type": "object", "properties": {"a": STRING}, "patternProperties": {}},
    "dependencies": {"type": "object", "properties": {"a": STRING}, "dependencies": {}},
    "lookahead": {**STRING, "pattern": "^(?!a)"},
    "closed": {"type": "object", "properties": {"a": STRING}, "additionalProperties": False},
    "both": {"type": "object", "properties": {"a": STRING}, "additionalProperties": STRING, "maxProperties": 3},
    "no keys": {"type": "array", "items": STRING, "maxItems": 3, "x-kubernetes-list-type": "map"},
    "key may be missing": {
        "type": "array",
        "items": {"type": "object", "properties": {"a": STRING}},
        "maxItems": 3,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["a"],
    },
    "const": {**STRING, "const": "a"},
    "$defs": {**STRING, "$defs": {}},
    "examples": {**STRING, "examples": ["a"]},
    "discriminator": {**STRING, "discriminator": {}},
    "readOnly": {**STRING, "readOnly": True},
    "propertyNames": {"type": "object", "additionalProperties": STRING, "maxProperties": 1, "propertyNames": {}},
    "null in a default": {"type": "object", "properties": {"a": STRING}, "default": {"a": None}},
    "unbounded text": {"type": "string"},
    "unbounded list": {"type": "array", "items": STRING},
    "unbounded map": {"type": "object", "additionalProperties": STRING},
    "silent": {"type": "object", "properties": {"a": {"type": "boolean"}}},
    "integer without format": {"type": "integer"},
    "rule without a message": {**STRING, "x-kubernetes-validations": [{"rule": "self != 'a'"}]},
}


@pytest.mark.parametrize("schema", BAD.values(), ids=BAD.keys())
def test_the_linter_finds_what_a_server_refuses_or_drops(schema: dict[str, Any]) -> None:
    root = {"type": "object", "properties": {"a": STRING}}
    assert list(find_faults(root)) == []
    assert list(find_faults({**root, "properties": {"spec": {"description": "What is wanted.", **schema}}})) != []


def test_yaml_repeats_rather_than_pointing_back() -> None:
    for definition in DEFINITIONS:
        text = text_of(definition.kind)
        assert "&id" not in text
        assert yaml.load(text, Loader=yaml.CSafeLoader) == crd_of(definition.kind)
