"""What Jetmill asks of its bus: small ports, two adapters (JetStream, memory), one conformance suite.

Hot-path methods (`append`, `publish`, `ack`, `nak`) do not await: they buffer a write and, where an answer matters,
return an `asyncio.Future`, so that everything that becomes ready in one turn of the loop leaves together. All others
are coroutines. Errors are those of `jetmill.errors`: RefusedError (a compare-and-set lost), NoAnswerError (nobody
knows), PermissionDeniedError, NotFoundError, BusError. One Bus belongs to one event loop.

Sequences count from 1 and grow; times are µs since the Unix epoch by the server's clock.
"""

from jetmill.bus.ports.admin import Admin, Change, Note, Notes, PresenceBoard
from jetmill.bus.ports.event import (
    DeadMessage,
    EventDelivery,
    EventMessage,
    Events,
    SubscriptionInfo,
    Subscriptions,
    TraceLine,
)
from jetmill.bus.ports.ledger import Ledger, Payloads
from jetmill.bus.ports.link import Bus, Connect, Link, Trunk
from jetmill.bus.ports.queue import Delivery, Depth, Flow, Pull, Queue
from jetmill.bus.ports.signal import Message, Messages, Signals

__all__ = [
    "Admin",
    "Bus",
    "Change",
    "Connect",
    "DeadMessage",
    "Delivery",
    "Depth",
    "EventDelivery",
    "EventMessage",
    "Events",
    "Flow",
    "Ledger",
    "Link",
    "Message",
    "Messages",
    "Note",
    "Notes",
    "Payloads",
    "PresenceBoard",
    "Pull",
    "Queue",
    "Signals",
    "SubscriptionInfo",
    "Subscriptions",
    "TraceLine",
    "Trunk",
]
