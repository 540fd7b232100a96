"""How a question is answered, said for people: which bitmaps, which statements, and how SQLite goes about those."""

from __future__ import annotations

from collections.abc import Sequence

from jetmill_operator.gateway.projection import sql
from jetmill_operator.gateway.projection.filter import JobFilter
from jetmill_operator.gateway.projection.projection import Projection

ANSWERING = {
    "rows by number": sql.ROWS_BY_NUMBER,
    "rows by id": sql.ROWS_BY_ID,
    "facet": sql.FACET,
    "postings": sql.POSTINGS,
    "search": sql.SEARCH,
    "texts that match": sql.TEXTS,
    "texts of jobs": sql.TEXTS_OF,
    "group by user": sql.GROUP_BY_USER,
    "group by error": sql.GROUP_BY_ERROR,
    "facets of a kind": sql.FACETS_OF_KIND,
    "tallies": sql.TALLIES,
    "oldest that waits": sql.OLDEST,
    "tallies of Jobs": sql.TALLIES_OF,
    "open before": sql.OPEN_BEFORE,
    "ended before": sql.ENDED_BEFORE,
}
"""Every statement that a question or a sweep may run."""


def explain_statement(projection: Projection, statement: str) -> Sequence[str]:
    """SQLite's plan of a statement, line by line."""
    values = ("[]",) + (1,) * (statement.count("?") - 1)
    rows = projection.store.reader.execute(f"EXPLAIN QUERY PLAN {statement}", values)
    return [str(row[3]) for row in rows]


def explain(wanted: JobFilter) -> str:
    """What answers a list of this filter."""
    bitmaps = [name for name in ("job", "state", "reason") if getattr(wanted, name)]
    if wanted.created_after is not None or wanted.created_before is not None:
        bitmaps.append("created")
    if wanted.updated_after is not None or wanted.updated_before is not None:
        bitmaps.append("updated")
    parts = [f"bitmaps of {', '.join(bitmaps)}"] if bitmaps else []
    facets = [name for name in ("label", "user", "schedule", "error_group") if getattr(wanted, name)]
    if facets:
        parts.append(f"bitmaps or postings of {', '.join(facets)}")
    if wanted.error is not None:
        parts.append("trigrams of error")
    return "; ".join([*parts, "rows by number"])
