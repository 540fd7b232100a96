"""A folder of manifests as the objects of a cluster: what `kubectl apply` would be, each time that a file is saved.

```
 read files ─▶ import handlers ─▶ look up references ─▶ faults and notes said ─▶ apply · delete · hold
```

What cannot be used changes nothing: a Job whose manifest has become faulty, or whose code does not import any more,
goes on as it last was understood, and only one that is really gone from a readable folder counts as deleted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from jetmill_operator.api.job import Job
from jetmill_operator.cluster.ports import DEPLOYMENT, JOB, Body, Cluster, Kind
from jetmill_operator.dev.environment import Sources
from jetmill_operator.dev.fault import Fault
from jetmill_operator.dev.handler import take_handlers
from jetmill_operator.dev.manifest import Declared, DeclaredObject, Manifests, read_manifests
from jetmill_operator.dev.pod import CODE
from jetmill_operator.dev.reference import check_references
from jetmill_operator.dev.screen import Screen
from jetmill_operator.resources import label

MANAGER = "jetmill-folder"
IMAGE = "folder"
"""The image of a Job that names none: a cluster demands one, and here the folder's code runs whatever it is."""


class Folder:
    """What a folder declares, and what of it is in force."""

    def __init__(
        self, path: Path, cluster: Cluster, screen: Screen, *, namespace: str, environ: Mapping[str, str]
    ) -> None:
        self.declared: dict[str, Declared] = {}
        """What is in force."""
        self.objects: dict[tuple[str, str], DeclaredObject] = {}
        """What is in force of the other kinds, by kind and name."""
        self.sources: dict[tuple[str, str], Mapping[str, str]] = {}
        """What the folder's Secrets and ConfigMaps hold."""
        self._path = path
        self._cluster = cluster
        self._screen = screen
        self._namespace = namespace
        self._environ = environ
        self._said: set[str] = set()
        self._held: set[str] = set()
        self._returns: set[asyncio.Task[None]] = set()

    async def read(self) -> Manifests:
        """Read the folder, and say what is new of what is wrong with it; OSError if it cannot be read."""
        manifests = read_manifests(self._path, namespace=self._namespace)
        await take_handlers(manifests, self._path)
        check_references(manifests, self._environ)
        said, self._said = self._said, {str(one) for one in (*manifests.faults, *manifests.notes)}
        for one in (*sorted(manifests.faults), *sorted(manifests.notes)):
            if str(one) not in said:
                self._screen.say(str(one), alarm=isinstance(one, Fault))
        return manifests

    async def apply(self, manifests: Manifests, *, code: bool = False) -> None:
        """Bring the objects in line with what is declared; `code`: it changed, so workers are to be replaced."""
        moved = self._take_sources(manifests.sources) and bool(self.declared)
        gone, held = sort_missing(self.declared, manifests)
        known = set(self.declared)
        for name, declared in manifests.jobs.items():
            self.declared[name] = declared
            await self._put(declared)
        for name in gone:
            del self.declared[name]
            await self._cluster.delete(JOB, self._namespace, name)
        for name in sorted(held - self._held):
            self._screen.say(f"Job {name} goes on as before, until its declaration can be used", alarm=True)
        self._held = held
        await self._apply_objects(manifests)
        if code or moved:
            await self._roll(known & manifests.jobs.keys(), "the code" if code else "Secrets or ConfigMaps")

    def notice(self, kind: Kind, event: str, body: Body) -> None:
        """Take an event of the watch: what came back while the one before was being deleted is made anew."""
        if event != "DELETED":
            return
        name = body["metadata"]["name"]
        declared, other = self.declared.get(name), self.objects.get((kind.name, name))
        if kind == JOB and declared is not None:
            self._return(self._put(declared))
        elif other is not None:
            self._return(self._put_object(other))

    def _return(self, putting: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(putting)
        self._returns.add(task)
        task.add_done_callback(self._returns.discard)

    async def _apply_objects(self, manifests: Manifests) -> None:
        faulty_files = {fault.file for fault in manifests.faults}
        for key, declared in manifests.objects.items():
            self.objects[key] = declared
            await self._put_object(declared)
        for key in self.objects.keys() - manifests.objects.keys():
            there = self.objects[key]
            if key in manifests.faulty_objects or there.document.file in faulty_files:
                continue  # it goes on as before, until its declaration can be used
            if there.by_code and there.name in self._held:
                continue  # so does its Job
            del self.objects[key]
            await self._cluster.delete(there.kind, self._namespace, there.name)

    async def _put_object(self, declared: DeclaredObject) -> None:
        body: Body = declared.model.model_dump(mode="json", by_alias=True, exclude_unset=True)
        body["metadata"]["namespace"] = self._namespace
        if declared.by_code:
            body["metadata"]["labels"] = {label.MANAGED: label.CODE}
        await self._cluster.apply(declared.kind, body, manager=MANAGER)

    def find_file(self, kind: Kind, namespace: str, name: str) -> str | None:
        """The file (with its line) that declares an object, as it is in force; None: none does."""
        if namespace != self._namespace:
            return None
        declared = self.declared.get(name) if kind == JOB else self.objects.get((kind.name, name))
        return None if declared is None else f"{declared.document.file}:{declared.line}"

    async def _put(self, declared: Declared) -> None:
        await self._cluster.apply(JOB, build_object(declared.job, self._namespace), manager=MANAGER)

    def _take_sources(self, sources: Sources) -> bool:
        if self.sources == sources:
            return False
        self.sources.clear()
        self.sources.update(sources)
        return True

    async def _roll(self, names: set[str], what: str) -> None:
        """Let the workers of these Jobs be replaced, as `kubectl rollout restart` does; not where a Job that runs on
        them could not go on with the new code.
        """
        carriers = {name: _find_carrier(self.declared[name].job) for name in self.declared}
        kept = {carriers.get(name, name) for name in self._held}
        rolled = sorted({carriers[name] for name in names} - kept)
        stamp = {"metadata": {"annotations": {CODE: str(time.time_ns())}}}
        for name in rolled:
            child = label.name_child(name)
            if await self._cluster.get(DEPLOYMENT, self._namespace, child) is not None:
                patch = {"spec": {"template": stamp}}
                await self._cluster.patch(DEPLOYMENT, self._namespace, child, patch, manager=MANAGER)
        if rolled:
            self._screen.say(f"{what} changed; workers of {', '.join(rolled)} are replaced")


async def find_exports(path: Path, *, folder: Path) -> tuple[list[Body], list[Fault]]:
    """The ScheduledJobs that the code of a folder says, by name, and what is wrong with its manifests or its code."""
    manifests = read_manifests(path)
    await take_handlers(manifests, folder)
    found = [one.document.value for key, one in sorted(manifests.objects.items()) if one.by_code]
    return found, manifests.faults


def sort_missing(in_force: Mapping[str, Declared], manifests: Manifests) -> tuple[set[str], set[str]]:
    """Of those in force and not declared any more: which are gone, and which are held, for what is declared now (or
    the file that they were in) cannot be used.
    """
    faulty_files = {fault.file for fault in manifests.faults}
    missing = in_force.keys() - manifests.jobs.keys()
    held = {name for name in missing if name in manifests.faulty or in_force[name].document.file in faulty_files}
    return missing - held, held


def build_object(job: Job, namespace: str) -> Body:
    """The object of a Job, as somebody with a cluster would apply it."""
    body: dict[str, Any] = job.model_dump(mode="json", by_alias=True, exclude_unset=True)
    body["metadata"]["namespace"] = namespace
    if job.spec.worker.image is None and job.spec.worker.from_ is None:
        body["spec"]["worker"] = {**body["spec"].get("worker", {}), "image": IMAGE}
    return body


def _find_carrier(job: Job) -> str:
    return job.name if job.spec.worker.from_ is None else job.spec.worker.from_.name
