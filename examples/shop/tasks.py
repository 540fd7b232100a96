"""What the three Jobs of jobs.yaml do. Plain functions: call them in a test as they are."""

import asyncio
import os
import random
import statistics

from jetmill import JobContext, NonRetryable, job


@job
async def send_email(to: str, subject: str) -> str:
    """Takes the time that a mail server takes."""
    await asyncio.sleep(0.2)
    return f"{os.environ.get('SHOP_SENDER', 'nobody')} -> {to}: {subject}"


@job
async def charge_card(order: int, amount: float, ctx: JobContext) -> dict[str, float]:
    """Every third order meets a bank that is away for the first two attempts."""
    if amount <= 0:
        raise NonRetryable(f"order {order}: the bank refuses {amount:.2f}")
    if order % 3 == 0 and ctx.attempt < 3:
        raise ConnectionError(f"the bank does not answer (attempt {ctx.attempt})")
    return {"order": order, "charged": round(amount, 2), "attempts": ctx.attempt}


@job
def sales_report(orders: int, seed: int = 1) -> dict[str, float]:
    """Makes up so many orders and says what they are worth: the same for the same seed."""
    draw = random.Random(seed)
    amounts = sorted(draw.lognormvariate(3, 1) for _ in range(orders))
    low, median, high = statistics.quantiles(amounts, n=4)
    return {"total": round(sum(amounts), 2), "median": round(median, 2), "spread": round(high - low, 2)}
