"""The client: declare Jobs, enqueue calls of them, look at what became of them. Import from `jetmill` itself."""
