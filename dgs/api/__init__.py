"""The edges of the service: HTTP routes that translate, and the data plane that they translate to."""

from dgs.api.asgi import make_app
from dgs.api.dataplane import ServingPartition

__all__ = ["ServingPartition", "make_app"]
