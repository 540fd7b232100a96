"""Logs: JSON lines on a server, colours on a terminal, with the job's ids where a job runs.

Event names are constants of this module and API: `docs/logging.md` has the table. The ids come from the context
variable that holds the JobContext, so a job costs nothing until it logs.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import structlog

from jetmill.log import LogFormat, configure
from jetmill.worker.context import current

EVENTS: dict[str, str] = {
    "worker_failed": "It could not start, or met a defect; `error` says what.",
    "worker_started": "A worker serves its Jobs.",
    "worker_drained": "It was told to stop, and everything it had is settled.",
    "worker_stopping": "It takes nothing more; `reason` says why.",
    "worker_resting": "An operator asked it to take nothing more for a while, to be scaled in.",
    "worker_resumed": "It takes jobs again.",
    "worker_rest_lapsed": "Nobody asked again for a minute: it goes on by itself.",
    "worker_interrupted": "Its grace period is over: what still runs is interrupted.",
    "worker_left_unsettled": "It ended although outcomes could not be recorded; their jobs will be taken over.",
    "worker_stalled": "A handler blocks the loop beyond its timeout: the process ends, its jobs are taken over.",
    "worker_recycled": "It has done its number of jobs, or has grown too large: it drains and ends.",
    "health_served": "Probes and metrics are answered on `port`.",
    "heartbeat_failed": "A defect of Jetmill ended its sign of life: the process ends, its jobs are taken over.",
    "heartbeat_lost": "Presence could not be renewed; said once until it works again.",
    "heartbeat_regained": "It works again.",
    "handler_missing": "A Job's handler is not known here; it is left to workers that know it.",
    "handler_kept": "A Job's manifest names a handler that is not known here; the one before goes on.",
    "rider_came": "A Job is served too from now on, for its manifest names `carrier`, which is served here.",
    "rider_left": "Such a Job is not served any more; what it has in hand runs on.",
    "job_started": "A handler starts (only with JETMILL_LOG_JOBS).",
    "job_finished": "An attempt was settled (only with JETMILL_LOG_JOBS).",
    "job_failed": "A job failed for good.",
    "job_lost": "An outcome was refused, for the job is another worker's by now.",
    "delivery_failed": "A delivery was not handled, which is a defect of Jetmill; it comes again, or its job fails.",
    "handler_abandoned": "A handler did not stop when it was told to; nobody waits for it any more.",
    "filter_failed": "A filter or on_failure raised; the job goes on.",
    "resource_not_closed": "Tearing a resource down raised.",
    "subscription_started": "A handler of events (`@on`) is handed events.",
    "subscription_not_started": "The bus could not be asked for events; it is asked again.",
    "subscription_denied": "This worker's user in NATS may not subscribe: its handlers of events do not run here.",
}


def get_logger() -> Any:
    """The worker's logger."""
    return structlog.get_logger("jetmill.worker")


def configure_logging(log_format: LogFormat = "auto", level: str = "info") -> None:
    """Set up structlog for a process that is nothing but a worker; an application keeps its own set-up."""
    configure(log_format, level, add=[add_job])


def add_job(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the ids of the job that runs here."""
    context = current.get()
    if context is not None:
        event.setdefault("job", context.job)
        event.setdefault("job_id", context.id)
        event.setdefault("attempt", context.attempt)
    return event
