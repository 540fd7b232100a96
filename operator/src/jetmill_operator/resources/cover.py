"""Does what is live say already all that we want? Then there is nothing to apply.

Only what we want is looked at: whatever others added (sidecars, variables, labels, the server's defaults) is theirs.
Quantities compare by amount; a zero value that the server leaves out counts as there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jetmill_operator.resources.merge import find_merge_key
from jetmill_operator.resources.quantity import is_same_quantity

_AMOUNTS = frozenset({"requests", "limits", "sizeLimit"})
_TRUE_IF_ABSENT = frozenset({"automountServiceAccountToken", "allowPrivilegeEscalation"})
"""False is to be said for these: left out, the server takes them for true."""


def find_gaps(live: Any, wanted: Any, *, path: str = "") -> Iterator[str]:
    """The dotted paths at which `live` does not say what is `wanted`."""
    name = path.rpartition(".")[2]
    if isinstance(wanted, Mapping):
        there = live if isinstance(live, Mapping) else {}
        for key, value in wanted.items():
            yield from find_gaps(there.get(key), value, path=f"{path}.{key}" if path else str(key))
    elif isinstance(wanted, list):
        yield from _find_list_gaps(live if isinstance(live, list) else [], wanted, path)
    elif live != wanted and not _is_absent_zero(live, wanted, name) and not _is_same_amount(live, wanted, path):
        yield path


def covers(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Tell whether there is no gap."""
    return next(find_gaps(live, wanted), None) is None


def project(live: Any, wanted: Any, *, path: str = "") -> Any:
    """The part of `live` that `wanted` speaks of, in its order: what a diff is shown against."""
    if isinstance(wanted, Mapping):
        there = live if isinstance(live, Mapping) else {}
        below = {
            key: project(there.get(key), value, path=f"{path}.{key}" if path else key) for key, value in wanted.items()
        }
        return {key: value for key, value in below.items() if value is not None}
    if isinstance(wanted, list):
        key = find_merge_key(path)
        if key is None or not isinstance(live, list):
            return live
        there = {element.get(key): element for element in live if isinstance(element, Mapping)}
        return [project(there[element[key]], element, path=path) for element in wanted if element[key] in there]
    return wanted if _is_same_amount(live, wanted, path) else live


def _find_list_gaps(live: list[Any], wanted: list[Any], path: str) -> Iterator[str]:
    key = find_merge_key(path)
    if key is not None:
        there = {element.get(key): element for element in live if isinstance(element, Mapping)}
        for element in wanted:
            if element[key] not in there:
                yield f"{path}[{element[key]}]"
            else:
                yield from find_gaps(there[element[key]], element, path=f"{path}[{element[key]}]")
    elif len(live) != len(wanted):
        yield path
    else:
        for index, (one, other) in enumerate(zip(live, wanted, strict=True)):
            yield from find_gaps(one, other, path=f"{path}[{index}]")


def _is_absent_zero(live: Any, wanted: Any, name: str) -> bool:
    return live is None and not wanted and name not in _TRUE_IF_ABSENT


def _is_same_amount(live: Any, wanted: Any, path: str) -> bool:
    parts = path.split(".")
    return bool(_AMOUNTS.intersection(parts[-2:])) and is_same_quantity(live, wanted)
