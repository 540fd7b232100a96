"""From pydantic's JSON Schema to the structural schema that a CRD may hold. Pure.

An API server takes a part of OpenAPI 3.0 only, and drops or refuses the rest:

| in JSON Schema | in a CRD |
|---|---|
| `$ref` into `$defs` | the definition itself, the field's own description and default over it |
| `anyOf` with null | an optional field: without null, without the default null |
| `const` | an enum of one |
| `exclusiveMinimum: 0` | `minimum: 0, exclusiveMinimum: true` |
| `additionalProperties: false` | nothing: unknown fields are pruned, or refused by strict validation |
| `title` | nothing |

Defaults are whole: a server checks the default of an object before it fills in those of its fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

INT32_MAX = 2_147_483_647
_ORDER = ("description", "type", "format", "enum", "pattern", "minimum", "exclusiveMinimum", "maximum")
_KEPT = frozenset((
    *("default", "enum", "format", "maxItems", "maxLength", "maxProperties", "maximum", "minItems", "minLength"),
    *("minProperties", "minimum", "pattern", "required", "type"),
))  # fmt: skip


def build_schema(model: type[BaseModel]) -> Schema:
    """Build the structural schema of a model; ValueError names what has no form there."""
    raw = model.model_json_schema()
    return _convert(raw, raw.get("$defs", {}))


def _convert(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    node = _resolve(node, definitions)
    schema: Schema = {}
    for key, value in node.items():
        match key:
            case "description":
                schema[key] = " ".join(value.split())
            case "properties":
                schema[key] = {name: _convert(child, definitions) for name, child in value.items()}
            case "items":
                schema[key] = _convert(value, definitions)
            case "additionalProperties":
                schema |= _convert_values(value, definitions)
            case "exclusiveMinimum" | "exclusiveMaximum":
                schema |= {f"m{key[10:]}": _simplify(value), key: True}
            case "const":
                schema["enum"] = [value]
            case "title" | "$defs":
                pass
            case _ if key in _KEPT or key.startswith("x-kubernetes-"):
                schema[key] = _simplify(value)
            case _:
                raise ValueError(f"{key} has no form in a CRD: {node}")
    if schema.get("default") in (None, {}, []):
        schema.pop("default", None)
    if schema.get("type") == "integer":
        schema["format"] = "int32" if schema.get("maximum", INT32_MAX + 1) <= INT32_MAX else "int64"
    return {key: schema[key] for key in (*(key for key in _ORDER if key in schema), *schema)}


def _resolve(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """The node with its reference and its single alternative folded into it; what stands in the node counts more."""
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        return _resolve({**target, **_without(node, "$ref")}, definitions)
    if "anyOf" in node:
        choices = [choice for choice in node["anyOf"] if choice != {"type": "null"}]
        if len(choices) != 1:
            raise ValueError(f"anyOf has no form in a CRD: {node}")
        return _resolve({**choices[0], **_without(node, "anyOf")}, definitions)
    return node


def _without(node: Mapping[str, Any], key: str) -> Schema:
    return {name: value for name, value in node.items() if name != key}


def _convert_values(value: Any, definitions: Mapping[str, Any]) -> Schema:
    if value is False:
        return {}
    if value is True:
        return {"x-kubernetes-preserve-unknown-fields": True}
    return {"additionalProperties": _convert(value, definitions)}


def _simplify(value: Any) -> Any:
    """A value without nulls, empty mappings and lists, and fractions of zero."""
    match value:
        case dict():
            simple = {key: _simplify(item) for key, item in value.items() if item not in (None, [])}
            return {key: item for key, item in simple.items() if item != {}}
        case float() if value.is_integer():
            return int(value)
        case _:
            return value
