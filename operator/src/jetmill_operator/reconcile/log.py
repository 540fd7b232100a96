"""What the operator logs; names are API: `docs/logging.md` has the table. Never payloads, never what is in a Secret."""

from __future__ import annotations

from collections.abc import Mapping

EVENTS: Mapping[str, str] = {
    "operator_started": "The process begins; `identity` is what it calls itself.",
    "operator_standing_by": "It waits for the lease.",
    "operator_leading": "It has the lease, and reconciles `jobs` Jobs.",
    "operator_stopping": "It was told to stop.",
    "operator_stopped": "It has given the lease back.",
    "operator_failed": "It ends with status 1, and has to be started again; `error` says why.",
    "lease_acquired": "It leads from now on.",
    "lease_not_read": "The lease could not be read or taken; it is tried again.",
    "lease_not_renewed": "The lease could not be renewed; it leads for `seconds_left` more.",
    "lease_not_released": "The lease could not be given back: the next leader waits until it has lapsed.",
    "nats_not_reached": "The first connection to NATS failed; it is tried again.",
    "nats_lost": "The connection has been away for ten seconds: every Job's status will say so.",
    "nats_regained": "It is back: every Job is looked at.",
    "reconcile_failed": "A key could not be reconciled; it is tried again after `retry_seconds`.",
    "job_let_go": "A Job was deleted, and all is done that its deletionPolicy says.",
    "event_not_written": "A Kubernetes Event could not be written; what it was about goes on.",
    "keeper_failed": "The keeper of a namespace ended; another one begins.",
    "deletion_missed": "An object is gone of which the watch did not tell; it is reconciled now.",
    "sentinel_failed": "The LIST that is held against the watch failed; the next one is in a while.",
    "secret_copied": "A Secret was copied to a namespace.",
    "secret_missing": "A Secret that is to be copied is not there.",
    "secret_is_foreign": "A Secret of that name belongs to somebody else; it is left alone.",
    "secret_not_copied": "A Secret could not be copied; it is tried again.",
}
