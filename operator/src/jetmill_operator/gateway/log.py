"""What the gateway logs; names are API: `docs/logging.md` has the table. Never payloads, tokens or queries."""

from __future__ import annotations

from collections.abc import Mapping

EVENTS: Mapping[str, str] = {
    "gateway_started": "The process listens on `port`; `auth` says who is let in.",
    "gateway_stopping": "It was told to stop: requests under way may end.",
    "gateway_stopped": "It has ended.",
    "gateway_failed": "It ends with status 1; `error` says why.",
    "gateway_key_made": "There is no key file: sessions end with this process, and no other gateway knows them.",
    "gateway_nats_not_reached": "The first connection to NATS failed; it is tried again.",
    "request_served": "A request was answered: `method`, `path` (without its query), `status`, `seconds`, `user`, "
    "`request_id`.",
    "request_failed": "A request met a defect of Jetmill; the answer was a 500 with this `request_id`.",
    "audit": "Somebody asked for something that changes: `user`, `right`, `namespace`, `job_id`, `decision` (allowed, "
    "denied), `status`, `request_id`, `client`.",
    "stream_ended": "A websocket or stream of events ended: `user`, `code`, `reason`, `delivered`, `dropped` (events).",
    "stream_broke": "A stream of NATS could not be followed for a moment; nothing is lost by it. `namespace`, `error`.",
    "stream_missing": "A namespace has no streams yet; looked for again. `namespace`.",
    "stream_went_back": "A stream of NATS is another by now (a backup was restored); clients are told. `namespace`.",
    "record_not_readable": "A record of the ledger was left out of streams: `seq`, `error`.",
    "message_not_readable": "A message to clients was no message: `namespace`, `topic`, `error`.",
    "replay_broke": "What a client missed could not be read; it was told. `namespace`, `error`.",
    "table_not_read": "Workers or queues could not be looked at; tried again. `namespace`, `table`, `error`.",
    "streams_not_looked_after": "A defect kept streams from being looked after for a second: its traceback.",
    "session_begun": "Somebody logged in from a browser.",
    "session_ended": "And out.",
    "stream_not_checked": "It could not be asked whether a stream of NATS is still the same. `namespace`, `error`.",
    "cluster_not_asked": "What the cluster says of a Job is missing in an answer, for its API did not give one.",
    "operation_ended": "Jobs that fitted a filter were acted on: `operation`, `user`, `action`, `state`, `total`, "
    "`changed`, `skipped`, `failed`.",
    "operation_broke": "A defect ended an operation: its traceback.",
    "operation_not_noted": "How far an operation came could not be written; it will count as interrupted. "
    "`operation`, `error`.",
    "operations_not_readable": "What is known of operations is no note of ours; it begins anew. `error`.",
}
