"""Looks up what the variables of workers refer to: Secrets and ConfigMaps that the folder holds as documents, then the
environment of jetmill dev. What is nowhere is a fault, as in a cluster a pod would wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from jetmill_operator.api.pod import EnvFromSource, EnvVar, KeyRef
from jetmill_operator.api.refusal import ValuePath
from jetmill_operator.dev.environment import CONFIG_MAP, SECRET, Sources, read_field
from jetmill_operator.dev.fault import Fault, Note
from jetmill_operator.dev.manifest import Declared, Manifests

_ANY_POD = {"metadata": {"name": "", "namespace": ""}}


def check_references(manifests: Manifests, environ: Mapping[str, str]) -> None:
    """Take back the Jobs whose variables refer to what is not there, with a fault for each; note what comes from the
    environment.
    """
    for declared in list(manifests.jobs.values()):
        worker = declared.job.spec.worker
        for index, variable in enumerate(worker.env):
            found = _check_variable(declared, ("spec", "worker", "env", index), variable, manifests.sources, environ)
            if isinstance(found, Fault):
                manifests.refuse(declared, found)
            elif found is not None:
                manifests.notes.append(found)
        for index, source in enumerate(worker.env_from or ()):
            if _is_missing(source, manifests.sources):
                path: ValuePath = ("spec", "worker", "envFrom", index)
                what = f"{declared.job.name} has what envFrom names from the environment of jetmill dev, if it is there"
                manifests.notes.append(Note(declared.document.file, declared.document.line_of(path), what))


def _check_variable(
    declared: Declared, path: ValuePath, variable: EnvVar, sources: Sources, environ: Mapping[str, str]
) -> Fault | Note | None:
    origin = variable.value_from
    if origin is None:
        return None
    if origin.field_ref is not None:
        field = origin.field_ref.field_path
        if read_field(_ANY_POD, field) is None:
            return declared.build_fault(
                (*path, "valueFrom", "fieldRef", "fieldPath"), f"there is no {field} on a laptop", "give it a value"
            )
        return None
    for kind, reference in _list_references(variable):
        held = sources.get((kind, reference.name))
        if held is not None and reference.key in held:
            return None
        if variable.name in environ or reference.optional:
            what = f"{declared.job.name} has {variable.name} from the environment of jetmill dev, if it is there"
            return Note(declared.document.file, declared.document.line_of(path), what)
        missing = f"{kind} {reference.name}" if held is None else f"key {reference.key} in {kind} {reference.name}"
        cure = f"write it into a document of this folder, or set {variable.name} where jetmill dev is started"
        return declared.build_fault((*path, "valueFrom"), f"there is no {missing} in this folder", cure)
    return None


def _list_references(variable: EnvVar) -> Iterator[tuple[str, KeyRef]]:
    assert variable.value_from is not None
    if variable.value_from.secret_key_ref is not None:
        yield SECRET, variable.value_from.secret_key_ref
    if variable.value_from.config_map_key_ref is not None:
        yield CONFIG_MAP, variable.value_from.config_map_key_ref


def _is_missing(source: EnvFromSource, sources: Sources) -> bool:
    if source.secret_ref is not None:
        return (SECRET, source.secret_ref.name) not in sources
    return source.config_map_ref is not None and (CONFIG_MAP, source.config_map_ref.name) not in sources
