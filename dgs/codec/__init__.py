"""Bytes ↔ core types: log entries, store keys and values, answers. Pure functions; every reader raises CodecError."""
