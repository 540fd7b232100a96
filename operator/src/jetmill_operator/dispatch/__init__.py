"""The dispatcher: from what happens to what follows. Any number of its processes work together, without a leader."""
