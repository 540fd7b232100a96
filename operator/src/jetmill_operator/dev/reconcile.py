"""From what a folder declares to what there is: queues, settings, and whose workers run.

Level-triggered: `plan_changes` compares the whole of what is declared with the whole of what is in force, and a second
pass plans nothing. What cannot be read changes nothing: a Job whose manifest has become faulty goes on as it last was
understood, and only one that is really gone from a readable folder counts as deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from jetmill.bus.ports import Bus
from jetmill.errors import NotFoundError
from jetmill.ledger.cancel import cancel
from jetmill.protocol.record import JobSettings
from jetmill_operator.api.job import Job
from jetmill_operator.dev.manifest import Declared, Manifests

ACTOR = "dev"
"""Who cancels the waiting jobs of a Job that is deleted with `deletionPolicy: Delete`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be done; empty where everything is as declared."""

    apply: tuple[Declared, ...] = ()
    """New, or not as it was."""
    remove: tuple[Job, ...] = ()
    """Not declared any more."""
    held: tuple[str, ...] = ()
    """Names of Jobs that go on as before, for what is declared now cannot be used."""


def plan_changes(in_force: Mapping[str, Declared], manifests: Manifests) -> Plan:
    """Compare what is in force with what is declared."""
    faulty_files = {fault.file for fault in manifests.faults}
    apply, remove, held = list[Declared](), list[Job](), list[str]()
    for name, declared in manifests.jobs.items():
        if name not in in_force or in_force[name].job != declared.job:
            apply.append(declared)
    for name, declared in in_force.items():
        if name in manifests.jobs:
            continue
        if name in manifests.faulty or declared.document.file in faulty_files:
            held.append(name)
        else:
            remove.append(declared.job)
    return Plan(tuple(apply), tuple(remove), tuple(held))


async def apply_job(bus: Bus, job: Job) -> JobSettings:
    """Make the queue and write the settings of a Job; what changed counts as another generation. Idempotent."""
    before = await bus.admin.settings(job.name)
    settings = job.to_settings(generation=before.generation if before else 1)
    if before is not None and before != settings:
        settings = msgspec.structs.replace(settings, generation=before.generation + 1)
    await bus.admin.apply_job(settings)
    return settings


async def delete_job(bus: Bus, job: Job) -> int:
    """Do what the Job's `deletionPolicy` says to its queue; give how many waiting jobs were cancelled.

    Retain leaves queue and settings: jobs wait, and run when the Job is declared again. Delete cancels every job that
    is still in the queue, each by its record, before the queue goes, so that no open job is left without a hint.
    """
    if job.spec.deletion_policy == "Retain":
        return 0
    try:
        waiting = await bus.queue.hinted(job.name)
    except NotFoundError:
        waiting = set()
    for job_id in sorted(waiting):
        await cancel(bus, job_id, by=ACTOR)
    await bus.admin.remove_job(job.name)
    return len(waiting)
