"""What a team knows of before the first reconcile, and looks at when NATS is back."""

from __future__ import annotations

import pytest

from jetmill_operator.cluster.ports import JOB, SCHEDULED_JOB, WEBHOOK, Kind
from jetmill_operator.reconcile.metric import Metrics
from jetmill_operator.reconcile.team import Team
from jetmill_operator.resources.deployment import WorkerLink
from support.almanac import NAMESPACE, Almanac


@pytest.mark.parametrize("kind", [JOB, SCHEDULED_JOB, WEBHOOK], ids=lambda kind: kind.name)
async def test_every_kind_is_known_of_at_the_beginning_and_looked_at_when_nats_is_back(kind: Kind) -> None:
    almanac = Almanac()
    head = {"name": "one", "namespace": NAMESPACE}
    body = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": head, "spec": {}}
    await almanac.cluster.apply(kind, body, manager="kubectl")
    team = Team(almanac.cluster, almanac.buses, link=WorkerLink("nats://nats"), metrics=Metrics())
    await team.begin()
    assert team.queue.depth == 0
    team.notice_all()
    assert team.queue.depth == 1
    assert kind == SCHEDULED_JOB or team.namespaces() == {NAMESPACE}
