"""Jetmill: background jobs on NATS JetStream, with every transition in a ledger."""
