"""A PostgreSQL of our own for the benchmark: Debian's server, a new cluster, a socket in a temporary folder."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class PostgresMissingError(Exception):
    """No server binaries; the message says the cure."""


def find_binaries() -> Path:
    """The folder of `initdb` and `postgres`."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        raise PostgresMissingError("no PostgreSQL server here: install Debian's package postgresql")
    return folders[-1]


def _as_user(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root; its own user then."""
    return (
        ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
        if os.geteuid() == 0
        else command
    )


@contextmanager
def run_postgres() -> Iterator[str]:
    """Yield the DSN of a fresh server (fsync on, its defaults); it ends with the block."""
    binaries = find_binaries()
    folder = tempfile.mkdtemp(prefix="jetmill-pg-")
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, pwd.getpwnam("postgres").pw_uid)
        data = f"{folder}/data"
        subprocess.run(
            _as_user([f"{binaries}/initdb", "-D", data, "-U", "bench", "--auth=trust"]), check=True, capture_output=True
        )
        options = f"-k {folder} -c listen_addresses=''"
        control = [f"{binaries}/pg_ctl", "-D", data, "-w"]
        subprocess.run(
            _as_user([*control, "-l", f"{folder}/log", "-o", options, "start"]), check=True, capture_output=True
        )
        try:
            yield f"postgresql://bench@/postgres?host={folder}"
        finally:
            subprocess.run(_as_user([*control, "-m", "immediate", "stop"]), check=True, capture_output=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
