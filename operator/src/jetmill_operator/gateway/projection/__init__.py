"""The projection: every job of the ledger in a form that lists, counts and groups in milliseconds.

```
ledger ──ingest──▶ store (SQLite: rows, postings, texts, tallies) ──▶ index (bitmaps, in memory) ──▶ projection
           fold: records → rows                     loaded at the start, kept up to date at each commit
```

SQLite holds what is known; bitmaps say in which jobs a value occurs, so that any combination of filters is a few
bitwise operations, whatever the values are. Each gateway has a projection of its own; the ledger alone is the truth.
"""

from jetmill_operator.gateway.projection.answer import Bucket, Flow, Group, JobRow, Lag, Page, Standing
from jetmill_operator.gateway.projection.cursor import BadCursorError
from jetmill_operator.gateway.projection.filter import SORTS, GroupBy, JobFilter, Sort
from jetmill_operator.gateway.projection.histogram import Percentiles
from jetmill_operator.gateway.projection.ingest import Ingest
from jetmill_operator.gateway.projection.projection import Projection

__all__ = [
    "SORTS",
    "BadCursorError",
    "Bucket",
    "Flow",
    "Group",
    "GroupBy",
    "Ingest",
    "JobFilter",
    "JobRow",
    "Lag",
    "Page",
    "Percentiles",
    "Projection",
    "Sort",
    "Standing",
]
