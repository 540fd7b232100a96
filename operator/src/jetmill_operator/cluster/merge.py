"""How writes change an object and who owns its fields: server-side apply, updates and JSON merge patches, pure.

The rules are those of the API server (KEP-555, structured-merge-diff), as far as Jetmill's objects go:

- An apply takes the fields that it names. Where their value differs and another manager owns them it is a conflict,
  unless it is forced: then the other loses them. Equal values are owned together.
- What a manager named in its apply before and does not name now goes, if nobody else owns it or a part of it.
- An update (create, patch) owns what it changed; whoever owned that owns it no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from jetmill_operator.cluster.errors import ConflictError
from jetmill_operator.cluster.field import Item, Path, Paths, changes, index, is_merged, keys_of, paths_of, show, walk


class Owner(NamedTuple):
    """Whose fields: each manager owns those that it applies apart from those that it updates, and by subresource."""

    manager: str
    operation: str
    """`Apply` or `Update`."""
    subresource: str = ""


Ownership = Mapping[Owner, Paths]
_HEAD = frozenset({"apiVersion", "kind"})
_SYSTEM = frozenset(
    {
        "name",
        "generateName",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
        "selfLink",
    }
)
"""Fields of `metadata` that nobody owns."""


def claims(body: Mapping[str, Any]) -> dict[str, Any]:
    """Give what of an object can be owned: all but what says which object it is."""
    metadata = {name: value for name, value in body.get("metadata", {}).items() if name not in _SYSTEM}
    rest = {name: value for name, value in body.items() if name not in _HEAD and name != "metadata"}
    return {**({"metadata": metadata} if metadata else {}), **rest}


def apply_fields(
    live: dict[str, Any], owned: Ownership, wanted: Mapping[str, Any], *, owner: Owner, force: bool
) -> tuple[dict[str, Any], dict[Owner, Paths]]:
    """Apply what `claims` gives of an object; give the object and who owns it then. ConflictError without force."""
    mine = claims(wanted)
    named = paths_of(mine)
    disputed = _dispute(live, mine, owned, owner)
    if disputed and not force:
        raise ConflictError(_describe(disputed), code=409)
    after = {other: paths - disputed.get(other, frozenset()) for other, paths in owned.items() if other != owner}
    merged = merge(live, mine)
    kept = frozenset().union(named, *after.values())
    merged = prune(merged, owned.get(owner, frozenset()) - named, kept)
    return merged, _tidy({**after, owner: named})


def update_fields(
    before: Mapping[str, Any], after: Mapping[str, Any], owned: Ownership, owner: Owner
) -> dict[Owner, Paths]:
    """Say who owns what after an update by `owner`."""
    changed, gone = changes(claims(before), claims(after))
    if not changed and not gone:
        return dict(owned)
    left = {other: paths - changed - gone for other, paths in owned.items()}
    return _tidy({**left, owner: left.get(owner, frozenset()) | changed})


def merge(live: Any, wanted: Any, path: Path = ()) -> Any:
    """Put `wanted` over `live`: maps by field, keyed lists by item, everything else whole."""
    if isinstance(live, dict) and isinstance(wanted, dict) and is_merged(path, wanted):
        return {**live, **{name: merge(live.get(name), value, (*path, name)) for name, value in wanted.items()}}
    keys = keys_of(path, wanted)
    if isinstance(live, list) and isinstance(wanted, list) and keys is not None and keys_of(path, live) == keys:
        return _merge_items(index(path, live, keys), index(path, wanted, keys), path)
    if isinstance(wanted, (dict, list)):
        paths_of(wanted, path)  # refuses two items alike
    return wanted


def _merge_items(live: dict[Item, Any], wanted: dict[Item, Any], path: Path) -> list[Any]:
    """Merge in the order of `wanted`; an item that only `live` has stays before the one that it stood before."""
    merged: dict[Item, Any] = {}
    waiting = list(live)
    for step, item in wanted.items():
        while waiting and (waiting[0] not in wanted or waiting[0] in merged):
            merged.setdefault(waiting[0], live[waiting[0]])
            waiting.pop(0)
        merged[step] = merge(live.get(step), item, (*path, step)) if isinstance(item, dict) else item
    merged.update((step, live[step]) for step in waiting if step not in merged)
    return list(merged.values())


def prune(body: dict[str, Any], gone: Iterable[Path], kept: Paths) -> dict[str, Any]:
    """Take paths out of an object, except where something of `kept` is at or below them."""
    needed = {path[:depth] for path in kept for depth in range(1, len(path) + 1)}
    pruned = _without(body, (), {path for path in gone if path not in needed})
    return pruned if isinstance(pruned, dict) else {}


def _without(value: Any, path: Path, gone: set[Path]) -> Any:
    """Give a value without what is gone; None if that leaves a map or list empty that was not."""
    if not any(lost[: len(path)] == path for lost in gone):
        return value
    keys = keys_of(path, value)
    left: dict[str, Any] | list[Any]
    if isinstance(value, dict):
        left = {
            name: field
            for name, old in value.items()
            if (*path, name) not in gone and (field := _without(old, (*path, name), gone)) is not None
        }
    elif isinstance(value, list) and keys is not None:
        left = [
            item
            for step, old in index(path, value, keys).items()
            if (*path, step) not in gone and (item := _without(old, (*path, step), gone)) is not None
        ]
    else:
        return value
    return left or (None if path else left)


def merge_patch(body: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7386): null takes a field out."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(body) if isinstance(body, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def _dispute(live: Mapping[str, Any], wanted: Mapping[str, Any], owned: Ownership, owner: Owner) -> dict[Owner, Paths]:
    """Say which fields others own that would get another value."""
    before = dict(walk(claims(live)))
    other_value = frozenset(path for path, value in walk(wanted) if before.get(path, value) != value)
    found = {other: paths & other_value for other, paths in owned.items() if other != owner}
    return {other: paths for other, paths in found.items() if paths}


def _describe(disputed: Mapping[Owner, Paths]) -> str:
    count = sum(len(paths) for paths in disputed.values())
    what = "; ".join(
        f'conflict with "{owner.manager}": {", ".join(sorted(map(show, paths)))}'
        for owner, paths in sorted(disputed.items())
    )
    return f"Apply failed with {count} conflict{'s' if count > 1 else ''}: {what}"


def _tidy(owned: Mapping[Owner, Paths]) -> dict[Owner, Paths]:
    return {owner: paths for owner, paths in owned.items() if paths}
