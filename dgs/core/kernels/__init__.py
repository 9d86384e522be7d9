"""Compiled loops over the core's arrays; the only modules that import numba."""
