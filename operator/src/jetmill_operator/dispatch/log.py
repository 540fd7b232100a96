"""What the dispatcher logs of itself and of Webhooks; names are API: `docs/logging.md` has the table.

Never events, answers or secrets.
"""

from __future__ import annotations

from collections.abc import Mapping

EVENTS: Mapping[str, str] = {
    "dispatcher_started": "The process begins.",
    "dispatcher_stopping": "It was told to stop: what is under way may end.",
    "dispatcher_stopped": "It has ended.",
    "dispatcher_failed": "It ends with status 1; `error` says why.",
    "cluster_not_found": "There are no credentials for a cluster: nothing can be signed.",
    "nats_not_reached": "The first connection to NATS failed; it is tried again.",
    "namespaces_not_found": "The cluster could not be asked for its namespaces; what was known goes on.",
    "namespace_opened": "A namespace is served from now on.",
    "work_failed": "A work of a namespace ended; it is begun again. A traceback means a defect.",
    "work_waits": "The streams of a namespace are yet to be made.",
    "following": "This process follows the events of a namespace for a `purpose`, behind sequence `after`.",
    "following_left": "Another one does.",
    "event_unreadable": "What lies on the bus is no CloudEvent; it is passed over. `type`, `seq`.",
    "event_not_routed": "An event could not be made a delivery. `webhook`, `error`.",
    "webhook_stalled": "A Webhook's filter is no expression: nothing is sent. `webhook`, `error`.",
    "webhook_disabled": "Nothing is sent to a Webhook any more: `reason` is gone or failing.",
    "circuit_opened": "Most requests to a Webhook failed: for a while nothing is sent.",
    "circuit_closed": "Requests are delivered again.",
    "endpoints_not_kept": "How receivers fare could not be said or read; it is tried again.",
    "endpoint_unreadable": "What is noted of a receiver cannot be read; it is begun anew.",
}
