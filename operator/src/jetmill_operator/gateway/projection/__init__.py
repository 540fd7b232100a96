"""The projection: every job of the ledger in a form that lists, counts and groups in milliseconds.

```
ledger ──ingest──▶ store (SQLite: rows, postings, texts, minutes) ──▶ index (bitmaps, in memory) ──▶ projection
           fold: records → rows                     loaded at the start, kept up to date at each commit
```

SQLite holds what is known; bitmaps say in which jobs a value occurs, so that any combination of filters is a few
bitwise operations, whatever the values are. Each gateway has a projection of its own; the ledger alone is the truth.
"""
