"""Measurements: each gives ours, a floor of the same machine in the same run, and their ratio. `python -m perf` runs them all."""
