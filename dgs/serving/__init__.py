"""Serving partitions: blocks in, ego-graphs out."""
