"""What the Jobs of jobs.yaml do, and how they tell each other: by events, each of a class that both ends know."""

import asyncio

from jetmill import BaseEvent, Event, JobContext, NonRetryable, job, on


class OrderPlaced(BaseEvent, type="order.placed", subject="order"):
    order: int
    amount: float
    country: str = "DE"


class OrderShipped(BaseEvent, type="order.shipped", subject="order"):
    order: int
    parcel: str


@job
async def place_order(order: int, amount: float, country: str, ctx: JobContext) -> str:
    """What a web page would enqueue. That an order is there is an event: who cares for it is not its business."""
    if amount <= 0:
        raise NonRetryable(f"order {order}: nothing to pay")
    return await ctx.publish(OrderPlaced(order=order, amount=amount, country=country))


@job
async def ship_order(event: OrderPlaced, ctx: JobContext) -> str:
    """Triggered by `order.placed`: gets the whole event, checked against its class."""
    if event.country == "XX":
        raise NonRetryable(f"order {event.order}: nobody delivers to {event.country}")
    await asyncio.sleep(0.1)
    parcel = f"P-{event.order:04}"
    await ctx.publish(OrderShipped(order=event.order, parcel=parcel))
    return parcel


@job
async def check_fraud(order: int, amount: float, country: str = "DE") -> dict[str, object]:
    """Triggered by `order.placed` of more than 100: gets the event's data as its arguments (`payload: Data`)."""
    await asyncio.sleep(0.05)
    return {"order": order, "suspicious": amount >= 1000 or country not in ("DE", "AT", "CH")}


@job
async def call_customer(event: Event) -> str:
    """Triggered by `job.failed` of ship-order: what Jetmill itself tells is an event like any other."""
    return f"shipping failed ({event.data['id']}): {event.data['error']['message']}"


@job
async def report(country: str, ctx: JobContext) -> str:
    """Enqueued by the calendar nightly-report: its slot says which day it is about, however late it runs."""
    return f"orders to {country} before {ctx.slot or ctx.enqueued}"


@on("order.*", name="ledger-of-orders")
async def note(event: Event) -> None:
    """Runs in whichever worker is there. The bus remembers how far it is: none is missed while no worker runs."""
    print(f"{event.type} {event.subject}", flush=True)
