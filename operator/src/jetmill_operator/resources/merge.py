"""Strategic merge: what a Job's `podTemplate` says over what was built, as `kubectl patch --type=strategic` does it.

Maps are merged, a null removes. Lists that Kubernetes keys are merged by that key, new elements last; all others are
replaced whole. Directives:

```
$patch: delete      in an element: it goes · in a map: the map goes
$patch: replace     in an element: the list becomes the patch's other elements · in a map: it becomes the rest of it
$retainKeys: […]    of the map only these keys stay
$deleteFromPrimitiveList/NAME: […]   these values go
```

A volume has one source, so one in the patch takes the place of that in the base (what kubectl says by `$retainKeys`).
The rule: https://github.com/kubernetes/community/blob/main/contributors/devel/sig-api-machinery/strategic-merge-patch.md
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from jetmill.errors import InputError

MERGE_KEYS: Mapping[str, str] = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "imagePullSecrets": "name",
    "resourceClaims": "name",
    "schedulingGates": "name",
    "env": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ownerReferences": "uid",
}
"""The lists below a pod template that have a key, by their names."""
_RETAINED = frozenset({"volumes", "resourceClaims"})
"""Lists whose elements keep no key of the base that the patch does not name."""
_PRIMITIVE = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"


def merge_strategic(base: Mapping[str, Any], patch: Mapping[str, Any], *, path: str = "") -> dict[str, Any]:
    """The base with the patch over it; neither is changed. InputError names the field of a patch that cannot be."""
    merged = _merge_map(base, patch, path)
    return {} if merged is None else merged


def _merge_map(base: Mapping[str, Any], patch: Mapping[str, Any], path: str) -> dict[str, Any] | None:
    """None: the map is to go."""
    match patch.get("$patch", "merge"):
        case "replace":
            return _merge_map({}, {name: value for name, value in patch.items() if name != "$patch"}, path)
        case "delete":
            return None
        case "merge":
            pass
        case other:
            raise _refuse(path, f"$patch: {other!r} is no directive", "use delete, replace or merge")
    merged: dict[str, Any] = copy.deepcopy(dict(base))
    if "$retainKeys" in patch:
        kept = _need_list(patch["$retainKeys"], _join(path, "$retainKeys"))
        merged = {name: value for name, value in merged.items() if name in kept}
    for name, value in patch.items():
        if name.startswith(_PRIMITIVE):
            target, gone = name.removeprefix(_PRIMITIVE), _need_list(value, _join(path, name))
            merged[target] = [item for item in _need_list(merged.get(target) or [], path) if item not in gone]
        elif not name.startswith((_ORDER, "$")):
            _merge_value(merged, name, value, _join(path, name))
    return merged


def _merge_value(merged: dict[str, Any], name: str, value: Any, path: str) -> None:
    there = merged.get(name)
    if value is None:
        merged.pop(name, None)
    elif isinstance(there, Mapping | list) and not isinstance(value, Mapping if isinstance(there, Mapping) else list):
        wanted = "mapping" if isinstance(there, Mapping) else "list"
        raise _refuse(path, f"{value!r:.60} is no {wanted}", f"write it as a {wanted}")
    elif isinstance(value, Mapping):
        below = _merge_map(there if isinstance(there, Mapping) else {}, value, path)
        if below is None:
            merged.pop(name, None)
        else:
            merged[name] = below
    elif isinstance(value, list) and find_merge_key(path) is not None:
        merged[name] = _merge_list(there if isinstance(there, list) else [], value, path)
    else:
        merged[name] = _clean(value, path)


def find_merge_key(path: str) -> str | None:
    """The key of the list at a dotted path, None if it is replaced whole."""
    return MERGE_KEYS.get(path.rpartition(".")[2])


def _merge_list(base: list[Any], patch: list[Any], path: str) -> list[Any]:
    key = find_merge_key(path)
    assert key is not None
    elements = [_need_key(element, key, f"{path}[{index}]") for index, element in enumerate(patch)]
    if any(element.get("$patch") == "replace" and key not in element for element in elements):
        rest = [element for element in elements if "$patch" not in element]
        return [_clean(element, f"{path}[{element[key]}]") for element in rest]
    merged: dict[Any, Any] = {element.get(key): copy.deepcopy(element) for element in base}
    for element in elements:
        name = element[key]
        there = merged.get(name, {})
        if path.rpartition(".")[2] in _RETAINED:
            there = {field: value for field, value in there.items() if field in element}
        below = _merge_map(there, element, f"{path}[{name}]")
        if below is None:
            merged.pop(name, None)
        else:
            merged[name] = below
    return list(merged.values())


def _need_key(element: Any, key: str, path: str) -> Mapping[str, Any]:
    if not isinstance(element, Mapping):
        raise _refuse(path, f"{element!r:.60} is no mapping", f"write it as a mapping with {key}")
    if key not in element and element.get("$patch") != "replace":
        raise _refuse(path, f"has no {key}", f"say which one is meant: add {key}")
    if not isinstance(element.get(key, ""), str | int):
        raise _refuse(path, f"{key} {element[key]!r:.60} names nothing", f"write {key} as a text or a number")
    return element


def _need_list(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise _refuse(path, f"{value!r:.60} is no list", "write it as a list")
    return value


def _clean(value: Any, path: str) -> Any:
    """A value without directives and nulls, as where there was nothing to merge with."""
    if isinstance(value, Mapping):
        return _merge_map({}, value, path)
    if isinstance(value, list):
        return _merge_list([], value, path) if find_merge_key(path) else [_clean(item, path) for item in value]
    return value


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _refuse(path: str, what: str, cure: str) -> InputError:
    return InputError(f"{path}: {what}", field=path, cure=cure)
