"""Measurements: each prints ours, a floor of the same machine in the same run, and their ratio."""
