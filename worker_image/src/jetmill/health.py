"""`/livez`, `/readyz` and `/metrics`, on a port and in a thread of their own.

The thread answers while the loop is busy; what it answers is what the process says of itself. What live and ready mean
is that process's business: a worker's is in `jetmill.worker.service`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

Answer = Callable[[], str | None]
"""None: fine; a text: what is wrong."""


class HealthServer:
    """The server; `port` is the one that it got."""

    def __init__(self, *, host: str, port: int, live: Answer, ready: Answer, metrics: Collector) -> None:
        from prometheus_client import CollectorRegistry, make_wsgi_app

        registry = CollectorRegistry(auto_describe=False)
        registry.register(metrics)
        self._metrics = make_wsgi_app(registry)
        self._answers = {"/livez": live, "/readyz": ready}
        self._server = make_server(host, port, self._serve, server_class=_Server, handler_class=_Handler)
        self.port = int(self._server.server_port)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="jetmill-health", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            body: Iterable[bytes] = self._metrics(environ, start)
            return body
        answer = self._answers.get(path)
        if answer is None:
            return _reply(start, "404 Not Found", "/livez, /readyz, /metrics")
        fault = answer()
        return _reply(start, "200 OK" if fault is None else "503 Service Unavailable", fault or "ok")


def _reply(start: Callable[..., Any], status: str, text: str) -> Iterable[bytes]:
    body = f"{text}\n".encode()
    start(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False


class _Handler(WSGIRequestHandler):
    timeout = 5

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """Probes are not worth a line."""
