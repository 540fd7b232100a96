"""What a person hears of the Jobs: read off the objects, as `kubectl get` and `kubectl describe` would show it.

A Job is said to be declared or changed once its queue is as declared, not when its file was read; so what is said can
be relied on. Events that warn are said too, but for what dev says itself, and better.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from jetmill_operator.cluster.ports import EVENT, JOB, WEBHOOK, Body, Kind
from jetmill_operator.dev.screen import Screen
from jetmill_operator.policy.condition import find_condition
from jetmill_operator.policy.reason import Reason, Type

_SAID_ELSEWHERE = frozenset(map(str, (Reason.CRASH_LOOPING, Reason.BUS_UNAVAILABLE, Reason.REFERENCE_MISSING)))
_STARTING = str(Reason.NO_DISPATCHER)
_ENDS = {"Retain": "Retain: its jobs wait", "Delete": "Delete: its waiting jobs are cancelled"}


class Reporter:
    """Listens to the cluster, and says what changed."""

    def __init__(self, screen: Screen) -> None:
        self.begun = False
        """New Jobs are news from then on."""
        self._screen = screen
        self._obeyed: dict[str, int] = {}
        """Job → the generation that is obeyed."""
        self._webhooks: dict[str, str] = {}
        """Webhook → what was said of it last."""
        self._looked: set[str] = set()
        """Jobs that were reconciled, with whatever success."""
        self._changed = asyncio.Event()

    def notice(self, kind: Kind, event: str, body: Body) -> None:
        """Take an event of the watch."""
        if kind == JOB:
            self._report_job(body, gone=event == "DELETED")
            self._changed.set()
        elif kind == WEBHOOK:
            self._report_webhook(body, gone=event == "DELETED")
        elif kind == EVENT and event == "ADDED" and body["type"] == "Warning" and body["reason"] not in _SAID_ELSEWHERE:
            about = body["involvedObject"]
            self._screen.say(f"{about['kind']} {about['name']}: {body['message']}", alarm=True)

    async def wait_for(self, names: Iterable[str]) -> None:
        """Wait until these Jobs were reconciled once."""
        wanted = set(names)
        while not wanted <= self._looked:
            self._changed.clear()
            await self._changed.wait()

    def _report_webhook(self, body: Body, *, gone: bool) -> None:
        name = f"Webhook {body['metadata']['name']}"
        ready = find_condition(body.get("status") or {}, Type.READY)
        said = "deleted" if gone else "" if ready is None else f"{ready['reason']}: {ready['message']}"
        if said and self._webhooks.get(name) != said and (gone or ready is None or ready["reason"] != _STARTING):
            self._screen.say(f"{name} {said}", alarm=not gone and ready is not None and ready["status"] == "False")
        if gone:
            self._webhooks.pop(name, None)
        elif said:
            self._webhooks[name] = said

    def _report_job(self, body: Body, *, gone: bool) -> None:
        name, generation = body["metadata"]["name"], body["metadata"]["generation"]
        if gone:
            self._obeyed.pop(name, None)
            self._looked.discard(name)
            policy = body["spec"].get("deletionPolicy", "Retain")
            self._screen.say(f"Job {name} deleted ({_ENDS[policy]})")
            return
        status: Mapping[str, Any] = body.get("status") or {}
        if "deletionTimestamp" in body["metadata"] or status.get("observedGeneration") != generation:
            return
        self._looked.add(name)
        queue = find_condition(status, Type.QUEUE_READY)
        if queue is None or queue["status"] != "True" or self._obeyed.get(name) == generation:
            return
        if name in self._obeyed:
            self._screen.say(f"Job {name} changed")
        elif self.begun:
            self._screen.say(f"Job {name} declared")
        self._obeyed[name] = generation
