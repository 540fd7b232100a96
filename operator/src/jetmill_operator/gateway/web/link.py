"""Where one can go from a job: addresses relative to the gateway's root, with the namespace in them. Pure."""

from __future__ import annotations

from urllib.parse import quote

from jetmill.protocol.state import FINAL, State

_READS = ("history", "payload", "logs")


def job_address(job_id: str, *, namespace: str, part: str = "") -> str:
    """The address of a job or a part of it, relative to `/api/v1/`."""
    tail = f"/{part}" if part else ""
    return f"jobs/{quote(job_id, safe='')}{tail}?namespace={namespace}"


def build_links(job_id: str, *, namespace: str, state: State) -> dict[str, str]:
    """What can be read of a job, and what can be done with it as it stands; relative to `/api/v1/`."""
    parts = [*_READS]
    if state is State.SUCCEEDED:
        parts.append("result")
    if state not in FINAL:
        parts.append("cancel")
    elif state is not State.DISCARDED:
        parts.append("retry")
    if state is State.FAILED:
        parts.append("discard")
    if state is State.SCHEDULED:
        parts.append("reschedule")
    links = {"self": job_address(job_id, namespace=namespace)}
    return links | {part: job_address(job_id, namespace=namespace, part=part) for part in parts}
