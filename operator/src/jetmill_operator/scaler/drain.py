"""Telling workers to take nothing more, and making sure that they do before anybody takes them away.

A step down goes like this: ask (here) → the worker gives back what waits, and says so in its presence → once it has
nothing in hand, its pod is marked and `/scale` is written (with a cluster) → its SIGTERM finds nothing to interrupt.
A plan may rest on presences from a replica that lags, so each victim is asked about once more, from the leader.
"""

from __future__ import annotations

from jetmill.bus.ports import Bus
from jetmill.errors import InvalidNameError, JetmillError
from jetmill_operator.policy.victim import DrainPlan


async def apply_drains(bus: Bus, plan: DrainPlan) -> list[str]:
    """Tell everybody what the plan says, and return those victims that drain and have nothing in hand now. A drained
    worker begins nothing until it is told to go on, or hears nothing for a minute. Never raises a JetmillError: who
    cannot be asked is no victim. Safe to try again.
    """
    for worker in plan.undo:
        _tell(bus, worker, drain=False)
    for worker in plan.ask:
        _tell(bus, worker, drain=True)
    return [worker for worker in plan.victims if await is_drained(bus, worker)]


async def is_drained(bus: Bus, worker: str) -> bool:
    """Ask whether a worker takes nothing more and has nothing in hand; one that has gone or cannot be read is not."""
    try:
        presence = await bus.presence.get(worker)
    except JetmillError:
        return False
    return presence is not None and presence.draining and presence.busy == 0


def _tell(bus: Bus, worker: str, *, drain: bool) -> None:
    try:
        if drain:
            bus.signals.drain(worker)
        else:
            bus.signals.undrain(worker)
    except InvalidNameError:
        return  # a presence that no worker of ours wrote
