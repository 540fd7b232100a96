"""HTTP: the one place that knows Litestar and uvicorn."""
