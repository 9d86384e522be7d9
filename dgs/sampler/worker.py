"""Drives one sampler partition: reads its log, lets the machine apply, sends what it emits, commits, and tells how far it is.

The steps of a commit: 1 cut at a position, 2 everything emitted up to there is acknowledged, 3 the cut is written, 4 the machine
forgets it. Applying goes on between 1 and 4. After a crash the machine starts from 3 and emits what follows again, with the same
numbers.
"""

import asyncio
from collections.abc import Callable

from dgs.backoff import Backoff
from dgs.bus.base import RECORDS, SAMPLES, Bus, Entry
from dgs.bus.dead_letters import DeadEntries, DeadEntry, DeadLetters
from dgs.bus.outbox import GapReport, Outbox
from dgs.bus.wakeup import Wakeup
from dgs.codec.entries import BlockPack, Note, decode_entry, encode_blocks
from dgs.core.blocks import Blocks
from dgs.core.deployment import Deployment
from dgs.core.errors import CodecError
from dgs.core.records import RecordBatch
from dgs.core.types import PartitionIndex, Position
from dgs.sampler.machine import Emission, SamplerMachine
from dgs.sampler.standby import Follower, Standby, StandbyOutbox
from dgs.store.base import Batch, Store
from dgs.telemetry import logs
from dgs.telemetry.figures import SamplerFigures
from dgs.troubles import Troubles

_log = logs.get(__name__)

READ_BYTES = 1 << 20
"""Of the log at a time."""
PACK_BYTES = 1 << 18
"""An entry of blocks is no larger, unless one block is."""
NOTE_INTERVAL_S = 0.1
"""Every serving partition hears at least this often while input moves."""
NOTE_PAUSE_S = 0.01
"""When input pauses, this long after the last notes those that lag hear of the end."""
IDLE_WAIT_S = 60.0
"""With nothing to do, wake up this often."""
UNSENT_BYTES_MOST = 32 << 20
UNCOMMITTED_BYTES_MOST = 256 << 20
"""Of the log, applied and not committed: reading pauses there."""
RETRY_FIRST_S, RETRY_MOST_S = 0.2, 5.0
"""Pauses between attempts to commit to a disk that refuses it."""
UNREADABLE, REFUSED = "unreadable", "refused"
"""Why an entry was passed over: its bytes are no entry; or it does not fit the schema or this partition."""


