"""A stream of events from a source to the bus: read, map, send, and only then commit how far it has come.

What a crash leaves uncommitted is read and sent again, which changes nothing. It never decides what a signal means, nor what to do
about an error; the command does.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from dgs_loader.dead_letters import DeadLetterFile
from dgs_loader.events import Event, lines_of
from dgs_loader.mapping import EventMapping
from dgs_loader.pipeline import Pipeline
from dgs_loader.progress import Progress

COMMIT_INTERVAL_S = 1.0
"""Between commits, at least: as much is read again after a crash."""
DRAIN_S = 10.0
"""How long what is under way may take once the stream is stopped: the bus may take nothing, and the service may be far behind."""
_READ_S = 0.2
"""How often a source that has nothing is asked whether the stream was stopped meanwhile."""


class Source(Protocol):
    """Where events come from; see `dgs_loader.kafka_source`."""

    @property
    def ended(self) -> bool:
        """Whether all has been read that was there at the start."""

    async def read(self, wait_s: float) -> list[Event]:
        """Return the next events, [] where none come within the time."""

    def loaded(self) -> None:
        """Take note that all that was read is loaded."""

    async def commit(self) -> None:
        """Keep how far it has been loaded."""


class Stream:
    """Loads what a source has.

    Args:
        source: of the events.
        mapping: what they stand for.
        pipeline: where the lines of their records go.
        letters: for events that cannot be loaded.
        progress: told after every read.
        tell: told what goes wrong and is tried again.

    Attributes:
        passed: how many events stood for nothing.
    """

    def __init__(
        self,
        source: Source,
        mapping: EventMapping,
        pipeline: Pipeline,
        letters: DeadLetterFile,
        progress: Progress,
        tell: Callable[[str], None],
    ) -> None:
        self.passed = 0
        self._source = source
        self._mapping = mapping
        self._pipeline = pipeline
        self._letters = letters
        self._progress = progress
        self._tell = tell
        self._failing = False

    async def load(self, stopped: asyncio.Event, *, until_end: bool) -> None:
        """Load until it is stopped, or the end as it was at the start; everything that was read is committed then, as a rule.

        Raises:
            OSError: the source failed, or the last commit did.
            DgsError: the source, the bus or the service does not go on; says why.
        """
        loading = asyncio.create_task(self._load(stopped, until_end=until_end))
        stopping = asyncio.create_task(stopped.wait())
        try:
            await asyncio.wait([loading, stopping], return_when=asyncio.FIRST_COMPLETED)
            done, _ = await asyncio.wait([loading], timeout=DRAIN_S)
            if not done:
                self._pipeline.give_up()
                self._tell(f"what was under way is given up after {DRAIN_S:g} s; the next start reads it again")
        finally:
            stopping.cancel()
            loading.cancel()
            await asyncio.wait([loading])
        if not loading.cancelled():
            await loading
        await self._source.commit()

    async def _load(self, stopped: asyncio.Event, *, until_end: bool) -> None:
        clock = asyncio.get_running_loop().time
        commit_at_s = clock() + COMMIT_INTERVAL_S
        while not stopped.is_set() and not (until_end and self._source.ended):
            await self._take(await self._source.read(_READ_S))
            if clock() >= commit_at_s:
                await self._commit()
                commit_at_s = clock() + COMMIT_INTERVAL_S

    async def _take(self, events: list[Event]) -> None:
        if events:
            lines = lines_of(events, self._mapping)
            self._letters.write(lines.letters)
            if lines.origins:
                await self._pipeline.send(lines.block, lines.letter)
            self.passed += lines.passed
            self._progress.advance(len(events), sum(len(event.value) for event in events), self._letters.count)
        self._source.loaded()

    async def _commit(self) -> None:
        """Commit; what fails is tried again with the next one, and said once."""
        try:
            await self._source.commit()
        except OSError as e:
            if not self._failing:
                self._tell(f"{e}; it is tried again")
            self._failing = True
        else:
            self._failing = False
