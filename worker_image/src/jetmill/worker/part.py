"""What the attempts of one worker share."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from jetmill.bus.ports import Bus
from jetmill.ledger.claim import Claimer
from jetmill.protocol.codec import INLINE_BYTES
from jetmill.worker.executor.process import ProcessExecutor
from jetmill.worker.executor.thread import ThreadExecutor
from jetmill.worker.host import WorkerHost
from jetmill.worker.metric import Metrics
from jetmill.worker.resource import Resources
from jetmill.worker.settings import WorkerSettings
from jetmill.worker.wheel import Wheel


@dataclass(slots=True)
class Parts:
    """The bus, the executors, the timers and the numbers of one worker."""

    worker: str
    """Its id, as records and presence name it."""
    settings: WorkerSettings
    bus: Bus
    claimer: Claimer
    wheel: Wheel
    threads: ThreadExecutor
    processes: ProcessExecutor
    resources: Resources
    host: WorkerHost
    metrics: Metrics
    inline_bytes: int = INLINE_BYTES
    draw: Callable[[], float] = random.random
    """Uniform in [0, 1), for the jitter of retries."""
