"""Benchmarks against peers: every claim about speed comes from here, with the peer measured in the same run."""
