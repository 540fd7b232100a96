"""Every statement of the projection, and the shape of its file.

Answers come as one JSON text in one row: SQLite's module gives up the interpreter's lock at every row it steps to, and
under load takes milliseconds to get it back. Lists of ids and numbers go in the same way, through `json_each`.
"""

from __future__ import annotations

from typing import Final

SCHEMA_VERSION = 2
"""Raise it whenever a table changes: an older file is built anew."""

SCHEMA: Final = """
CREATE TABLE namespace (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
    seq INTEGER NOT NULL DEFAULT 0,             -- everything up to here is included
    next_number INTEGER NOT NULL DEFAULT 0,
    mark_seq INTEGER, mark_id TEXT, mark_time INTEGER -- a record of this ledger, by which it is known again
);
CREATE TABLE job (
    ns INTEGER NOT NULL, number INTEGER NOT NULL, id TEXT NOT NULL, job TEXT NOT NULL, state TEXT NOT NULL, reason TEXT,
    enqueueing INTEGER NOT NULL, attempt INTEGER NOT NULL, crashes INTEGER NOT NULL, band TEXT NOT NULL, user TEXT,
    labels TEXT, schedule TEXT, due INTEGER, worker TEXT, created INTEGER NOT NULL, updated INTEGER NOT NULL,
    started INTEGER, ended INTEGER, ready INTEGER NOT NULL, error_type TEXT, error_message TEXT,
    born INTEGER NOT NULL, seq INTEGER NOT NULL, text INTEGER,
    PRIMARY KEY (ns, number)
) WITHOUT ROWID;
CREATE UNIQUE INDEX job_id ON job (ns, id);
CREATE INDEX job_text ON job (text) WHERE text IS NOT NULL;
CREATE INDEX job_open ON job (ns, seq) WHERE ended IS NULL;
CREATE INDEX job_ready ON job (ns, job, ready) WHERE ended IS NULL;
CREATE INDEX job_ended ON job (ns, ended) WHERE ended IS NOT NULL;
CREATE TABLE facet (
    id INTEGER PRIMARY KEY, ns INTEGER NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL,
    count INTEGER NOT NULL DEFAULT 0, UNIQUE (ns, kind, value)
);
CREATE INDEX facet_count ON facet (ns, count) WHERE count > 4096;
CREATE TABLE posting (facet INTEGER NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (facet, number)) WITHOUT ROWID;
CREATE TABLE text (
    id INTEGER PRIMARY KEY, ns INTEGER NOT NULL, digest BLOB NOT NULL, value TEXT NOT NULL,
    family TEXT NOT NULL,                       -- what errors that differ by numbers alone have in common
    UNIQUE (ns, digest)
);
CREATE VIRTUAL TABLE text_match USING fts5 (value, content='text', content_rowid='id', tokenize='trigram');
CREATE TABLE tally (
    ns INTEGER NOT NULL, job TEXT NOT NULL,     -- '': all of them
    span INTEGER NOT NULL,                      -- seconds: 60 or 3600
    start INTEGER NOT NULL,                     -- seconds since the epoch
    data BLOB NOT NULL, PRIMARY KEY (ns, job, span, start)
) WITHOUT ROWID;
"""

PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = OFF",  # the ledger is the truth: a file that a power cut breaks is built anew
    "PRAGMA wal_autocheckpoint = 8192",
    "PRAGMA cache_size = -65536",
    "PRAGMA mmap_size = 2147483648",
    "PRAGMA temp_store = MEMORY",
)

_COLUMNS = (
    "number, id, job, state, reason, enqueueing, attempt, crashes, band, user, labels, schedule, due, worker, "
    "created, updated, started, ended, ready, error_type, error_message, born, seq, text"
)
_ROW = ", ".join(f"job.{name.strip()}" for name in _COLUMNS.split(","))

