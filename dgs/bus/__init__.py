"""Partitioned, append-only logs: the interface (`base`) and its implementations, chosen by URL.

Workers, coordinator and loader import `dgs.bus.base`; only the composition root calls `open_bus`. Nothing here knows what is in an
entry, or who reads what.
"""

from dgs.bus.open import open_bus

__all__ = ["open_bus"]
