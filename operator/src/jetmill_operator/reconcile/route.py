"""Which Jobs an event of the watch concerns.

A child tells its Job by label, one that has gone by its name at least; the riders on a Job's workers show in their
status how those fare, so they are concerned too, and so are the ScheduledJobs of a Job that comes or goes.
"""

from __future__ import annotations

from jetmill_operator.cluster.ports import DEPLOYMENT, JOB, POD, SCHEDULED_JOB, WEBHOOK, Body, Key, Kind
from jetmill_operator.reconcile.index import JobIndex
from jetmill_operator.resources.label import JOB as JOB_LABEL
from jetmill_operator.resources.label import name_child

_SUFFIX = name_child("")


def route(kind: Kind, key: Key, body: Body | None, index: JobIndex) -> set[Key]:
    """Give the keys to be reconciled, and keep the index; `body` is None for what has gone."""
    if kind == JOB:
        concerned = index.put(key.namespace, key.name, body)
        return {key, *concerned, *index.schedules.of(key.namespace, key.name)}
    if kind == SCHEDULED_JOB:
        index.schedules.put(key.namespace, key.name, body)
        return {key}
    if kind == WEBHOOK:
        return {key}
    job = _find_job(kind, key, body)
    if job is None:
        return set()
    concerned = {Key(JOB.name, key.namespace, job)}
    if kind == DEPLOYMENT:
        concerned |= {Key(JOB.name, key.namespace, rider.name) for rider in index.riders_of(key.namespace, job)}
    return concerned


def _find_job(kind: Kind, key: Key, body: Body | None) -> str | None:
    labels = {} if body is None else body["metadata"].get("labels") or {}
    if JOB_LABEL in labels:
        return str(labels[JOB_LABEL])
    named = kind != POD and key.name.endswith(_SUFFIX)
    return key.name.removesuffix(_SUFFIX) if named else None