class SamplerWorker:
    """One sampler partition and the loop around it."""

    def __init__(
        self,
        deployment: Deployment,
        partition: PartitionIndex,
        bus: Bus,
        store: Store,
        *,
        clock: Callable[[], float],
        commit_interval_s: float,
        dead_letters: DeadLetters,
        troubles: Troubles | None = None,
        standby: Standby | None = None,
    ) -> None:
        self._deployment = deployment
        self._partition = partition
        self._bus = bus
        self._store = store
        self._clock = clock
        self._commit_interval_s = commit_interval_s
        self._dead = DeadEntries(dead_letters)
        self._troubles = troubles or Troubles()
        self.machine = SamplerMachine(deployment, partition, store)
        size, sent = deployment.serving_partitions, self.machine.state.sent
        self._standby = standby
        self._outbox = (
            Outbox(bus, SAMPLES, size, sent)
            if standby is None
            else StandbyOutbox(bus, SAMPLES, size, sent, after_s=standby.after_s)
        )
        self._packs: list[list[Emission]] = [[] for _ in range(deployment.serving_partitions)]
        self._pack_bytes = 0
        self._committed = self.machine.state.position
        self._applied_bytes = self._committed_bytes = 0
        self._noted = [Position(-1)] * deployment.serving_partitions
        self._oldest: list[tuple[int, int] | None] = [None] * deployment.serving_partitions
        self._records_applied = 0
        self._rejected: dict[str, int] = {}
        self._noted_at = self._cut_at = clock()
        self._committing = False
        self._commits = Wakeup()
        self._gaps = GapReport(f"{RECORDS}/{partition}")

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            StateError: position and log do not belong together.
            CodecError: the log itself is damaged.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._outbox.run())
                group.create_task(self._loop(group))
                if self._standby is not None and isinstance(self._outbox, StandbyOutbox):
                    size = self._deployment.serving_partitions
                    group.create_task(Follower(self._bus, self._partition, size, self._standby, self._outbox).run())
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None

    @property
    def stands_by(self) -> bool:
        """Whether it leaves writing to another copy."""
        return self._outbox.stands_by

    def figures(self) -> SamplerFigures:
        """Return what there is to tell about this partition at this moment."""
        machine = self.machine
        return SamplerFigures(
            machine.state.position,
            self._committed,
            self._records_applied,
            dict(self._rejected),
            machine.duplicates,
            machine.gaps,
            machine.state.nbytes,
        )

    async def _loop(self, group: asyncio.TaskGroup) -> None:
        state = self.machine.state
        _log.info("sampler partition starts", partition=self._partition, position=state.position)
        self._pack(self.machine.begin())
        self._flush()
        self._send_notes()
        while True:
            if not self.stands_by:
                self._bus.processed(RECORDS, self._partition, state.position)
            entries = await self._bus.read(RECORDS, self._partition, state.position, max_bytes=READ_BYTES, wait_s=self._wait_s())
            for entry in entries:
                self._apply(entry)
                if self._pack_bytes > PACK_BYTES:
                    self._flush()
                    await asyncio.sleep(0)  # other partitions of this process have their turn, and appends go out
            self._flush()
            since_notes_s = self._clock() - self._noted_at
            if since_notes_s >= (NOTE_INTERVAL_S if entries else NOTE_PAUSE_S):
                self._send_notes()
            if (
                not self._committing
                and state.position != self._committed
                and self._clock() >= self._cut_at + self._commit_interval_s
            ):
                self._committing, self._cut_at = True, self._clock()
                group.create_task(self._commit())
            await self._outbox.room(UNSENT_BYTES_MOST)
            await self._bounded()
            await asyncio.sleep(0)

    def _wait_s(self) -> float:
        """How long nothing is due but new entries."""
        now, due = self._clock(), IDLE_WAIT_S
        if min(self._noted) != self.machine.state.position:
            due = self._noted_at + NOTE_PAUSE_S - now
        if self.machine.state.position != self._committed and not self._committing:
            due = min(due, self._cut_at + self._commit_interval_s - now)
        return max(due, 0.001)

    def _apply(self, entry: Entry) -> None:
        self._applied_bytes += len(entry.data)
        reason, lost = UNREADABLE, 1
        try:
            decoded = decode_entry(entry.data)
            reason, lost = REFUSED, len(decoded) if isinstance(decoded, RecordBatch) else 1
            emissions = self.machine.apply(decoded, entry.next)
        except CodecError as e:
            self.machine.pass_over(entry.next)
            self._rejected[reason] = self._rejected.get(reason, 0) + lost
            self._dead.add(DeadEntry(RECORDS, self._partition, entry, str(e)))
            _log.error("entry passed over", topic=RECORDS, partition=self._partition, position=entry.position, cause=e)
            return
        if isinstance(decoded, RecordBatch):
            self._records_applied += len(decoded)
            if (appended := decoded.appended_ms) > 0:
                this = (appended, int(entry.position))
                self._oldest = [min(oldest or this, this) for oldest in self._oldest]
        self._pack(emissions)
        self._gaps.tell(self.machine.gaps)

    def _pack(self, emissions: list[Emission]) -> None:
        for emission in emissions:
            self._packs[emission.destination].append(emission)
            self._pack_bytes += emission.blocks.nbytes

    def _flush(self) -> None:
        """Send what was emitted so far, with a note of how far that is."""
        for destination, pack in enumerate(self._packs):
            if not pack:
                continue
            start = 0
            for i in range(1, len(pack)):
                if pack[i].blocks.strings or pack[i - 1].blocks.strings:  # runs with texts number them apart
                    self._send(destination, pack[start:i], None)
                    start = i
            self._send(destination, pack[start:], self._note(destination))
            pack.clear()
        self._pack_bytes = 0

    def _send_notes(self) -> None:
        """Tell those that have not heard it how far this partition is; everything emitted has been sent before."""
        self._noted_at = self._clock()
        for destination, noted in enumerate(self._noted):
            if noted != self.machine.state.position:
                self._send(destination, [], self._note(destination))

    def _note(self, destination: int) -> Note:
        state = self.machine.state
        self._noted[destination] = state.position
        appended_ms, oldest = self._oldest[destination] or (0, 0)
        self._oldest[destination] = None
        return Note(state.position, state.sent[destination], state.watermark, oldest, appended_ms)

    def _send(self, destination: int, emissions: list[Emission], note: Note | None) -> None:
        """Send items as entries of bounded size; the note, which is about all of them, goes with the last."""
        first = emissions[0].first if emissions else self.machine.state.sent[destination] + 1
        pieces = Blocks.concat([e.blocks for e in emissions]).pieces(PACK_BYTES)
        for piece in pieces:
            own_note = note if piece is pieces[-1] else None
            pack = BlockPack(self._deployment.generation, self._partition, first, piece, own_note)
            first += len(piece)
            told = -1 if own_note is None else own_note.position
            self._outbox.put(destination, first - 1, encode_blocks(pack), told)

    async def _commit(self) -> None:
        """Commit until nothing is left, as the loop may be asleep by the time that a slow disk has taken a cut."""
        while True:
            batch, numbers, applied_bytes = self.machine.cut(), list(self.machine.state.sent), self._applied_bytes  # 1
            await self._outbox.settled(numbers)  # 2
            await self._write(batch)  # 3
            self.machine.committed()  # 4
            self._committed, self._committed_bytes = batch.position, applied_bytes
            self._commits.ring()
            if self.machine.state.position == self._committed:
                break
            await asyncio.sleep(max(0.0, self._cut_at + self._commit_interval_s - self._clock()))
            self._cut_at = self._clock()
        self._committing = False

    async def _write(self, batch: Batch) -> None:
        """Write a cut, however long the disk refuses it; what it has passed over is kept before it counts as read."""
        what = f"the state of sampler partition {self._partition}"
        backoff = Backoff(RETRY_FIRST_S, RETRY_MOST_S)
        while True:
            try:
                self._dead.flush()
                self._store.write(batch)
            except OSError as e:
                self._troubles.begin(what, e)
                await asyncio.sleep(backoff.next())
            else:
                self._troubles.end(what)
                return

    async def _bounded(self) -> None:
        """Wait while commits are so far behind, as the disk takes none, that memory would fill with what they have to write."""
        while self._committing and self._applied_bytes - self._committed_bytes > UNCOMMITTED_BYTES_MOST:
            ring = self._commits.next_ring()
            await asyncio.shield(ring)
