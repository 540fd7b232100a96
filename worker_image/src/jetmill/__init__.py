"""Jetmill: background jobs declared as Kubernetes objects, kept in NATS JetStream, run by workers that scale from zero.

The names below are the whole API of an application; each is loaded when it is first asked for, so that
`import jetmill` costs next to nothing. `__init__.pyi` beside it tells type checkers the same.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "BaseEvent": "jetmill.client.event",
    "Client": "jetmill.client.client",
    "ClientSettings": "jetmill.client.settings",
    "DocCancelled": "jetmill.client.document",
    "DocCreated": "jetmill.client.document",
    "DocDeleted": "jetmill.client.document",
    "DocSubmitted": "jetmill.client.document",
    "DocUpdated": "jetmill.client.document",
    "DocumentEvents": "jetmill.client.document",
    "Event": "jetmill.protocol.event",
    "Filter": "jetmill.client.filter",
    "HttpClient": "jetmill.http",
    "Inject": "jetmill.client.inject",
    "Item": "jetmill.client.submission",
    "JetmillError": "jetmill.errors",
    "JobContext": "jetmill.worker.context",
    "JobFailedError": "jetmill.errors",
    "JobHandle": "jetmill.client.handle",
    "JobHandler": "jetmill.client.declaration",
    "JobStatus": "jetmill.client.status",
    "NonRetryable": "jetmill.client.flow",
    "Registry": "jetmill.client.declaration",
    "RetryAfter": "jetmill.client.flow",
    "RetryPolicy": "jetmill.protocol.retry",
    "Schedule": "jetmill.client.schedule",
    "State": "jetmill.protocol.state",
    "Subscription": "jetmill.client.subscription",
    "SyncClient": "jetmill.client.sync",
    "Transition": "jetmill.client.status",
    "Worker": "jetmill.worker",
    "add_filter": "jetmill.client.filter",
    "close": "jetmill.client.ambient",
    "configure": "jetmill.client.ambient",
    "enqueue": "jetmill.client.ambient",
    "get_client": "jetmill.client.ambient",
    "get_sync_client": "jetmill.client.ambient",
    "id_from_key": "jetmill.protocol.identity",
    "job": "jetmill.client.declaration",
    "on": "jetmill.client.handling",
    "on_event": "jetmill.client.handling",
    "publish": "jetmill.client.ambient",
    "subscribe": "jetmill.client.ambient",
}
"""Where each name lives."""

__all__ = [*_HOMES, "__version__", "errors"]  # noqa: PLE0604 - all are texts


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        if name == "errors":
            return importlib.import_module("jetmill.errors")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
