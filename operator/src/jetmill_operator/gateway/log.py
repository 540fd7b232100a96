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
    "session_begun": "Somebody logged in from a browser.",
    "session_ended": "And out.",
}