# What changes.
ADD_NAMESPACE: Final = "INSERT INTO namespace (name) VALUES (?) ON CONFLICT DO NOTHING"
NAMESPACES: Final = "SELECT id, name, seq, next_number FROM namespace"
MARK: Final = "SELECT mark_seq, mark_id, mark_time FROM namespace WHERE id = ?"
ADVANCE: Final = "UPDATE namespace SET seq = max(seq, ?), next_number = ? WHERE id = ?"
SET_MARK: Final = "UPDATE namespace SET mark_seq = ?, mark_id = ?, mark_time = ? WHERE id = ?"
_FIXED = ("number", "id", "created", "born")
PUT_JOB: Final = (
    f"INSERT INTO job (ns, {_COLUMNS}) VALUES ({', '.join('?' * 25)}) "  # noqa: S608
    "ON CONFLICT (ns, number) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", ") if name not in _FIXED)
)
PUT_FACET: Final = (
    "INSERT INTO facet (ns, kind, value, count) VALUES (?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET count = count + excluded.count RETURNING id, count"
)
COUNT_FACET: Final = "UPDATE facet SET count = ? WHERE id = ?"
PUT_POSTING: Final = "INSERT OR IGNORE INTO posting (facet, number) VALUES (?, ?)"
REMOVE_POSTING: Final = "DELETE FROM posting WHERE facet = ? AND number = ?"
REMOVE_FACET: Final = "DELETE FROM facet WHERE id = ?"
FIND_TEXT: Final = "SELECT id FROM text WHERE ns = ? AND digest = ?"
PUT_TEXT: Final = "INSERT INTO text (ns, digest, value, family) VALUES (?, ?, ?, ?)"
PUT_MATCH: Final = "INSERT INTO text_match (rowid, value) VALUES (?, ?)"
TEXT_OF: Final = "SELECT text FROM job WHERE ns = ? AND number = ?"
TEXT_USED: Final = "SELECT EXISTS (SELECT 1 FROM job WHERE text = ?)"
TEXT_VALUE: Final = "SELECT value FROM text WHERE id = ?"
REMOVE_MATCH: Final = "INSERT INTO text_match (text_match, rowid, value) VALUES ('delete', ?, ?)"
REMOVE_TEXT: Final = "DELETE FROM text WHERE id = ?"
REMOVE_JOB: Final = "DELETE FROM job WHERE ns = ? AND number = ?"
TALLY: Final = "SELECT data FROM tally WHERE ns = ? AND job = ? AND span = ? AND start = ?"
PUT_TALLY: Final = "INSERT OR REPLACE INTO tally (ns, job, span, start, data) VALUES (?, ?, ?, ?, ?)"
FORGET_TALLIES: Final = "DELETE FROM tally WHERE ns = ? AND job = ? AND span = ? AND start < ?"
TALLY_JOBS: Final = "SELECT DISTINCT job FROM tally WHERE ns = ?"
CLEAR: Final = (
    "INSERT INTO text_match (text_match, rowid, value) SELECT 'delete', id, value FROM text WHERE ns = ?",
    "DELETE FROM text WHERE ns = ?",
    "DELETE FROM posting WHERE facet IN (SELECT id FROM facet WHERE ns = ?)",
    "DELETE FROM facet WHERE ns = ?",
    "DELETE FROM tally WHERE ns = ?",
    "DELETE FROM job WHERE ns = ?",
    "UPDATE namespace SET seq = 0, next_number = 0, mark_seq = NULL, mark_id = NULL, mark_time = NULL WHERE id = ?",
)

# What is read at the start, whole.
LOAD_JOBS: Final = (
    "SELECT number, job, state, reason, created, updated, born, seq, text IS NOT NULL "
    "FROM job WHERE ns = ? ORDER BY number"
)
LOAD_FACETS: Final = "SELECT id FROM facet WHERE ns = ? AND count > 4096"

