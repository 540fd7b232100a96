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
    "lease_acquired": "This process leads.",
    "lease_not_read": "A candidate could not look at the lease; it looks again.",
    "lease_not_renewed": "The lease could not be renewed; after `seconds_left` more the process ends.",
    "lease_not_released": "The lease could not be given back: the next leader waits until it has run out.",
    "nats_not_reached": "The first connection to NATS failed; it is tried again.",
    "nats_lost": "The connection has been away for ten seconds: every Job's status will say so.",
    "nats_regained": "It is back: every Job is looked at.",
    "reconcile_failed": "A reconcile failed; it comes again after `retry_seconds`. A traceback means a defect.",
    "job_let_go": "A Job was deleted, and all is done that its deletionPolicy says.",
    "event_not_written": "A Kubernetes Event could not be written; what it was about goes on.",
    "keeper_failed": "The keeper of a namespace ended; another one begins.",
    "deletion_missed": "The watch did not tell of a deletion; the sentinel found it.",
    "sentinel_failed": "The sentinel could not list a kind; it tries again at its next turn.",
    "secret_copied": "A Secret was copied to a namespace.",
    "secret_removed": "A copy was removed with the installation.",
    "secret_missing": "A Secret that is to be copied is not there.",
    "secret_is_foreign": "A Secret of that name belongs to somebody else; it is left alone.",
    "secret_not_copied": "A Secret could not be copied; it is tried again.",
    "operator_absent": "What uninstalls found no operator to stop.",
    "released": "A finalizer was taken off, for the installation goes.",
    "removed": "An object was removed with the installation.",
}
