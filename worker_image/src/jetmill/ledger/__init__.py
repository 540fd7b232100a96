"""The steps of the ledger protocol over the ports of the bus, one module for each.

```
submit   enqueue, now or later (rule 1)          cancel   before and during the run (rule 5)
claim    a hint becomes a claim (rules 2-4)      reopen   retry, discard and reschedule by a person (rule 6)
settle   a claim becomes an outcome (rules 3, 4) keeper   lost hints, cancel pushes, retention (rule 7)
gate     who holds a key (rule 9)                verify   proves the invariants on a whole ledger
```

Whoever writes a record goes through here: workers, clients and the operator hold no protocol of their own.
"""
