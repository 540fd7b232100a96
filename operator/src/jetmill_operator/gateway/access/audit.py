"""Who changed what: a line in the log for each request that changes something, or would have.

A line holds who, which right, where, and how it ended; never what was in the request.
"""

from __future__ import annotations

from typing import Any

import structlog

log = structlog.get_logger("jetmill.audit")


def note_audit(
    *, user: str, right: str, namespace: str, decision: str, status: int, request_id: str, **more: Any
) -> None:
    """Write one line; what is empty in `more` is left out."""
    log.info(
        "audit",
        user=user,
        right=right,
        namespace=namespace,
        decision=decision,
        status=status,
        request_id=request_id,
        **{key: value for key, value in more.items() if value},
    )
