"""What the three Jobs of jobs.yaml do. Plain functions: call them in a test as they are."""

import asyncio
import math

from jetmill import JobContext, job


@job
async def greet(name: str) -> str:
    """Succeeds, after the time that a call over the network might take."""
    await asyncio.sleep(0.3)
    return f"Hello, {name}!"


@job
async def flaky(order: int, ctx: JobContext) -> dict[str, int]:
    """Fails on its first two attempts, as a service may that is just being restarted."""
    if ctx.attempt < 3:
        raise ConnectionError(f"the shop does not answer (attempt {ctx.attempt})")
    return {"order": order, "attempts": ctx.attempt}


@job
def primes(below: int) -> int:
    """Counts the primes below a number: nothing but work for the processor."""
    sieve = bytearray([1]) * below
    sieve[:2] = b"\0\0"
    for number in range(2, math.isqrt(below - 1) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, below, number)))
    return sum(sieve)
