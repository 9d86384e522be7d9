"""Sampler partitions: records in, blocks out."""
