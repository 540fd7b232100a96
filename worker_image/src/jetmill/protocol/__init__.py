"""The protocol as pure functions and plain data: no I/O, no clock, no chance; all who write the ledger share it."""
