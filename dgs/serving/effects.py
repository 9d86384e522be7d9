"""What applying an entry leads to outside of a serving partition: requests to sampler partitions, and finished barrier rounds."""

from dataclasses import dataclass, field
from typing import NamedTuple

from dgs.codec.entries import Note
from dgs.core.types import Records
from dgs.serving.state import ServingState


class Emission(NamedTuple):
    """Requests to one sampler partition: numbers `first`, `first` + 1, … of the channel to it."""

    destination: int
    first: int
    requests: Records


class RoundDone(NamedTuple):
    """A barrier's mark of this round has come from every sampler partition."""

    barrier: int
    round: int
    rounds: int


@dataclass(slots=True)
class Effects:
    """What applying entries led to, in order; `news` are those of their notes whose oldest record batch is new here."""

    emissions: list[Emission] = field(default_factory=list)
    rounds_done: list[RoundDone] = field(default_factory=list)
    news: list[Note] = field(default_factory=list)

    def emit(self, state: ServingState, destination: int, requests: Records) -> int:
        """Number requests on the channel to a sampler partition; return the number of the first."""
        first = state.sent[destination] + 1
        state.sent[destination] += len(requests)
        self.emissions.append(Emission(destination, first, requests))
        return first
