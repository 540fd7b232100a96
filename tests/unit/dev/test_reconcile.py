"""What is declared becomes what there is; what cannot be read changes nothing."""

from __future__ import annotations

import pytest

from factories import make_job_id
from jetmill.bus.memory import MemoryWorld
from jetmill.errors import NotFoundError
from jetmill.ledger.submit import Submission, submit
from jetmill_operator.dev.manifest import Declared, Manifests, read_manifests
from jetmill_operator.dev.reconcile import Plan, apply_job, delete_job, plan_changes

TEXT = "apiVersion: jetmill.dev/v1alpha1\nkind: Job\nmetadata: {{name: {name}}}\nspec: {{handler: 'a:b'{more}}}\n"


@pytest.fixture
def declare(tmp_path):
    def declare(**files: str) -> Manifests:
        for old in tmp_path.glob("*.yaml"):
            old.unlink()
        for name, more in files.items():
            text = more if more.startswith("bad") else TEXT.format(name=name, more=more)
            (tmp_path / f"{name}.yaml").write_text(text)
        return read_manifests(tmp_path)

    return declare


def in_force(manifests: Manifests) -> dict[str, Declared]:
    return dict(manifests.jobs)


def test_a_second_pass_plans_nothing(declare):
    assert plan_changes(in_force(declare(one="", two="")), declare(one="", two="")) == Plan()


def test_new_changed_and_deleted_jobs_are_told_apart(declare):
    before = in_force(declare(stays="", changes="", goes=""))
    plan = plan_changes(before, declare(stays="", changes=", suspend: true", comes=""))
    assert [declared.job.name for declared in plan.apply] == ["changes", "comes"]
    assert [job.name for job in plan.remove] == ["goes"]
    assert plan.held == ()


@pytest.mark.parametrize("fault", [", nonsense: 1", "bad: [", "bad: [\n---\n"], ids=["field", "yaml", "yaml, others"])
def test_a_job_whose_manifest_became_faulty_goes_on_as_it_was(declare, fault):
    before = in_force(declare(one="", two=""))
    assert plan_changes(before, declare(one=fault, two="")) == Plan(held=("one",))


@pytest.fixture
async def bus():
    bus = MemoryWorld(namespace="shop").connect()
    await bus.admin.apply_namespace()
    yield bus
    await bus.link.close()


async def test_settings_get_another_generation_only_when_they_change(bus, declare):
    generations = []
    for more in ("", "", ", suspend: true", ", suspend: true", ""):
        await apply_job(bus, declare(one=more).jobs["one"].job)
        settings = await bus.admin.settings("one")
        generations.append((settings.generation, settings.suspend))
    assert generations == [(1, False), (1, False), (2, True), (2, True), (3, False)]


async def enqueue(bus, job: str) -> str:
    submitted = await submit(bus, Submission(job=job, payload=b"{}", id=make_job_id()), by="client:test")
    return submitted.id


@pytest.mark.field("Job.spec.deletionPolicy")
async def test_a_job_that_retains_leaves_its_queue_when_it_is_deleted(bus, declare):
    job = declare(one="").jobs["one"].job
    await apply_job(bus, job)
    waiting = await enqueue(bus, "one")
    assert await delete_job(bus, job) == 0
    assert await bus.queue.hinted("one") == {waiting}
    assert (await bus.ledger.read(waiting)).record.state == "queued"


@pytest.mark.field("Job.spec.deletionPolicy")
async def test_a_job_that_deletes_cancels_what_waits_before_its_queue_goes(bus, declare):
    job = declare(one=", deletionPolicy: Delete").jobs["one"].job
    await apply_job(bus, job)
    waiting = [await enqueue(bus, "one") for _ in range(3)]
    assert await delete_job(bus, job) == 3
    assert [(await bus.ledger.read(job_id)).record.state for job_id in waiting] == ["cancelled"] * 3
    assert await bus.admin.settings("one") is None
    with pytest.raises(NotFoundError):
        await bus.queue.depth("one")
