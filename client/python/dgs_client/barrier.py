"""A barrier as a service shows it: a name for "all that was loaded so far", and how far that is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Barrier:
    """A barrier.

    Attributes:
        name: its name.
        state: NOT_SET, PRODUCED, SAMPLED or READY.
        count: how many loaders set it together; None while nobody has.
        loaders: those that have set it.
    """

    name: str
    state: str
    count: int | None
    loaders: tuple[int, ...]

    @property
    def ready(self) -> bool:
        """Whether all that was loaded before it is in the answers."""
        return self.state == "READY"
