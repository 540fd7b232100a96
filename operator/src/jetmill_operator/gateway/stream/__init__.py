"""Live streams: what happens in a namespace, to any number of sockets, never silently lost. Plain asyncio.

```
 ledger · events · traces ─▶ Source ─▶ Feed ── a frame for each topic and window ─▶ Outbox of each Session ─▶ socket
 presence · queues ─────────────────▶ Table ── a whole picture at each change ────▶      │
 core NATS messages ────────────────▶ Letters ────────────────────────────────────▶      ▼ gap, where it was too slow
```

`Backplane` holds a `Hub` for each namespace and all sessions; `docs/streams.md` says what goes over the wire.
"""
