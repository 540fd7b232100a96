"""Which fields an object has, as paths, and who owns them: the arithmetic of server-side apply, pure.

A path is a tuple of steps: the name of a field, or, in a list that is merged by keys, the keys of one item. A list or
map that is not merged is one leaf. Which lists are keyed and which maps are whole is what the API's types say
(`listType`, `mapType`); the tables hold those that Jetmill meets.

```
spec.containers[name=worker].image  →  ("spec", "containers", (("name", "worker"),), "image")
```
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jetmill_operator.cluster.errors import InvalidError

Item = tuple[tuple[str, Any], ...]
"""One item of a list: its keys and their values; of a set: the value, under an empty name."""
Step = str | Item
Path = tuple[Step, ...]
Paths = frozenset[Path]

KEYS: Mapping[str, tuple[str, ...]] = {
    "conditions": ("type",),
    "containers": ("name",),
    "env": ("name",),
    "ephemeralContainers": ("name",),
    "finalizers": ("",),
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "ports": ("containerPort", "protocol"),
    "resourceClaims": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
"""Lists that are merged, by the name of their field, and what tells their items apart; `""`: a set of plain values."""
DEFAULTS: Mapping[str, Any] = {"protocol": "TCP", "whenUnsatisfiable": "DoNotSchedule"}
"""What a key is that an item does not name."""
WHOLE = frozenset({"selector", "labelSelector", "nodeSelector", "secretKeyRef", "configMapKeyRef", "fieldRef"})
"""Maps that are replaced, not merged."""


def keys_of(path: Path, value: object) -> tuple[str, ...] | None:
    """Say by which keys the list at a path is merged; None: it is one leaf."""
    keys = KEYS.get(path[-1]) if path and isinstance(path[-1], str) else None
    if keys is None or not isinstance(value, list):
        return None
    if keys == ("",):
        return keys
    return keys if all(isinstance(item, dict) and _has_keys(item, keys) for item in value) else None


def is_merged(path: Path, value: object) -> bool:
    """Whether the map at a path is merged field by field."""
    return isinstance(value, dict) and not (path and path[-1] in WHOLE)


def index(path: Path, items: list[Any], keys: tuple[str, ...]) -> dict[Item, Any]:
    """Give the items of a keyed list by their keys, in order; InvalidError, as from the API server, for two alike."""
    found: dict[Item, Any] = {}
    for item in items:
        step = (("", item),) if keys == ("",) else tuple((key, item.get(key, DEFAULTS.get(key))) for key in keys)
        if step in found:
            raise InvalidError(
                f"failed to create typed patch object: {show(path)}: duplicate entries for key {show((step,))}",
                code=500,
                field=show(path),
            )
        found[step] = item
    return found


def paths_of(value: object, path: Path = ()) -> Paths:
    """Give all leaves at and below a path, and the items of keyed lists."""
    return frozenset(path for path, _ in walk(value, path))


def walk(value: object, path: Path = ()) -> list[tuple[Path, Any]]:
    """Give each leaf with its value, and each item of a keyed list (with None, for its fields say the rest)."""
    found: list[tuple[Path, Any]] = []
    _gather(value, path, found.append)
    return found


def _gather(value: object, path: Path, put: Callable[[tuple[Path, Any]], None]) -> None:
    if isinstance(value, dict) and value and is_merged(path, value):
        for name, field in value.items():
            if isinstance(field, (dict, list)):
                _gather(field, (*path, name), put)
            else:
                put(((*path, name), field))
    elif isinstance(value, list) and value and (keys := keys_of(path, value)) is not None:
        for step, item in index(path, value, keys).items():
            put(((*path, step), None))
            if keys != ("",):
                _gather(item, (*path, step), put)
    elif path:
        put((path, value))


def changes(before: object, after: object) -> tuple[Paths, Paths]:
    """Say which paths have another value or are new, and which are gone."""
    old, new = dict(walk(before)), dict(walk(after))
    changed = frozenset(path for path, value in new.items() if path not in old or old[path] != value)
    return changed, frozenset(old.keys() - new.keys())


def show(path: Path) -> str:
    """Write a path as the API server does: `.spec.containers[name="worker"].image`."""
    return "".join(f".{step}" if isinstance(step, str) else _show_item(step) for step in path)


def _show_item(step: Item) -> str:
    if step and step[0][0] == "":
        return f'["{step[0][1]}"]'
    return "[" + ",".join(f"{key}={_quote(value)}" for key, value in step) + "]"


def _quote(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _has_keys(item: Mapping[str, Any], keys: tuple[str, ...]) -> bool:
    return all(key in item or key in DEFAULTS for key in keys)
