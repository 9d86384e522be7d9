"""A serving partition as a state machine: packs of blocks in; requests to sampler partitions and finished barrier rounds out.

Items are applied one by one in the order of the log; how they were packed into entries has no meaning, and nothing that comes out
depends on it. Work is done for many items at a time where their order cannot be told from outside: see `_apply_rows`.
"""

from collections.abc import Sequence

import numpy as np

from dgs.codec.entries import BlockPack, LogEntry, read_control_json
from dgs.core.blocks import CONTROL, MARK, SLOT, WHOLE, Blocks
from dgs.core.deployment import Deployment
from dgs.core.errors import CodecError, DivergedError, StateError
from dgs.core.kernels.replica import apply_edge_blocks, apply_vertex_blocks
from dgs.core.layout import Layout
from dgs.core.requests import PING, REQUEST
from dgs.core.rows import RowTable
from dgs.core.types import Bytes, Int32s, Int64s, PartitionIndex, Records
from dgs.serving import needs
from dgs.serving.effects import Effects, RoundDone
from dgs.serving.needs import Deltas
from dgs.serving.run import Run, runs_of
from dgs.serving.state import Rows, ServingState


class ServingMachine:
    """Applies the entries of one partition of `sample-batches`, in order, each once.

    Attributes:
        duplicates, gaps: items that were dropped because they had been applied, or because one before them is missing.
        ignored: blocks of rows that are neither fed nor subscribed, or that wait for another subscribe.
        answered: per sampler partition, the largest number of a subscribe that it has answered: all up to there has reached it.
    """

    def __init__(self, deployment: Deployment, partition: PartitionIndex, state: ServingState | None = None) -> None:
        """Make a machine that has seen nothing, or one that goes on from a state that was restored."""
        self.state = ServingState(deployment, partition) if state is None else state
        self.duplicates = 0
        self.gaps = 0
        self.ignored = 0
        self.answered = [0] * deployment.partitions

    def checked(self, entry: LogEntry) -> BlockPack:
        """Return an entry as what can be applied, in one or in pieces.

        Raises:
            CodecError: the entry does not belong here.
        """
        if not isinstance(entry, BlockPack):
            raise CodecError("only blocks belong into sample-batches")
        if entry.generation != self.state.deployment.generation or entry.sender >= len(self.state.received):
            raise CodecError(f"blocks of sampler partition {entry.sender} in generation {entry.generation}")
        return entry

    def apply(self, entries: Sequence[LogEntry]) -> Effects:
        """Apply entries, or pieces of them, in order.

        Raises:
            CodecError: as `checked`; nothing of them has been applied.
            StateError: the log is not this deployment's, or (DivergedError) a row is not what the sampler says that it is. The
                state must not be used any more.
        """
        state, packs, effects = self.state, [self.checked(entry) for entry in entries], Effects()
        for run in runs_of([(pack.sender, blocks) for pack in packs if len(blocks := self._next_items(pack))]):
            self._apply_items(run, effects)
            state.sweep_strings()
        for pack in packs:
            note = pack.note
            if note is not None and state.received[pack.sender] >= note.number and note.position >= state.positions[pack.sender]:
                if note.oldest >= state.positions[pack.sender]:
                    effects.news.append(note)
                state.positions[pack.sender] = note.position
                state.watermarks[pack.sender] = note.watermark
        return effects

    def _next_items(self, pack: BlockPack) -> Blocks:
        """Return those items of a pack that are the next of their channel: not those that came before, and none behind a gap."""
        state, blocks, count = self.state, pack.blocks, len(pack.blocks)
        seen = state.received[pack.sender] + 1 - pack.first
        if seen < 0:
            self.gaps += count
            return Blocks.concat([])
        self.duplicates += min(seen, count)
        if seen >= count:
            return Blocks.concat([])
        if seen:
            blocks = blocks.take(np.arange(seen, count))
        state.received[pack.sender] = pack.first + count - 1
        wholes = blocks.heads["kind"] == WHOLE
        self.answered[pack.sender] = max(self.answered[pack.sender], int(blocks.heads["echo"][wholes].max(initial=0)))
        return blocks

    def _apply_items(self, run: Run, effects: Effects) -> None:
        """Apply items in shorter runs: they end at marks, at control items, where a sweep is due, and as `_apply_rows` says."""
        state, heads, every = self.state, run.blocks.heads, self.state.deployment.idle_items
        special = np.flatnonzero((heads["kind"] == MARK) | (heads["kind"] == CONTROL))
        at = 0
        while at < len(heads):
            k = np.searchsorted(special, at)
            end = int(special[k]) if k < len(special) else len(heads)
            if end == at:
                end = at + 1
                item = run.slice(at, end)
                if heads["kind"][at] == MARK:
                    self._mark(int(item.senders[0]), item.blocks.heads[0], effects)
                else:
                    self._pass_control(item.blocks.payload.tobytes())
            else:
                end = min(end, at + every - state.applied % every)
                end = run.early_answer(at, end, state.sent) or end
                self._apply_rows(run.slice(at, end).blocks, effects)
            state.applied += end - at
            at = end
            if state.applied % every == 0:
                needs.sweep(state, effects)

    def _pass_control(self, payload: bytes) -> None:
        try:
            item = read_control_json(payload)
        except CodecError as e:  # items before it have been applied, and passing over a numbered one would lose all behind it
            raise StateError(f"a control item in sample-batches cannot be read ({e}): another program has written it") from None
        if item.number > self.state.control:  # every sampler partition sends a copy, in order; the first one acts
            self.state.take_control(item)

    def _mark(self, sender: int, head: Records, effects: Effects) -> None:
        state = self.state
        barrier, this, rounds = int(head["vertex"]), int(head["operator"]), int(head["count"])
        came = state.marks.setdefault((barrier, this), set())
        came.add(sender)
        if len(came) < state.deployment.partitions:
            return
        del state.marks[barrier, this]
        effects.rounds_done.append(RoundDone(barrier, this, rounds))
        if this < rounds:
            ping = np.array([(PING, this + 1, barrier, rounds)], REQUEST)
            for p in range(state.deployment.partitions):
                effects.emit(state, p, ping)
        else:
            state.barrier = max(state.barrier, barrier)

    # Rows -------------------------------------------------------------------------------------------------------------------

    def _apply_rows(self, blocks: Blocks, effects: Effects) -> None:
        """Apply a run of blocks, operator by operator, and then account for what their slots name, item by item.

        Whether a row takes a block depends, within a run, on blocks of that row only: no run holds the answer to a subscribe that
        it leads to (in a replay that may follow soon), and rows are dropped between runs. So the order between operators does not
        show.
        """
        deltas: dict[int, Deltas] = {}
        operators = np.unique(blocks.heads["operator"])
        for number in operators.tolist():
            rows = self.state.rows.get(number)
            if rows is None:
                raise StateError(f"the log has blocks of operator {number}, which no query has: it belongs to another deployment")
            which = np.flatnonzero(blocks.heads["operator"] == number) if len(operators) > 1 else np.arange(len(blocks))
            own = blocks.take(which) if len(operators) > 1 else blocks
            ids = np.ascontiguousarray(own.heads["vertex"])
            fed = self.state.fed(rows.operator, ids)
            vertices = self._vertices(rows, ids, fed)
            if rows.table is not None:
                deltas[number] = self._edge_blocks(rows, rows.table, own, which.astype(np.int32), vertices, fed)
            else:
                self._vertex_blocks(rows, own, vertices, fed)
        needs.account(self.state, deltas, effects)

    def _vertices(self, rows: Rows, ids: Int64s, fed: Int32s) -> Int32s:
        """Rows of the blocks' vertices; a vertex that nobody has named before gets one only if its row is fed."""
        index = self.state.vertices[rows.operator.vtype]
        if fed.all():
            vertices = index.intern(ids)
        else:
            if fed.any():
                index.intern(ids[fed != 0])
            vertices = index.find(ids)
        rows.reserve(index.used, len(ids))
        if rows.image is not None:
            rows.image.preserve(vertices)
        return vertices

    def _edge_blocks(self, rows: Rows, table: RowTable, own: Blocks, items: Int32s, vertices: Int32s, fed: Int32s) -> Deltas:
        layout = self.state.catalog.layout(rows.operator)
        additions = own.additions
        payload = self._payload(own, layout)
        dst_rows: Int32s = np.zeros(len(additions), np.int32)
        dst_types = np.unique(additions["dst_type"]).tolist()
        if not self.state.vertices.keys() >= set(dst_types):
            raise self._diverged(own.heads[0])
        for dst_type in dst_types:
            lead = additions["dst_type"] == dst_type
            dst_rows[lead] = self.state.vertices[dst_type].intern(np.ascontiguousarray(additions["dst"][lead]))
        sizes = np.zeros(4, np.int64)
        most = len(additions) + len(own) * table.fanout
        rows_gone, types, items_of = (np.empty(most, np.int32) for _ in range(3))
        deltas = Deltas(rows_gone, types, np.empty(most, np.int8), items_of)
        apply_edge_blocks(
            own.heads,
            items,
            vertices,
            fed,
            additions,
            dst_rows,
            own.removals,
            payload,
            table.fanout,
            table.row_of,
            table.counts,
            table.slots,
            table.payload,
            table.free,
            table.cursors,
            rows.states,
            rows.numbers,
            np.empty(table.fanout, SLOT),
            np.empty((table.fanout, table.width), np.uint8),
            deltas.rows,
            deltas.types,
            deltas.signs,
            deltas.items,
            sizes,
        )
        if sizes[2]:
            raise self._diverged(own.heads[sizes[2] - 1])
        self.ignored += int(sizes[1])
        rows.pending -= int(sizes[3])
        n = sizes[0]
        return Deltas(deltas.rows[:n], deltas.types[:n], deltas.signs[:n], deltas.items[:n])

    def _payload(self, own: Blocks, layout: Layout) -> Bytes:
        """Payloads of the additions, uint8 [n, width], their texts taken over; a sampler may still be at an older layout."""
        count = len(own.additions)
        if not count:
            return np.zeros((0, layout.width), np.uint8)
        width = len(own.payload) // count
        misfits = np.flatnonzero(own.heads["payload_bytes"] != own.heads["added"] * np.uint32(width))
        if width not in layout.widths or len(misfits):
            raise self._diverged(own.heads[misfits[0] if len(misfits) else 0])
        payload = own.payload.reshape(count, width)
        try:
            self.state.strings.adopt(payload, layout.string_offsets, own.strings)
        except CodecError:  # items before it may have been applied, so it is too late to pass the entry over
            raise self._diverged(own.heads[0]) from None
        return payload

    def _diverged(self, head: Records) -> DivergedError:
        state = self.state
        return DivergedError(
            f"serving partition {state.partition}: the row of operator {head['operator']}, vertex {head['vertex']} is not the "
            "sampler's; stop the service, keep its data directory, and report it: this is a fault of the program"
        )

    def _vertex_blocks(self, rows: Rows, own: Blocks, vertices: Int32s, fed: Int32s) -> None:
        records = rows.records
        assert records is not None
        layout, additions = self.state.catalog.layout(rows.operator), own.additions
        misfits = np.flatnonzero((own.heads["count"] > 1) | (own.heads["count"] != own.heads["added"]))
        if len(misfits):
            raise self._diverged(own.heads[misfits[0]])
        payload = self._payload(own, layout)
        ignored, arrived = apply_vertex_blocks(
            own.heads,
            vertices,
            fed,
            additions,
            payload,
            records.known,
            records.timestamps,
            records.payload,
            rows.states,
            rows.numbers,
        )
        self.ignored += ignored
        rows.pending -= arrived
