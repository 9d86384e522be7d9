"""Logs, health and metrics of a process."""
