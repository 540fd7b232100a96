"""The Kubernetes API as reconcilers see it: one port, a real cluster behind it or a twin in memory."""
