"""`jetmill dev DIR`: everything that a cluster would run, on a laptop, from one command."""
