"""A folder of manifests as Jobs, and whatever is wrong with them.

Reading never raises: each document gives a Job, a fault or nothing (other tools' kinds), and what is wrong with one
says nothing about the others. Of two Jobs of one name neither is taken, for nobody can know which was meant. Only the
folder itself is read, not what is below it, as `kubectl apply -f DIR` does.
"""

from __future__ import annotations

import base64
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jetmill_operator.api import API_VERSION, GROUP
from jetmill_operator.api.job import Job
from jetmill_operator.api.part import Part
from jetmill_operator.api.refusal import CLOSE, Refusal, ValuePath, format_path, list_refusals, suggest
from jetmill_operator.api.scheduledjob import ScheduledJob
from jetmill_operator.api.webhook import Webhook
from jetmill_operator.calendar.errors import ScheduleError
from jetmill_operator.calendar.spec import build_calendar
from jetmill_operator.cluster.ports import SCHEDULED_JOB, WEBHOOK, Kind
from jetmill_operator.dev.document import Document, read_documents
from jetmill_operator.dev.environment import SECRET, SOURCE_KINDS
from jetmill_operator.dev.fault import Fault, Note
from jetmill_operator.resources.label import CODE, MANAGED

OTHERS: Mapping[str, tuple[Kind, type[Part]]] = {
    "ScheduledJob": (SCHEDULED_JOB, ScheduledJob),
    "Webhook": (WEBHOOK, Webhook),
}
"""The kinds besides Job that dev obeys."""
_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Declared:
    """A Job and where it is declared."""

    job: Job
    document: Document

    @property
    def line(self) -> int:
        """The line where its document begins."""
        return self.document.line_of(())

    def build_fault(self, path: ValuePath, what: str, cure: str) -> Fault:
        """Build a fault of the value at `path`."""
        return Fault(self.document.file, self.document.line_of(path), format_path(path), what, cure)


@dataclass(frozen=True, slots=True)
class DeclaredObject:
    """An object of another kind than Job, and where it is declared."""

    kind: Kind
    model: Part
    document: Document

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.document.value["metadata"]["name"])

    @property
    def by_code(self) -> bool:
        """A handler says it, or said it when it was exported."""
        labels = self.document.value["metadata"].get("labels")
        return isinstance(labels, dict) and labels.get(MANAGED) == CODE

    @property
    def line(self) -> int:
        """The line where its document begins."""
        return self.document.line_of(())


@dataclass(slots=True)
class Manifests:
    """What a folder declares."""

    jobs: dict[str, Declared] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    faulty: set[str] = field(default_factory=set)
    """Names of Jobs that are declared, but not so that they could be obeyed."""
    objects: dict[tuple[str, str], DeclaredObject] = field(default_factory=dict)
    """What is declared of the other kinds, by kind and name."""
    faulty_objects: set[tuple[str, str]] = field(default_factory=set)
    """Those that cannot be obeyed."""
    sources: dict[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)
    """What Secrets and ConfigMaps of the folder hold, by kind and name: for variables that refer to them."""

    def refuse(self, declared: Declared, fault: Fault) -> None:
        """Take a Job back because of what was found out later."""
        self.jobs.pop(declared.job.name, None)
        self.faulty.add(declared.job.name)
        self.faults.append(fault)


def list_files(folder: Path) -> list[Path]:
    """List the manifests of a folder, by name; hidden files are none. A file is its own list."""
    if folder.is_file():
        return [folder]
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix in _SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def read_manifests(folder: Path, *, namespace: str | None = None) -> Manifests:
    """Read all manifests of a folder; with a `namespace`, Jobs that name another one are left out with a note."""
    manifests = Manifests()
    places: dict[str, list[Declared]] = {}
    for file in list_files(folder):
        for document in read_documents(file, shown=shorten(file)):
            declared = document if isinstance(document, Fault) else _read_document(document, namespace, manifests)
            if isinstance(declared, Fault):
                manifests.faults.append(declared)
            elif declared is not None and _belongs(declared, namespace, manifests):
                places.setdefault(declared.job.name, []).append(declared)
    for name, declarations in places.items():
        if len(declarations) == 1:
            manifests.jobs[name] = declarations[0]
        else:
            _refuse_twins(declarations, manifests)
    manifests.faults.sort()
    return manifests


def decide_namespace(manifests: Manifests, *, asked: str | None) -> str:
    """The namespace to work in: what was asked for, else the one that all Jobs agree on, else `default`."""
    named = {declared.job.metadata.namespace or "default" for declared in manifests.jobs.values()}
    return asked or (named.pop() if len(named) == 1 else "default")


def shorten(file: Path) -> Path:
    """A file as it is written from here, if it is below."""
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


def _belongs(declared: Declared, namespace: str | None, manifests: Manifests) -> bool:
    own = declared.job.metadata.namespace
    if namespace is None or own is None or own == namespace:
        return True
    what = f"Job {declared.job.name} is of namespace {own}, not {namespace}: left out (jetmill dev --namespace {own})"
    manifests.notes.append(Note(declared.document.file, declared.document.line_of(("metadata", "namespace")), what))
    return False


def _refuse_twins(declarations: list[Declared], manifests: Manifests) -> None:
    for declared in declarations:
        others = [other for other in declarations if other is not declared]
        places = ", ".join(f"{other.document.file}:{other.document.line_of(('metadata', 'name'))}" for other in others)
        what = f"{declared.job.name} is declared in {places} too"
        manifests.refuse(declared, declared.build_fault(("metadata", "name"), what, "rename or remove one"))


