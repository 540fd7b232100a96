"""Finds in a CRD what an API server refuses, or drops with a warning that nobody reads (tried on Kubernetes 1.34).

- refused: `$ref`, `definitions`, typed anyOf/allOf/oneOf/not, a type of null or a list, numeric exclusive bounds,
  uniqueItems, arrays without items, patternProperties, dependencies, lookahead, `additionalProperties: false` or a
  schema beside properties, keyed lists whose keys may be missing
- dropped: const, `$defs`, examples, discriminator, readOnly, propertyNames
- against the house: a null in a default, anything without bound or description
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

REFUSED = frozenset((
    *("$ref", "definitions", "anyOf", "allOf", "oneOf", "not", "uniqueItems", "patternProperties", "dependencies"),
    *("additionalItems", "id", "$schema", "nullable"),
))  # fmt: skip
DROPPED = frozenset(("const", "$defs", "examples", "discriminator", "readOnly", "writeOnly", "propertyNames", "title"))
TYPES = ("object", "array", "string", "integer", "number", "boolean")
FORMATS = ("int32", "int64", "date-time")
LOOKAROUND = ("(?=", "(?!", "(?<=", "(?<!")


def find_faults(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Say what is wrong with a schema and all that are inside it; the root is the object's."""
    for fault in (
        *_find_forms(schema),
        *_find_unbounded(schema),
        *_find_list_faults(schema),
        *_find_rule_faults(schema),
    ):
        yield f"{path}: {fault}"
    if "default" in schema and _holds_null(schema["default"]):
        yield f"{path}: a null in its default"
    for name, child in schema.get("properties", {}).items():
        if not child.get("description") and f"{path}.{name}" not in (".apiVersion", ".kind", ".metadata"):
            yield f"{path}.{name}: no description"
        # What every object has is the API server's own: bounded and described by it.
        if f"{path}.{name}" not in (".apiVersion", ".kind", ".metadata"):
            yield from find_faults(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from find_faults(schema[key], f"{path}[]")


def _find_forms(schema: dict[str, Any]) -> Iterator[str]:
    yield from (f"{key} is refused" for key in schema.keys() & REFUSED)
    yield from (f"{key} is dropped" for key in schema.keys() & DROPPED)
    int_or_string = schema.get("x-kubernetes-int-or-string") is True
    if int_or_string == ("type" in schema) or (not int_or_string and schema["type"] not in TYPES):
        yield f"type {schema.get('type')!r}"
    for key in ("exclusiveMinimum", "exclusiveMaximum"):
        if not isinstance(schema.get(key, True), bool):
            yield f"a number as {key}"
    if schema.get("type") == "integer" and schema.get("format") not in FORMATS:
        yield "an integer without format"
    if any(sign in schema.get("pattern", "") for sign in LOOKAROUND):
        yield "a pattern that looks around"
    if not isinstance(schema.get("additionalProperties", {}), dict):
        yield "additionalProperties is no schema"
    if "properties" in schema and "additionalProperties" in schema:
        yield "additionalProperties beside properties"
    if missing := set(schema.get("required", ())) - schema.get("properties", {}).keys():
        yield f"required, but not there: {missing}"


def _find_unbounded(schema: dict[str, Any]) -> Iterator[str]:
    match schema:
        case {"enum": _} | {"x-kubernetes-preserve-unknown-fields": True} | {"x-kubernetes-int-or-string": True}:
            return
        case {"type": "string"} if "maxLength" not in schema:
            yield "a string without maxLength"
        case {"type": "array"} if "maxItems" not in schema:
            yield "a list without maxItems"
        case {"type": "object", "additionalProperties": _} if "maxProperties" not in schema:
            yield "a map without maxProperties"
        case {"type": "object"} if not schema.keys() & {"properties", "additionalProperties"}:
            yield "an object of nothing"


def _find_list_faults(schema: dict[str, Any]) -> Iterator[str]:
    if schema.get("type") == "array" and not isinstance(schema.get("items"), dict):
        yield "a list without items"
        return
    if schema.get("x-kubernetes-list-type") == "map":
        items, keys = schema["items"], schema.get("x-kubernetes-list-map-keys", [])
        fields = items.get("properties", {})
        if not keys or any(key not in items.get("required", ()) and "default" not in fields[key] for key in keys):
            yield "a keyed list whose keys may be missing"
    elif "x-kubernetes-list-map-keys" in schema:
        yield "keys of a list that is not keyed"


def _find_rule_faults(schema: dict[str, Any]) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", ()):
        if not rule.get("message") or "\n" in rule["message"]:
            yield f"a rule without a message of one line: {rule}"
        if "fieldPath" in rule and not rule["fieldPath"].startswith("."):
            yield f"a fieldPath that does not begin with a dot: {rule}"


def _holds_null(value: Any) -> bool:
    match value:
        case None:
            return True
        case dict():
            return any(map(_holds_null, value.values()))
        case list():
            return any(map(_holds_null, value))
        case _:
            return False
