"""The file: one connection that writes, in one thread, and one for each thread that reads.

The file is a cache. Whatever is wrong with it (an older shape, damage after a power cut) is answered by an empty one.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import msgspec
import structlog

from jetmill_operator.gateway.projection import sql
from jetmill_operator.gateway.projection.fold import Row

log = structlog.get_logger(__name__)

_T = TypeVar("_T")


class Store:
    """Connections to one file."""

    def __init__(self, path: Path | None) -> None:
        self._folder = TemporaryDirectory(prefix="jetmill-projection-") if path is None else None
        self.path = path or Path(self._folder.name if self._folder else "") / "projection.db"
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self.writer = self._begin()

    def _begin(self) -> sqlite3.Connection:
        try:
            connection = self._connect()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == sql.SCHEMA_VERSION:
                return connection
            if version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
                return self._create(connection)
            connection.close()
            log.info("projection_outdated", path=str(self.path), version=version)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as err:
            log.warning("projection_unreadable", path=str(self.path), error=str(err))
        self._remove()
        return self._create(self._connect())

    def _create(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        connection.executescript(sql.SCHEMA)
        connection.execute(f"PRAGMA user_version = {sql.SCHEMA_VERSION}")
        return connection

    def _remove(self) -> None:
        for ending in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        for pragma in sql.PRAGMAS:
            connection.execute(pragma)
        return connection

    @property
    def reader(self) -> sqlite3.Connection:
        """The connection of the calling thread, for reading."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
            connection.execute("PRAGMA query_only = ON")
            with self._lock:
                self._readers.append(connection)
        return connection

    def close(self) -> None:
        """Close every connection; nobody uses one any more."""
        for connection in self._readers:
            connection.close()
        self.writer.close()
        if self._folder is not None:
            self._folder.cleanup()


def ask(connection: sqlite3.Connection, statement: str, *parameters: Any, as_type: type[_T]) -> _T:
    """The one JSON value that a statement answers with, decoded."""
    (text,) = connection.execute(statement, parameters).fetchone()
    return msgspec.json.decode(text, type=as_type)


def ask_rows(connection: sqlite3.Connection, statement: str, wanted: list[Any], ns: int) -> list[Row]:
    """The rows of these numbers or ids, in their order; those that are not there are left out."""
    return ask(connection, statement, msgspec.json.encode(wanted).decode(), ns, as_type=list[Row])
