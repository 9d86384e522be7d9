"""Services on Kafka."""

from tests.e2e.conftest import graph, new_service

__all__ = ["graph", "new_service"]