# What answers.
ROWS_BY_NUMBER: Final = (
    f"SELECT json_group_array(json_array({_ROW})) FROM json_each(?) AS wanted "  # noqa: S608
    "CROSS JOIN job ON job.ns = ? AND job.number = wanted.value"
)
ROWS_BY_ID: Final = (
    f"SELECT json_group_array(json_array({_ROW})) FROM json_each(?) AS wanted "  # noqa: S608
    "CROSS JOIN job ON job.ns = ? AND job.id = wanted.value"
)
FACET: Final = "SELECT id, count FROM facet WHERE ns = ? AND kind = ? AND value = ?"
POSTINGS: Final = "SELECT json_group_array(number) FROM posting WHERE facet = ?"
SEARCH: Final = (
    "SELECT json_group_array(job.number) FROM text_match CROSS JOIN job ON job.text = text_match.rowid AND job.ns = ? "
    "AND job.number BETWEEN ? AND ? WHERE text_match MATCH ?"
)
TEXTS: Final = "SELECT json_group_array(rowid) FROM text_match WHERE text_match MATCH ?"
TEXTS_OF: Final = (
    "SELECT json_group_array(json_array(job.number, job.text)) FROM json_each(?) AS wanted "
    "CROSS JOIN job ON job.ns = ? AND job.number = wanted.value WHERE job.text IS NOT NULL"
)
GROUP_BY_USER: Final = (
    "SELECT json_group_array(json_array(user, amount, newest)) FROM ("
    "SELECT job.user, count(*) AS amount, max(job.number) AS newest FROM json_each(?) AS wanted "
    "CROSS JOIN job ON job.ns = ? AND job.number = wanted.value GROUP BY job.user)"
)
GROUP_BY_ERROR: Final = (
    "SELECT json_group_array(json_array(family, amount, newest)) FROM ("
    "SELECT text.family, count(*) AS amount, max(job.number) AS newest FROM json_each(?) AS wanted "
    "CROSS JOIN job ON job.ns = ? AND job.number = wanted.value LEFT JOIN text ON text.id = job.text "
    "GROUP BY text.family)"
)
FACETS_OF_KIND: Final = "SELECT json_group_array(json_array(id, value, count)) FROM facet WHERE ns = ? AND kind = ?"
TALLIES: Final = (
    "SELECT json_group_array(json_array(start, hex(data))) FROM tally "
    "WHERE ns = ? AND job = ? AND span = ? AND start >= ? AND start < ?"
)
OLDEST: Final = (  # passes over what runs, of which there are no more than slots: a narrower index costs each record
    "SELECT json_group_array((SELECT ready FROM job WHERE ns = ? AND job = wanted.value AND ended IS NULL "
    "AND state IN ('queued', 'scheduled', 'retrying') ORDER BY ready LIMIT 1)) FROM json_each(?) AS wanted"
)
TALLIES_OF: Final = (
    "SELECT json_group_array(json_array(wanted.value, hex(data))) FROM json_each(?) AS wanted "
    "CROSS JOIN tally ON tally.ns = ? AND tally.job = wanted.value AND span = ? AND start >= ? AND start < ?"
)
OPEN_BEFORE: Final = (
    "SELECT json_group_array(json_array(id, seq)) FROM ("
    "SELECT id, seq FROM job WHERE ns = ? AND ended IS NULL AND seq <= ? AND seq > ? ORDER BY seq LIMIT ?)"
)
ENDED_BEFORE: Final = (
    "SELECT json_group_array(json_array(id, job, state, ended, seq, max(ended, coalesce(due, 0)))) FROM ("
    "SELECT id, job, state, ended, seq, due FROM job WHERE ns = ? AND ended IS NOT NULL AND ended <= ? AND ended >= ? "
    "ORDER BY ended LIMIT ?)"
)
STATES: Final = (
    "SELECT id, job, state, enqueueing, attempt, updated, seq FROM job WHERE ns = ? AND number >= ? AND number < ?"
)
