"""What the models of all kinds share: how fields are named, and refusals that say the field and the cure.

Manifests write camelCase, Python snake_case; unknown fields are refused, as an API server with strict field
validation does; values are not coerced (the text "3" is no number). The docstring under a field is its
description in the CRD and, in an error, the cure. Everything is bounded, for the API server weighs its rules by the
largest object that may come.

A rule over several fields is written twice, side by side: as CEL for the API server (`build_rule`), and as a validator
for everywhere else. A table of refusals holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainValidator
from pydantic import WithJsonSchema as Schema
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

RULES = "x-kubernetes-validations"

Label = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", max_length=63)]
"""An RFC 1123 label; the rule of `jetmill.protocol.name`, as a schema can say it."""
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)]
"""The name of an object of Kubernetes: an RFC 1123 subdomain."""
DataKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=253)]
"""A key in the data of a Secret or a ConfigMap."""
_EVENT_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
EventPattern = Annotated[str, Field(pattern=rf"^(\*|{_EVENT_LABEL}(\.{_EVENT_LABEL}){{0,7}}(\.\*)?)$", max_length=520)]
"""Which events are meant; the rule of `jetmill.protocol.event`."""
Opaque = Annotated[dict[str, Any], Schema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})]
"""A mapping that the API server takes as it is."""


class Part(BaseModel):
    """A mapping in a manifest."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        allow_inf_nan=False,
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
    )


class Metadata(Part):
    """The part of an object's metadata that Jetmill reads; what an API server adds is ignored."""

    model_config = ConfigDict(extra="ignore")

    name: Label
    """The object's name: an RFC 1123 label (1 to 63 of a-z, 0-9 and '-'), for it becomes a part of NATS subjects."""
    namespace: Label | None = None
    """The namespace; without one, where the manifest is applied to."""


class LocalRef(Part):
    """Another object of the same namespace."""

    name: ObjectName
    """Its name; it is looked up in the same namespace."""


def build_refusal(field: str, what: str, cure: str) -> PydanticCustomError:
    """Build what a validator raises; `field` is the camelCase path from the validated value, `0.name` or empty."""
    # The texts go in as values: the template is formatted, and texts may hold braces.
    return PydanticCustomError("refused", "{what}", {"field": field, "what": what, "cure": cure})


def build_rule(rule: str, message: str, *, field: str = "") -> dict[str, Any]:
    """Build a rule in CEL; `message` says the cure, `field` is the path (`.maxReplicas`) that is to blame."""
    path = {"fieldPath": field} if field else {}
    return {"rule": rule, "message": message, "reason": "FieldValueInvalid", **path}


def build_one_of(*fields: str) -> dict[str, Any]:
    """Build the rule that exactly one of the fields is there; `refuse_unless_one` is its twin."""
    count = " + ".join(f"(has(self.{field}) ? 1 : 0)" for field in fields)
    return build_rule(f"{count} == 1", f"exactly one of {', '.join(fields)} has to be there")


def refuse_unless_one(part: Part, *fields: str) -> None:
    """Raise a refusal unless exactly one of the fields (camelCase) is there."""
    names = {info.alias: name for name, info in type(part).model_fields.items()}
    there = [field for field in fields if getattr(part, names[field]) is not None]
    if not there:
        raise build_refusal("", f"says none of {', '.join(fields)}", "add one of them")
    if len(there) > 1:
        raise build_refusal(there[1], f"stands beside {there[0]}", "keep one of the two")


@dataclass(frozen=True)
class Keyed:
    """Marks a list whose items are told apart by one field, so that managers can own single items."""

    key: str
    """The field, in camelCase."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._refuse_twins, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [self.key]}

    def _refuse_twins(self, items: Sequence[Part]) -> Sequence[Part]:
        seen = set[Any]()
        for index, item in enumerate(items):
            value = item.model_dump(by_alias=True)[self.key]
            if value in seen:
                raise build_refusal(f"{index}.{self.key}", f"{value} is there twice", "keep one of them")
            seen.add(value)
        return items


@dataclass(frozen=True)
class QualifiedKeys:
    """Marks a mapping whose keys are Kubernetes' qualified names: a name, or a domain, '/' and a name."""

    pattern: ClassVar = r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._refuse_others, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        rule = f"self.all(key, key.size() <= 317 && key.matches('{self.pattern}'))"
        message = "a key does not fit: write a name such as team, or a domain and a name such as example.com/team"
        return {**handler(schema), RULES: [build_rule(rule, message)]}

    def _refuse_others(self, items: Mapping[str, Any]) -> Mapping[str, Any]:
        for key in items:
            if len(key) > 317 or re.fullmatch(self.pattern, key) is None:
                cure = "write a name such as team, or a domain and a name such as example.com/team"
                raise build_refusal(key, "is a key that does not fit", cure)
        return items


Annotations = Annotated[dict[str, Annotated[str, Field(max_length=32_768)]], Field(max_length=64), QualifiedKeys()]
"""Annotations of an object."""
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$", max_length=63)]
Labels = Annotated[dict[str, LabelValue], Field(max_length=64), QualifiedKeys()]
"""Labels of an object, or those that one must have."""


def _build_int_or_text(pattern: str, cure: str) -> tuple[PlainValidator, Schema]:
    """What makes a type of whole numbers and texts of one form; floats are refused, as the API server does."""

    def parse(value: object) -> int | str:
        fits = re.fullmatch(pattern, str(value)) is not None
        if isinstance(value, bool) or not isinstance(value, int | str) or not fits:
            raise build_refusal("", f"{value!r:.60} does not fit", cure)
        return value

    return PlainValidator(parse), Schema({"x-kubernetes-int-or-string": True, "pattern": f"^({pattern})$"})


_QUANTITY = _build_int_or_text(
    r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?",
    'write a whole number or a text: 2, "500m", "0.5", "256Mi"',
)
Quantity = Annotated[int | str, _QUANTITY[0], _QUANTITY[1]]
"""An amount as Kubernetes writes it, not below zero."""
_SHARE = _build_int_or_text(r"[0-9]{1,4}|(100|[0-9]{1,2})%", 'write a whole number or a share: 1, "25%"')
Share = Annotated[int | str, _SHARE[0], _SHARE[1]]
"""A number of pods, or a share of them in percent."""
