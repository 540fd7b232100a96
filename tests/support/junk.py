"""Random specs of Jobs: sensible in most places, and odd in some, as the CRD's own schema lets them be.

Seeded: the same number gives the same spec. A `podTemplate` and a payload's schema are anybody's, so there comes what
nobody thought of: wrong types, lists of nothing, directives where none belong.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
_WORDS = (
    "a",
    "worker",
    "jetmill-tmp",
    "x-1",
    "default",
    "JETMILL_JOBS",
    "PATH",
    "/tmp",
    "/srv",
    "8081",
    "ü",
    "",
    " ",
    "1Gi",
)
_STRINGS = {
    "handler": ("a:b", "shop.tasks:send"),
    "image": ("shop:1", "a", "registry.invalid/x@sha256:" + "0" * 64, " ", "ä:1"),
    "mountPath": ("/tmp", "/tmp/", "/data", "/", "/a/../b"),
    "fieldPath": ("metadata.name", "status.podIP", "metadata.labels['x']", "nonsense"),
    "key": ("k", "password", "node.kubernetes.io/x", "?"),
    "maxUnavailable": ("1", "50%", "100%", "0"),
    "sizeLimit": ("1Gi", "0", "1e3", ".5"),
}
_POD_FIELDS = (
    *("containers", "initContainers", "volumes", "env", "ports", "volumeMounts", "imagePullSecrets", "tolerations"),
    *("securityContext", "affinity", "nodeSelector", "serviceAccountName", "terminationGracePeriodSeconds", "command"),
    *("restartPolicy", "hostNetwork", "name", "image", "resources", "requests", "limits", "labels", "annotations"),
    *("topologySpreadConstraints", "hostAliases", "lifecycle", "args", "readinessProbe", "metadata", "nonsense"),
    *("$patch", "$retainKeys", "$setElementOrder/containers", "$deleteFromPrimitiveList/args", "$x"),
)
_KEYWORDS = (
    "type",
    "properties",
    "required",
    "items",
    "enum",
    "pattern",
    "$ref",
    "allOf",
    "not",
    "minimum",
    "format",
    "$id",
)


def make_spec(number: int) -> dict[str, Any]:
    """The spec of that number: a sensible one, with up to six places of the schema filled in anew."""
    dice = random.Random(number)
    spec: dict[str, Any] = {"handler": "shop.tasks:send_email", "worker": {"image": "shop:1"}}
    for _ in range(dice.randint(1, 6)):
        _set_somewhere(dice, spec, _read_schema())
    worker = spec.get("worker")
    if isinstance(worker, dict) and dice.random() < 0.5:
        worker["podTemplate"] = {"spec": make_junk(dice)} | (
            {"metadata": make_junk(dice)} if dice.random() < 0.3 else {}
        )
    scaling = spec.get("scaling")
    if isinstance(scaling, dict):
        scaling.pop("minReplicas", None)  # no pods: it is the operator that is tried
    return spec


@cache
def _read_schema() -> Mapping[str, Any]:
    definition = next(yaml.load_all((ROOT / "crds" / "jobs.yaml").read_text(), Loader=yaml.CSafeLoader))
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    found: Mapping[str, Any] = schema["properties"]["spec"]
    return found


def _set_somewhere(dice: random.Random, spec: dict[str, Any], schema: Mapping[str, Any]) -> None:
    """Go down to some field, and give it a value."""
    name = dice.choice(sorted(schema["properties"]))
    below = schema["properties"][name]
    if "properties" in below and dice.random() < 0.9:
        inner = spec.setdefault(name, {})
        _set_somewhere(dice, inner, below)
    else:
        spec[name] = _draw(dice, below, name)


def _draw(dice: random.Random, schema: Mapping[str, Any], name: str) -> Any:
    """A value that the schema allows, more or less."""
    if "enum" in schema:
        return dice.choice(schema["enum"])
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return make_junk(dice, name)
    if schema.get("x-kubernetes-int-or-string") and dice.random() < 0.5:
        return dice.choice((0, 1, 7))
    match schema.get("type", "string"):
        case "boolean":
            return dice.random() < 0.5
        case "integer":
            return dice.choice(_bounds(schema))
        case "number":
            return dice.choice((*_bounds(schema), 0.001, 1.5, 1e-9, 1234.5678))
        case "array":
            return [_draw(dice, schema["items"], name) for _ in range(dice.randint(0, 3))]
        case "object":
            return _draw_object(dice, schema, name)
        case _:
            return dice.choice(_STRINGS.get(name, _WORDS))


def _draw_object(dice: random.Random, schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    if "properties" not in schema:
        return {dice.choice(("cpu", "memory", "a/b", "x", "jetmill.dev/job")): dice.choice(_WORDS) for _ in range(2)}
    wanted = [one for one in schema["properties"] if one in schema.get("required", ()) or dice.random() < 0.4]
    return {one: _draw(dice, schema["properties"][one], one) for one in wanted}


def _bounds(schema: Mapping[str, Any]) -> tuple[int, ...]:
    low, high = int(schema.get("minimum", 0)), int(schema.get("maximum", 2**31 - 1))
    return (low, low + 1, (low + high) // 2, high)


def make_junk(dice: random.Random, name: str = "spec") -> dict[str, Any]:
    """An object below a `podTemplate`, or a schema, that nobody would write."""
    words = _KEYWORDS if name == "schema" else _POD_FIELDS
    return dict(_list_junk(dice, words, depth=0))


def _list_junk(dice: random.Random, words: tuple[str, ...], *, depth: int) -> Iterator[tuple[str, Any]]:
    if depth and dice.random() < 0.3:
        yield "name", "worker"
    for _ in range(dice.randint(1, 4)):
        yield dice.choice(words), _draw_junk(dice, words, depth=depth + 1)


def _draw_junk(dice: random.Random, words: tuple[str, ...], *, depth: int) -> Any:
    kind = dice.random()
    if depth < 4 and kind < 0.35:
        return dict(_list_junk(dice, words, depth=depth))
    if depth < 4 and kind < 0.65:
        return [_draw_junk(dice, words, depth=depth + 1) for _ in range(dice.randint(0, 3))]
    return dice.choice((None, True, 0, -1, 1.5, 2**40, "worker", "delete", "replace", "merge", "string", "[", *_WORDS))
