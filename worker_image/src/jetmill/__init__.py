"""Jetmill: background jobs declared as Kubernetes objects, kept in NATS JetStream, run by workers that scale from zero.

The names below are the whole API of an application; each is loaded when it is first asked for, so that
`import jetmill` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jetmill import errors as errors
    from jetmill.client.ambient import close as close
    from jetmill.client.ambient import configure as configure
    from jetmill.client.ambient import enqueue as enqueue
    from jetmill.client.ambient import get_client as get_client
    from jetmill.client.ambient import get_sync_client as get_sync_client
    from jetmill.client.client import Client as Client
    from jetmill.client.declaration import JobHandler as JobHandler
    from jetmill.client.declaration import Registry as Registry
    from jetmill.client.declaration import job as job
    from jetmill.client.filter import Filter as Filter
    from jetmill.client.filter import add_filter as add_filter
    from jetmill.client.flow import NonRetryable as NonRetryable
    from jetmill.client.flow import RetryAfter as RetryAfter
    from jetmill.client.handle import JobHandle as JobHandle
    from jetmill.client.inject import Inject as Inject
    from jetmill.client.settings import ClientSettings as ClientSettings
    from jetmill.client.status import JobStatus as JobStatus
    from jetmill.client.status import Transition as Transition
    from jetmill.client.submission import Item as Item
    from jetmill.client.sync import SyncClient as SyncClient
    from jetmill.errors import JetmillError as JetmillError
    from jetmill.errors import JobFailedError as JobFailedError
    from jetmill.protocol.identity import id_from_key as id_from_key
    from jetmill.protocol.retry import RetryPolicy as RetryPolicy
    from jetmill.protocol.state import State as State
    from jetmill.worker import Worker as Worker
    from jetmill.worker.context import JobContext as JobContext

__version__ = "0.1.0"

_HOMES = {
    "Client": "jetmill.client.client",
    "ClientSettings": "jetmill.client.settings",
    "Filter": "jetmill.client.filter",
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
    "State": "jetmill.protocol.state",
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
