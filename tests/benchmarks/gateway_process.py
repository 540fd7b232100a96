"""A gateway in a process of its own, for measuring: gone with the block that started it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from support.nats import find_free_port

READY_SECONDS = 30.0


class GatewayProcess:
    """A process that listens on loopback."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self.port = port

    @classmethod
    @contextmanager
    def start(cls, nats_url: str, *, namespace: str) -> Iterator[GatewayProcess]:
        port = find_free_port()
        words = ["--nats-url", nats_url, "--namespace", namespace, "--port", str(port)]
        process = subprocess.Popen(
            [sys.executable, "-m", "jetmill", "gateway", "--auth", "none", "--log-level", "warning", *words]
        )
        try:
            _wait(process, port)
            yield cls(process, port)
        finally:
            process.kill()
            process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stream_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/api/v1/stream"


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + READY_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit("the gateway does not come up") from None
            time.sleep(0.05)
        else:
            return
