"""The JetStream adapter: a fast layer over nats-py (link, append, pull, read, follow) and the ports built on it."""
