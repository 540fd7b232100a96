"""The environment of a worker that has no pod: what its container declares, over what jetmill dev itself has.

```
 dev's own ──▶ envFrom ──▶ env, in its order, $(NAME) expanded ──▶ what holds here: dev's NATS, a free health port
```

Secrets and ConfigMaps are those that the folder holds as documents; a variable whose source is not there is looked for
in dev's own environment by its name.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jetmill.errors import InputError
from jetmill_operator.cluster.ports import Body
from jetmill_operator.resources.deployment import CONTAINER

Sources = Mapping[tuple[str, str], Mapping[str, str]]
"""What Secrets and ConfigMaps hold, by kind and name."""
SECRET, CONFIG_MAP = "Secret", "ConfigMap"
SOURCE_KINDS = (SECRET, CONFIG_MAP)
_REFERENCES = {"secretKeyRef": SECRET, "configMapKeyRef": CONFIG_MAP}
_WHOLE = {"secretRef": SECRET, "configMapRef": CONFIG_MAP}
_KEYED = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_EXPANSION = re.compile(r"\$(\$)?\(([A-Za-z_][A-Za-z0-9_]*)\)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LOGIN = re.compile(r"JETMILL_(NATS_.*|PREFIX)")
"""Variables that would lead a worker to another NATS than dev's."""


def find_container(pod: Body) -> Mapping[str, Any]:
    """The container that runs the jobs."""
    found: Mapping[str, Any] = next(one for one in pod["spec"]["containers"] if one["name"] == CONTAINER)
    return found


def build_environment(folder: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of what runs the folder's code, without a pod.

    No byte code is written: Python takes a file that changed within the second and kept its size for the old one.
    """
    return {**environ, "PYTHONPATH": _put_first(folder, environ.get("PYTHONPATH")), "PYTHONDONTWRITEBYTECODE": "1"}


def build_worker_environment(
    pod: Body, folder: Path, sources: Sources, *, url: str, environ: Mapping[str, str]
) -> dict[str, str]:
    """The environment of a pod's worker; `url`: dev's own NATS. InputError for what cannot be resolved."""
    declared = {**environ, **_resolve_all(pod, sources, environ)}
    return {
        **{name: value for name, value in build_environment(folder, declared).items() if not _LOGIN.fullmatch(name)},
        "PYTHONUNBUFFERED": "1",
        "JETMILL_NATS_URL": url,
        "JETMILL_HEALTH_HOST": "127.0.0.1",
        "JETMILL_HEALTH_PORT": "0",
        "JETMILL_LOG_FORMAT": "console",
    }


def read_field(pod: Body, path: str) -> str | None:
    """What a `fieldRef` gives here; None for a field that a process on a laptop cannot have."""
    meta = pod["metadata"]
    keyed = _KEYED.fullmatch(path)
    if keyed is not None:
        return str(meta.get(keyed[1], {}).get(keyed[2], ""))
    fields = {
        "metadata.name": meta["name"],
        "metadata.namespace": meta["namespace"],
        "metadata.uid": meta.get("uid", ""),
        "spec.nodeName": socket.gethostname(),
        "spec.serviceAccountName": pod.get("spec", {}).get("serviceAccountName", "default"),
        "status.hostIP": "127.0.0.1",
        "status.podIP": "127.0.0.1",
    }
    found = fields.get(path)
    return None if found is None else str(found)


def _resolve_all(pod: Body, sources: Sources, environ: Mapping[str, str]) -> dict[str, str]:
    container = find_container(pod)
    declared: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        for field, kind in _WHOLE.items():
            held = sources.get((kind, source.get(field, {}).get("name", "")), {})
            names = {f"{source.get('prefix', '')}{key}": value for key, value in held.items()}
            declared |= {name: value for name, value in names.items() if _VARIABLE.fullmatch(name)}
    for variable in container.get("env", ()):
        name = variable["name"]
        value = _resolve(variable, pod, sources, environ)
        if value is None:
            continue
        declared[name] = value if "valueFrom" in variable else _expand(value, declared)
    return declared


def _resolve(variable: Mapping[str, Any], pod: Body, sources: Sources, environ: Mapping[str, str]) -> str | None:
    origin = variable.get("valueFrom")
    if origin is None:
        return str(variable.get("value", ""))
    if "fieldRef" in origin:
        path = origin["fieldRef"]["fieldPath"]
        value = read_field(pod, path)
        if value is None:
            raise InputError(f"{variable['name']}: there is no pod whose {path} could be told", field="env")
        return value
    for field, kind in _REFERENCES.items():
        if field in origin:
            reference = origin[field]
            held = sources.get((kind, reference["name"]), {}).get(reference["key"], environ.get(variable["name"]))
            if held is None and not reference.get("optional"):
                raise InputError(f"couldn't find key {reference['key']} in {kind} {reference['name']}", field="env")
            return held
    raise InputError(f"{variable['name']}: there is no {', '.join(origin)} without a cluster", field="env")


def _expand(value: str, declared: Mapping[str, str]) -> str:
    """Replace `$(NAME)` of what was declared before; `$$(NAME)` stands for itself."""

    def replace(match: re.Match[str]) -> str:
        return match[0][1:] if match[1] else declared.get(match[2], match[0])

    return _EXPANSION.sub(replace, value)


def _put_first(folder: Path, path: str | None) -> str:
    return f"{folder}{os.pathsep}{path}" if path else str(folder)
