"""`Prefer: wait=N` (RFC 7240): how long a client likes to wait for a job's end, and whether it was heard."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated

from litestar.params import HeaderParameter

from jetmill.client.client import Client
from jetmill.errors import JobNotFoundError

LONGEST_SECONDS = 30.0
Prefer = Annotated[
    str | None,
    HeaderParameter(name="Prefer", description="`wait=N`: wait up to N seconds (30 at most) for the job's end"),
]
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?:$|[,;])", re.IGNORECASE)


def parse_wait(header: str | None) -> int | None:
    """Seconds to wait, None if nothing (that is understood) is said of it. Pure."""
    found = _WAIT.search(header or "")
    return None if found is None else min(int(found[1]), round(LONGEST_SECONDS))


async def wait_for_end(client: Client, job_id: str, header: str | None) -> dict[str, str]:
    """Wait as the header likes it, whether or not the job ends by then; give the headers that say so."""
    seconds = parse_wait(header)
    if seconds is None:
        return {}
    try:
        async with asyncio.timeout(seconds):
            await client.wait(job_id)
    except (TimeoutError, JobNotFoundError):
        pass
    return {"Preference-Applied": f"wait={seconds}"}
