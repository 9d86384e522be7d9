"""Data to try the service with, made from a seed; the service itself never imports it."""
