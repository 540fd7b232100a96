"""The JetStream adapter: a fast layer over nats-py (link, append, pull, read, follow) and the ports built on it."""

from jetmill.bus.jetstream.bus import connect_jetstream

__all__ = ["connect_jetstream"]
