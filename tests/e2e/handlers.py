"""What the Jobs of these tests do; a ConfigMap brings it into their workers."""

import asyncio
import os

from jetmill import job


@job
async def nap(seconds: float = 0.0) -> str:
    """Takes its time; says where."""
    await asyncio.sleep(seconds)
    return os.environ["JETMILL_POD_NAME"]


@job
async def gorge(megabytes: int = 0) -> int:
    """Takes memory, and touches all of it."""
    eaten = bytearray()
    for _ in range(megabytes):
        eaten += b"x" * 1_000_000
        await asyncio.sleep(0)
    return len(eaten)
