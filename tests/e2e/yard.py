"""Jobs with pods in a release, work for them, and the reckoning: what the ledger says of every job that was accepted.

A worker's id begins with the name of its host, and a pod's host is named as the pod: so records say which pod it was.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jetmill import Client
from jetmill.bus.ports import Bus
from jetmill.client.settings import settings_from_env
from jetmill.client.submission import Item
from jetmill.errors import JetmillError
from jetmill.ledger.verify import verify
from jetmill.protocol.record import Entry
from jetmill.protocol.state import Reason, State
from support.release import TAG, Release
from support.wait import eventually

HANDLERS = Path(__file__).parent / "handlers.py"
LOOK_SECONDS = 0.3
"""Between two questions to the cluster: kubectl costs the processors that the pods need, too."""


@dataclass(frozen=True)
class Chain:
    """One job, from its first record to its last."""

    entries: list[Entry]

    @property
    def state(self) -> State:
        return self.entries[-1].record.state

    @property
    def reason(self) -> Reason | None:
        return self.entries[-1].record.reason

    @property
    def attempt(self) -> int:
        return self.entries[-1].record.attempt

    @property
    def crashes(self) -> int:
        """How often it was taken over from a worker that had gone."""
        return self.entries[-1].record.crashes

    @property
    def interrupted(self) -> int:
        """How often a worker that ended gave it back."""
        return sum(entry.record.reason is Reason.INTERRUPTED for entry in self.entries)

    @property
    def runs(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.record.state is State.RUNNING]

    @property
    def wait_seconds(self) -> float:
        """From the first record to the first run, by the server's clock."""
        return (self.runs[0].time - self.entries[0].time) / 1e6

    def __str__(self) -> str:
        shown = " ".join(f"{entry.record.state}/{entry.record.attempt}" for entry in self.entries)
        return f"{shown} {self.reason or ''} crashes={self.crashes} {self.entries[-1].record.error or ''}"


class Yard:
    """A client, and Jobs whose names nobody else has."""

    def __init__(self, release: Release, environ: Mapping[str, str]) -> None:
        self.release = release
        self.client = Client(settings_from_env(environ))
        self.accepted: list[str] = []
        self._jobs: list[str] = []

    async def __aenter__(self) -> Self:
        files = {HANDLERS.name: HANDLERS.read_text()}
        await self.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "handlers"}, "data": files})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.close()
        if self._jobs:
            await self.kubectl("delete", "jmj", *self._jobs, "--ignore-not-found", "--wait=false")

    # The cluster

    async def kubectl(self, *arguments: str, namespace: str | None = None, text: str | None = None) -> str:
        """Run kubectl in the namespace of the Jobs."""
        return await asyncio.to_thread(partial(self.release.kubectl, *arguments, namespace=namespace, text=text))

    async def apply(self, body: Mapping[str, Any]) -> None:
        await self.kubectl("apply", "-f", "-", text=json.dumps(body))

    async def declare(self, handler: str = "nap", *, worker: Mapping[str, Any] | None = None, **spec: Any) -> str:
        """Declare a Job whose workers have the handlers of these tests, and wait until it is ready; its name."""
        name = f"{handler}-{secrets.token_hex(2)}"
        self._jobs.append(name)
        pod = {
            "image": f"jetmill/worker:{TAG}",
            "imagePullPolicy": "IfNotPresent",
            "volumes": [{"name": "handlers", "configMap": {"name": "handlers"}}],
            "volumeMounts": [{"name": "handlers", "mountPath": "/app"}],
            "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "192Mi"}},
            **(worker or {}),
        }
        body = {
            "apiVersion": "jetmill.dev/v1alpha1",
            "kind": "Job",
            "metadata": {"name": name},
            "spec": {"handler": f"handlers:{handler}", "worker": pod, **spec},
        }
        await self.apply(body)
        await self.kubectl("wait", "--for=condition=Ready", f"jmj/{name}", "--timeout=180s")
        return name

    async def pods(self, job: str) -> list[dict[str, Any]]:
        """A Job's pods that are not on their way out."""
        answer = await self.kubectl("get", "pods", "-l", f"jetmill.dev/job={job}", "-o", "json")
        return [pod for pod in json.loads(answer)["items"] if "deletionTimestamp" not in pod["metadata"]]

    async def ready_pods(self, job: str, count: int) -> list[str]:
        """Wait until so many of a Job's pods are ready; their names."""

        async def all_ready() -> list[str]:
            ready = [pod["metadata"]["name"] for pod in await self.pods(job) if is_ready(pod)]
            return ready if len(ready) == count else []

        found: list[str] = await self.until(all_ready, what=f"{count} ready pods of {job}")
        return found

    async def until(self, condition: Callable[[], Any], *, seconds: float = 120, what: str = "") -> Any:
        return await eventually(condition, seconds=seconds, every_seconds=LOOK_SECONDS, what=what)

    # The work

    async def bus(self) -> Bus:
        return await self.client.connect()

    async def enqueue(self, job: str, *payloads: Mapping[str, Any]) -> list[str]:
        """Enqueue jobs; their ids. All are accepted."""
        answers = await self.client.enqueue_many(job, [Item(dict(payload)) for payload in payloads])
        ids = []
        for answer in answers:
            assert not isinstance(answer, JetmillError), answer
            ids.append(answer.id)
        self.accepted += ids
        return ids

    async def chains(self, ids: Iterable[str]) -> list[Chain]:
        ledger = (await self.bus()).ledger
        return [Chain(await ledger.read_chain(job_id)) for job_id in ids]

    async def hosts(self, ids: Iterable[str]) -> dict[str, str]:
        """Where jobs run now: the pod by the job's id."""
        ledger = (await self.bus()).ledger
        last = {job_id: await ledger.read(job_id) for job_id in ids}
        return {
            job_id: find_pod(entry) for job_id, entry in last.items() if entry and entry.record.state is State.RUNNING
        }

    async def running(self, ids: list[str], count: int, *, pod: str | None = None) -> dict[str, str]:
        """Wait until so many of these jobs run (in that pod); the pod by the job's id."""

        async def there() -> dict[str, str]:
            hosts = {job_id: host for job_id, host in (await self.hosts(ids)).items() if pod in (None, host)}
            return hosts if len(hosts) >= count else {}

        found: dict[str, str] = await self.until(there, what=f"{count} running jobs")
        return found

    async def reckon(self, *, seconds: float = 180) -> list[Chain]:
        """Wait until every accepted job is done with, prove the ledger, and give the chains."""
        await self.client.wait_many(self.accepted, timeout=seconds)
        report = await verify(await self.bus())
        assert report.clean, report.violations
        chains = await self.chains(self.accepted)
        assert all(chain.entries[-1].record.final for chain in chains)
        return chains


def find_pod(entry: Entry) -> str:
    """The pod whose worker wrote a record (a host's name is cut at 40 characters)."""
    return (entry.record.worker or "").rsplit("-", 2)[0]


def is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any((one["type"], one["status"]) == ("Ready", "True") for one in conditions)


def count(chains: Iterable[Chain], what: str) -> Counter[Any]:
    """How often each value of an attribute occurs."""
    return Counter(getattr(chain, what) for chain in chains)


def assert_untouched(chains: Iterable[Chain]) -> None:
    """All succeeded at once: one attempt, one run, never interrupted, never taken over."""
    touched = [
        str(chain)
        for chain in chains
        if chain.state is not State.SUCCEEDED
        or (chain.attempt, chain.crashes, chain.interrupted, len(chain.runs)) != (1, 0, 0, 1)
    ]
    assert not touched, touched
