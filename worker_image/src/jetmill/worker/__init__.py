"""The worker: takes hints from the queue, claims the jobs that they point to, runs their handlers, records outcomes.

```
intake ─▶ slot ─▶ ledger.claim ─▶ attempt ─▶ executor (loop · thread · process · command)
credit              │                │            resource, filter, context
                    └── settle ◀── outcome        heartbeat, wheel, metric, health, log
```

Names are loaded when they are asked for: a client that only wants JobContext's type pays for nothing else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jetmill.worker.context import JobContext, current_job
    from jetmill.worker.settings import WorkerSettings
    from jetmill.worker.worker import Worker, WorkerExit, run_worker

__all__ = ["JobContext", "Worker", "WorkerExit", "WorkerSettings", "current_job", "run_worker"]

_HOMES = {
    "JobContext": "context",
    "Worker": "worker",
    "WorkerExit": "worker",
    "WorkerSettings": "settings",
    "current_job": "context",
    "run_worker": "worker",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
