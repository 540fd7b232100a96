"""The JetStream adapter: a fast layer over nats-py (link, append, pull, read, follow) and the ports built on it."""

from jetmill.bus.jetstream.bus import connect_jetstream, connect_jetstream_trunk

__all__ = ["connect_jetstream", "connect_jetstream_trunk"]
