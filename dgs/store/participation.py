"""How a partition takes part in checkpoints: when one is asked for, its durable state goes to the destination.

It runs beside a worker and never touches its machine. A state is durable only when all that was emitted up to it is acknowledged,
so any durable state will do, and the logs have what follows. What states are made of is for those who send them:
`dgs.sampler.checkpoints` and `dgs.serving.checkpoints`.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeVar

from dgs.store.checkpoints import Checkpoints
from dgs.store.destination import Destination
from dgs.store.manifest import Part
from dgs.store.objects import Objects
from dgs.store.uploads import Uploader, Uploads
from dgs.telemetry import logs

POLL_S = 0.2
"""How often it looks whether a checkpoint is asked for."""

_log = logs.get(__name__)
T = TypeVar("T")


class SendingPartition(Protocol):
    """A partition that sends its state."""

    @property
    def name(self) -> str:
        """Its name as a part: `sampler-0`."""

    async def prepare(self) -> None:
        """See to it that the state that `send` will find is as new as may be.

        Raises:
            OSError: the disk refuses.
        """

    def send(self, objects: Objects) -> Part:
        """Send it; blocks.

        Raises:
            OSError: the disk or the destination refuses.
            CodecError: the state is damaged.
        """

    def clean_up(self) -> None:
        """Remove what was made for that; blocks."""


class Sending:
    """What the partitions of one process send with: one at a time, so that together they keep to one pace.

    Args:
        destination: returns where checkpoints go now.
        opened: opens a destination; in a thread.
        uploading: returns what sends files to a destination.
    """

    def __init__(
        self,
        destination: Callable[[], str],
        opened: Callable[[str], Checkpoints],
        uploading: Callable[[Destination], Uploads] = Uploader,
    ) -> None:
        self._destination = destination
        self._opened = opened
        self._uploading = uploading
        self._turn = asyncio.Lock()
        self._open: tuple[str, Checkpoints, Uploads] | None = None
        self._stopped = False

    async def run(self, function: Callable[[Checkpoints, Uploads], T]) -> T:
        """Call a function in a thread, when it is its turn."""
        async with self._turn:
            return await asyncio.to_thread(lambda: function(*self._now_open()))

    def stop(self) -> None:
        """Let what is under way, and whatever follows, end with an error."""
        self._stopped = True
        self._close()

    def _close(self) -> None:
        if self._open is not None:
            self._open[2].stop()

    def _now_open(self) -> tuple[Checkpoints, Uploads]:
        wanted = self._destination()
        if self._open is None or self._open[0] != wanted:
            self._close()
            checkpoints = self._opened(wanted)
            self._open = wanted, checkpoints, self._uploading(checkpoints.destination)
        if self._stopped:  # while it was opened
            raise OSError("the process is stopping")
        return self._open[1:]


class Participation:
    """Takes part for one partition.

    Args:
        partition: which.
        asked: returns the id of the checkpoint that is being created, if one is.
        sending: that of the process.
    """

    def __init__(self, partition: SendingPartition, asked: Callable[[], str | None], sending: Sending) -> None:
        self._partition = partition
        self._asked = asked
        self._sending = sending
        self._objects: Objects | None = None
        self._done: str | None = None

    async def run(self) -> None:
        """Take part until cancelled; what fails is told to whoever creates the checkpoint."""
        while True:
            asked = self._asked()
            if asked is not None and asked != self._done:
                await self._take_part(asked)
                self._done = asked
            await asyncio.sleep(POLL_S)

    async def _take_part(self, checkpoint: str) -> None:
        name = self._partition.name
        try:
            await self._partition.prepare()
            part = await self._sending.run(lambda checkpoints, uploads: self._send(checkpoints, uploads, checkpoint))
            _log.info("part of a checkpoint sent", part=name, checkpoint=checkpoint, position=part.position)
        except Exception as e:  # the worker goes on whatever it is
            _log.error("no part in the checkpoint", part=name, checkpoint=checkpoint, cause=e)
            why = str(e)
            with suppress(Exception):  # a destination that refuses is seen by the one who creates the checkpoint, too
                await self._sending.run(lambda checkpoints, _: checkpoints.put_failure(checkpoint, name, why))
        finally:
            await asyncio.to_thread(self._partition.clean_up)

    def _send(self, checkpoints: Checkpoints, uploads: Uploads, checkpoint: str) -> Part:
        if self._objects is None or self._objects.destination is not checkpoints.destination:
            self._objects = Objects(checkpoints.destination, uploads)
        self._objects.reset()
        part = self._partition.send(self._objects)
        checkpoints.put_part(checkpoint, part)
        return part
