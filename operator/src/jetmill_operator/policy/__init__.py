"""Decisions, pure: values in, values out. Nothing here reads, writes, waits, looks at a clock or throws a die."""
