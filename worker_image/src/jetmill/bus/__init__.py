"""The bus: ports, and their adapters on JetStream and in memory."""
