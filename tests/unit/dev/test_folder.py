"""What a folder declares becomes the objects of a cluster; what cannot be read changes nothing."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest

from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import DEPLOYMENT, JOB, Body
from jetmill_operator.dev.folder import IMAGE, Folder
from jetmill_operator.dev.manifest import Manifests, read_manifests
from jetmill_operator.dev.pod import CODE
from jetmill_operator.dev.screen import Screen

TEXT = "apiVersion: jetmill.dev/v1alpha1\nkind: Job\nmetadata: {{name: {name}}}\nspec: {{handler: 'a:b'{more}}}\n"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {{name: keys}}\nstringData: {{token: {token}}}\n"
RIDES = ", worker: {from: {name: one}}"


class Bench:
    """A folder, and the cluster that it is applied to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cluster = LocalCluster()
        self.stream = io.StringIO()
        self.folder = Folder(path, self.cluster, Screen(self.stream), namespace="shop", environ={})
        self.cluster.watch(self.folder.notice)

    def read(self, *, token: str = "", **files: str) -> Manifests:
        for old in self.path.glob("*.yaml"):
            old.unlink()
        for name, more in files.items():
            text = more if more.startswith("bad") else TEXT.format(name=name, more=more)
            (self.path / f"{name}.yaml").write_text(text)
        if token:
            (self.path / "secret.yaml").write_text(SECRET.format(token=token))
        return read_manifests(self.path, namespace="shop")

    async def apply(self, *, code: bool = False, token: str = "", **files: str) -> dict[str, Body]:
        await self.folder.apply(self.read(token=token, **files), code=code)
        return {body["metadata"]["name"]: body for body in await self.cluster.list(JOB)}

    async def deploy(self, *names: str) -> None:
        for name in names:
            meta = {"name": f"{name}-worker", "namespace": "shop"}
            body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"template": {}}}
            await self.cluster.create(DEPLOYMENT, body)

    async def codes(self) -> dict[str, str | None]:
        return {
            body["metadata"]["name"]: body["spec"]["template"].get("metadata", {}).get("annotations", {}).get(CODE)
            for body in await self.cluster.list(DEPLOYMENT)
        }

    @property
    def said(self) -> list[str]:
        return [line.partition("│ ")[2] for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_a_job_without_an_image_gets_one_and_a_rider_none(bench):
    jobs = await bench.apply(one="", two=RIDES, three=", worker: {image: 'shop:1', concurrency: 2}")
    assert {name: job["spec"]["worker"] for name, job in jobs.items()} == {
        "one": {"image": IMAGE},
        "two": {"from": {"name": "one"}},
        "three": {"image": "shop:1", "concurrency": 2},
    }
    assert {job["metadata"]["namespace"] for job in jobs.values()} == {"shop"}


async def test_the_same_again_writes_nothing(bench):
    before = await bench.apply(one="", two=", suspend: true")
    assert await bench.apply(one="", two=", suspend: true") == before


async def test_what_is_not_declared_any_more_goes_and_what_changed_is_another_generation(bench):
    await bench.apply(stays="", changes=", suspend: true", goes="")
    jobs = await bench.apply(stays="", changes="", comes="")
    assert {name: job["metadata"]["generation"] for name, job in jobs.items()} == {"stays": 1, "changes": 2, "comes": 1}
    assert "suspend" not in jobs["changes"]["spec"]


@pytest.mark.parametrize("fault", [", nonsense: 1", "bad: [", "bad: [\n---\n"], ids=["field", "yaml", "yaml, others"])
async def test_a_job_whose_manifest_became_faulty_goes_on_as_it_was(bench, fault):
    before = await bench.apply(one="", two="")
    assert await bench.apply(one=fault, two="") == before
    assert await bench.apply(one=fault, two="") == before
    assert bench.said == ["Job one goes on as before, until its declaration can be used"]
    assert list(await bench.apply(two="")) == ["two"]


async def test_a_job_that_comes_back_while_it_is_being_deleted_is_made_anew(bench):
    old = (await bench.apply(one=""))["one"]
    await bench.cluster.patch(JOB, "shop", "one", {"metadata": {"finalizers": ["jetmill.dev/cleanup"]}})
    assert "deletionTimestamp" in (await bench.apply())["one"]["metadata"]
    await bench.apply(one="")
    await bench.cluster.patch(JOB, "shop", "one", {"metadata": {"finalizers": None}})
    for _ in range(5):
        await asyncio.sleep(0)
    new = await bench.cluster.get(JOB, "shop", "one")
    assert new is not None
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    assert "deletionTimestamp" not in new["metadata"]


async def test_changed_code_rolls_the_workers_of_those_that_can_go_on_with_it(bench):
    await bench.apply(one="", rider=RIDES, other="", new="")
    await bench.deploy("one", "other")
    await bench.apply(code=True, one="", rider=", nonsense: 1", other="")
    codes = await bench.codes()
    assert codes["one-worker"] is None
    assert codes["other-worker"]
    assert bench.said[-1] == "the code changed; workers of other are replaced"
    await bench.apply(code=True, one="", rider=RIDES, other="")
    assert None not in (await bench.codes()).values()
    assert bench.said[-1] == "the code changed; workers of one, other are replaced"


async def test_a_changed_secret_rolls_the_workers_too_but_not_the_first_one_that_is_read(bench):
    await bench.apply(one="", token="a")
    await bench.deploy("one")
    await bench.apply(one="", token="a")
    assert await bench.codes() == {"one-worker": None}
    await bench.apply(one="", token="b")
    assert await bench.codes() != {"one-worker": None}
    assert bench.folder.sources == {("Secret", "keys"): {"token": "b"}}
    assert bench.said == ["Secrets or ConfigMaps changed; workers of one are replaced"]