def _read_document(document: Document, namespace: str | None, manifests: Manifests) -> Declared | Fault | None:
    """One document as a Job; None for what is not ours, and for one whose faults are noted already."""
    value = document.value
    version = value.get("apiVersion") if isinstance(value, dict) else None
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(version, str) or not isinstance(kind, str):
        return _explain_shape(document)
    if version == "v1" and kind in SOURCE_KINDS:
        return _read_source(document, kind, namespace, manifests)
    group = version.partition("/")[0]
    if group != GROUP:
        return _explain_group(document, group)
    if kind != "Job" and kind not in OTHERS:
        cure = suggest(kind, ("Job", *OTHERS)) or "the kinds are Job, ScheduledJob and Webhook"
        return Fault(document.file, document.line_of(("kind",)), "kind", f"no kind {kind!r} in {GROUP}", cure)
    if version != API_VERSION:
        line = document.line_of(("apiVersion",))
        return Fault(document.file, line, "apiVersion", f"no version {version!r}", f"write {API_VERSION}")
    return _read_job(document, manifests) if kind == "Job" else _read_object(document, kind, namespace, manifests)


def _explain_shape(document: Document) -> Fault | None:
    """A YAML file that is no Kubernetes object is another tool's, unless it looks like one of ours."""
    value = document.value
    if not isinstance(value, dict) or not ("kind" in value or "spec" in value):
        return None
    missing = "kind" if "apiVersion" in value else "apiVersion"
    cure = f"add `{missing}: {'Job' if missing == 'kind' else API_VERSION}`"
    return Fault(document.file, document.line_of((missing,)), missing, "is missing, or no text", cure)


def _explain_group(document: Document, group: str) -> Fault | None:
    if not difflib.get_close_matches(group, [GROUP], cutoff=CLOSE):
        return None
    line = document.line_of(("apiVersion",))
    return Fault(document.file, line, "apiVersion", f"no group {group!r}", f"did you mean {API_VERSION}?")


def _read_source(document: Document, kind: str, namespace: str | None, manifests: Manifests) -> Fault | None:
    """A Secret or ConfigMap: what it holds as text, as a variable would have it."""
    metadata = _section(document, "metadata")
    name = metadata.get("name")
    if not isinstance(name, str) or namespace not in (None, metadata.get("namespace") or namespace):
        return None
    held: dict[str, str] = {}
    for section in ("data", "stringData"):
        encoded = kind == SECRET and section == "data"
        for key, text in _section(document, section).items():
            try:
                held[str(key)] = base64.b64decode(str(text), validate=True).decode() if encoded else str(text)
            except ValueError:
                line, cure = document.line_of((section, str(key))), "encode it, or move it to stringData as it is"
                return Fault(document.file, line, f"{section}.{key}", "is no text in base64", cure)
    manifests.sources[kind, name] = held
    return None


def _section(document: Document, name: str) -> Mapping[str, Any]:
    section = document.value.get(name)
    return section if isinstance(section, dict) else {}


def _read_job(document: Document, manifests: Manifests) -> Declared | None:
    try:
        job = Job.model_validate(document.value)
    except ValidationError as err:
        manifests.faults.extend(build_fault(document, refusal) for refusal in list_refusals(err, Job))
        metadata = document.value.get("metadata")
        if isinstance(metadata, dict) and isinstance(metadata.get("name"), str):
            manifests.faulty.add(metadata["name"])
        return None
    for path, what in _list_differences(job):
        line = document.line_of(("spec", "worker", *path))
        manifests.notes.append(Note(document.file, line, f"{job.name} {what}"))
    return Declared(job, document)


def _read_object(document: Document, kind: str, namespace: str | None, manifests: Manifests) -> Fault | None:
    """An object of another kind than Job; faults are noted."""
    of, model = OTHERS[kind]
    metadata = _section(document, "metadata")
    name, own = metadata.get("name"), metadata.get("namespace")
    if namespace is not None and own not in (None, namespace):
        what = f"{kind} {name} is of namespace {own}, not {namespace}: left out (jetmill dev --namespace {own})"
        manifests.notes.append(Note(document.file, document.line_of(("metadata", "namespace")), what))
        return None
    try:
        found = model.model_validate(document.value)
    except ValidationError as err:
        manifests.faults.extend(build_fault(document, refusal) for refusal in list_refusals(err, model))
        if isinstance(name, str):
            manifests.faulty_objects.add((kind, name))
        return None
    fault = check_calendar(found, document)
    if fault is not None:
        manifests.faulty_objects.add((kind, str(name)))
        return fault
    key = (kind, str(name))
    there = manifests.objects.pop(key, None)
    if there is not None or key in manifests.faulty_objects:
        manifests.faulty_objects.add(key)
        line = document.line_of(("metadata", "name"))
        return Fault(document.file, line, "metadata.name", f"{kind} {name} is declared twice", "rename or remove one")
    manifests.objects[key] = DeclaredObject(of, found, document)
    return None


def check_calendar(found: Part, document: Document) -> Fault | None:
    """What no schema says of a schedule, by field and character."""
    if not isinstance(found, ScheduledJob):
        return None
    try:
        build_calendar(found.spec)
    except ScheduleError as err:
        where = "" if err.position is None else f" (character {err.position})"
        line = document.line_of(("spec", err.field))
        return Fault(document.file, line, f"spec.{err.field}", err.what + where, err.cure)
    return None


def _list_differences(job: Job) -> Iterator[tuple[ValuePath, str]]:
    """What a Job that has pods in a cluster does otherwise here, and its code would notice."""
    worker = job.spec.worker
    if worker.image is not None:
        yield ("image",), "runs the code of this folder, not its image"
    if worker.volumes:
        yield ("volumes",), "runs without its volumes"


def build_fault(document: Document, refusal: Refusal) -> Fault:
    """Build the fault of what a model refuses."""
    line = document.line_of(refusal.path)
    return Fault(document.file, line, refusal.field, refusal.what, refusal.cure)
