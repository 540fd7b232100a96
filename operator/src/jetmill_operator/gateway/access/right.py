"""What a route needs: a verb on one of our resources, as RBAC writes it.

The resources are the plurals of our CRDs with subresources that no API server serves: RBAC takes any text, so `kubectl
create role --verb=get --resource=jobs.jetmill.dev/runs` and `kubectl auth can-i` know them. `RIGHTS` is the whole list;
`docs/gateway.md` shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

GROUP = "jetmill.dev"


class Scope(StrEnum):
    """How far a right reaches, and who finds out of which Job it is asked."""

    NAMESPACE = "namespace"
    """The whole namespace: nothing less is enough."""
    JOB = "job"
    """One Job is enough (`resourceNames`): that of the job whose id is in the path."""
    BODY = "body"
    """One Job is enough: the one that the request's body names, which the handler asks for."""
    NAME = "name"
    """One object is enough (`resourceNames`): that whose name is in the path."""
    ANYBODY = "anybody"
    """No right but to be somebody."""
    NOBODY = "nobody"
    """Nobody is asked who they are."""


@dataclass(frozen=True, slots=True)
class Right:
    """What a route declares as `opt={"right": …}`."""

    verb: str
    resource: str
    """`jobs/runs`: resource and, where there is one, subresource."""
    scope: Scope = Scope.NAMESPACE

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}" if self.resource else str(self.scope)


READ = Right("get", "jobs/runs", Scope.JOB)
PAYLOAD = Right("get", "jobs/payload", Scope.JOB)
RESULT = Right("get", "jobs/result", Scope.JOB)
LOGS = Right("get", "jobs/logs", Scope.JOB)
CREATE = Right("create", "jobs/runs", Scope.BODY)
CANCEL = Right("create", "jobs/cancel", Scope.JOB)
RETRY = Right("create", "jobs/retry", Scope.JOB)
DISCARD = Right("create", "jobs/discard", Scope.JOB)
RESCHEDULE = Right("create", "jobs/reschedule", Scope.JOB)
LIST = Right("list", "jobs/runs")
WATCH = Right("watch", "jobs/runs")
WORKERS = Right("list", "jobs/workers")
QUEUES = Right("list", "jobs/queues")
EVENTS = Right("watch", "jobs/events")
READ_EVENTS = Right("list", "jobs/events")
PUBLISH = Right("create", "jobs/events")
SUBSCRIPTIONS = Right("list", "jobs/subscriptions")
RESOLVE = Right("update", "jobs/subscriptions")
UNSUBSCRIBE = Right("delete", "jobs/subscriptions")
LISTEN = Right("watch", "jobs/messages")
SPEAK = Right("create", "jobs/messages")
TRIGGER = Right("create", "scheduledjobs/trigger", Scope.NAME)
VERBS = {"create": "declare", "update": "replace", "patch": "change", "delete": "delete"}
PLURALS = ("jobs", "scheduledjobs", "webhooks")
HOOKS = Right("list", "webhooks/deliveries")
DELIVERIES = Right("get", "webhooks/deliveries", Scope.NAME)
REDELIVER = Right("create", "webhooks/redeliver", Scope.NAME)
RECOVER = Right("create", "webhooks/recover", Scope.NAME)
TEST = Right("create", "webhooks/test", Scope.NAME)
ENABLE = Right("create", "webhooks/enable", Scope.NAME)
DECLARED = {plural: (Right("list", plural), Right("get", plural, Scope.NAME)) for plural in PLURALS}
"""Of what is declared in the cluster, by plural: all of them, and one. RBAC's own rights on the objects."""
EDITS = {
    plural: {verb: Right(verb, plural, Scope.NAMESPACE if verb == "create" else Scope.NAME) for verb in VERBS}
    for plural in PLURALS
}
"""To change what is declared, by plural and verb: RBAC's own rights on the objects."""
SIGHT = (LIST, READ, WATCH, QUEUES, WORKERS, *(right for pair in DECLARED.values() for right in pair))
"""Whoever has one of these in a namespace may know that it is there; what most have comes first."""
SELF = Right("", "", Scope.ANYBODY)
PUBLIC = Right("", "", Scope.NOBODY)

RIGHTS: Mapping[Right, str] = {
    READ: "see a job: its state, its history, who enqueued it",
    PAYLOAD: "see what a job was called with",
    RESULT: "see what it returned",
    LOGS: "read its log lines and progress",
    CREATE: "enqueue jobs",
    CANCEL: "cancel a job",
    RETRY: "enqueue a finished job once more",
    DISCARD: "give a failed job up for good",
    RESCHEDULE: "move a scheduled job to another time",
    LIST: "list, count and search jobs",
    WATCH: "follow jobs as they happen",
    WORKERS: "see the worker processes",
    QUEUES: "see how much waits",
    EVENTS: "follow events, those of applications and those of jobs",
    READ_EVENTS: "read and search the events that are kept",
    PUBLISH: "publish events",
    SUBSCRIPTIONS: "see the durable subscriptions, and the events that they gave up",
    RESOLVE: "hand an event out once more that a subscription gave up, or give it up for good",
    UNSUBSCRIBE: "remove a durable subscription with what it gave up",
    LISTEN: "hear what is broadcast to topics",
    SPEAK: "send messages to topics and users",
    TRIGGER: "enqueue a job of a schedule beside its slots",
    HOOKS: "see how every Webhook's receiver fares",
    DELIVERIES: "see a Webhook's deliveries: what was sent, and what was answered",
    REDELIVER: "send a delivery once more",
    RECOVER: "send a Webhook the events of a stretch of time again",
    TEST: "send a test event to a Webhook",
    ENABLE: "let a Webhook that was disabled be sent to again",
    **{to_list: f"see the {plural} that are declared" for plural, (to_list, _) in DECLARED.items()},
    **{to_get: f"see one of the {plural} that are declared" for plural, (_, to_get) in DECLARED.items()},
    **{
        right: f"{VERBS[verb]} {plural} in the cluster"
        for plural, rights in EDITS.items()
        for verb, right in rights.items()
    },
}
"""Every right there is, and what it lets one do."""
