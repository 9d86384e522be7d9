"""A sampler partition as a state machine: one log entry in, blocks for serving partitions out.

What comes out is a function of the log's prefix alone: no clock, no randomness, no table order. The worker around it reads, sends
and commits.
"""

from typing import NamedTuple

import numpy as np

from dgs.codec.entries import BlockPack, LogEntry, RequestPack, control_json
from dgs.core.blocks import CONTROL, MARK, Blocks, single
from dgs.core.control import BARRIER, ControlItem
from dgs.core.deployment import Deployment
from dgs.core.errors import CodecError
from dgs.core.partition import partitions_of
from dgs.core.records import EdgeRecords, RecordBatch, VertexRecords
from dgs.core.requests import PING, SUBSCRIBE
from dgs.core.reservoir import EdgeColumns
from dgs.core.types import Bools, Int32s, Int64s, PartitionIndex, Position, Records, UInt64s
from dgs.sampler.check import check_records
from dgs.sampler.state import Rows, SamplerState
from dgs.store.base import Batch, Store


class Emission(NamedTuple):
    """Items for one serving partition: numbers `first`, `first` + 1, … of the channel to it."""

    destination: int
    first: int
    blocks: Blocks


class Changed(NamedTuple):
    """What an entry changed in one operator's rows: the blocks, and the vertex row of each."""

    rows: Rows
    vertices: Int32s
    blocks: Blocks


class SamplerMachine:
    """Applies the entries of one partition of `record-batches`, in order, each once.

    Attributes:
        duplicates, gaps: items of channels that were dropped because they had been applied, or because one before them is missing.
    """

    def __init__(self, deployment: Deployment, partition: PartitionIndex, store: Store) -> None:
        self.state = SamplerState(deployment, partition, store)
        self.duplicates = 0
        self.gaps = 0

    def begin(self) -> list[Emission]:
        """Apply the orders that come before the log, unless the store has them already; return what that emits."""
        orders = self.state.deployment.first_orders[self.state.control :]
        return [emission for order in orders for emission in self._control(order)]

    def apply(self, entry: LogEntry, position: Position) -> list[Emission]:
        """Apply the entry that ends at `position`; return what it emits, in the order of each channel.

        Raises:
            CodecError: the entry does not fit the schema or this partition; nothing was applied, see `pass_over`.
        """
        self.state.position = position
        if isinstance(entry, RecordBatch):
            return self._records(entry)
        if isinstance(entry, RequestPack):
            return self._requests(entry)
        if isinstance(entry, ControlItem):
            return self._control(entry)
        assert isinstance(entry, BlockPack)
        raise CodecError("blocks do not belong into record-batches")

    def pass_over(self, position: Position) -> None:
        """Count an entry that cannot be read as read: it ends at `position`."""
        self.state.position = position

    def cut(self) -> Batch:
        """Return all changes since the last cut as one commit."""
        return self.state.cut()

    def committed(self) -> None:
        """The last cut is durable."""
        self.state.committed()

    # Records ----------------------------------------------------------------------------------------------------------------

    def _records(self, batch: RecordBatch) -> list[Emission]:
        state = self.state
        check_records(batch, state.catalog.layouts, state.deployment, state.partition)
        touched: dict[int, list[Int32s]] = {}
        for group in batch.groups:
            if isinstance(group, VertexRecords):
                touched.setdefault(group.vtype, []).append(self._vertex_records(group, batch.strings))
            else:
                self._edge_records(group, batch.strings)
            if len(group.timestamps):
                newest = int(group.timestamps.max())
                state.watermark = newest if state.watermark is None else max(newest, state.watermark)
        features = {vtype: np.unique(np.concatenate(rows)) for vtype, rows in touched.items()}
        for vtype, vertices in features.items():
            state.dirty_features[vtype].append(vertices)
        changes = []
        for rows in state.rows.values():
            if rows.reservoir is not None:
                changes.append(self._edge_changes(rows))
            elif len(vertices := features.get(rows.operator.vtype, np.zeros(0, np.int32))):
                ids = state.vertices[rows.operator.vtype].ids[vertices]
                order = np.argsort(ids)
                blocks = state.features[rows.operator.vtype].differences(rows.operator.id, vertices[order], ids[order])
                changes.append(Changed(rows, vertices[order], blocks))
        emissions = self._route([c for c in changes if len(c.blocks)])
        state.sweep_strings()
        return emissions

    def _vertex_records(self, group: VertexRecords, strings: list[bytes]) -> Int32s:
        state, layout = self.state, self.state.catalog.layouts.vertex[group.vtype]
        payload = layout.widen(group.payload)
        state.strings.adopt(payload, layout.string_offsets, strings)
        return state.features[group.vtype].offer(state.vertices[group.vtype].intern(group.ids), group.timestamps, payload)

    def _edge_records(self, group: EdgeRecords, strings: list[bytes]) -> None:
        state, layout = self.state, self.state.catalog.layouts.edge[group.etype]
        payload = layout.widen(group.payload)
        state.strings.adopt(payload, layout.string_offsets, strings)
        edges = EdgeRecords(group.etype, group.src_type, group.dst_type, group.src, group.dst, group.timestamps, payload)
        state.history.put(edges, layout)
        takers = [
            rows.reservoir
            for rows in state.rows.values()
            if rows.reservoir is not None and (rows.operator.etype, rows.operator.vtype) == (group.etype, group.src_type)
        ]
        if takers:
            vertices = state.vertices[group.src_type].intern(group.src)
            columns = EdgeColumns(group.src, group.dst, group.timestamps, payload)
            for reservoir in takers:
                reservoir.offer(vertices, columns, group.dst_type)

    def _edge_changes(self, rows: Rows) -> Changed:
        state, operator, reservoir = self.state, rows.operator, rows.reservoir
        assert reservoir is not None
        assert operator.etype is not None
        ids = state.vertices[operator.vtype].ids
        for vertex in reservoir.refills():
            edges, dst_types = state.history.edges_of(operator.etype, operator.vtype, int(ids[vertex]), reservoir.layout)
            reservoir.refill(int(vertex), edges, dst_types)
        vertices, blocks = reservoir.differences(ids)
        if len(vertices):
            rows.dirty.append(vertices)
        return Changed(rows, vertices, blocks)

    def _route(self, changes: list[Changed]) -> list[Emission]:
        """Send every block to the row's subscribers, and to the seed's serving partition if its operator is fed."""
        state = self.state
        if not changes:
            return []
        pool = self._exported([(c.rows, c.blocks) for c in changes])
        emissions = []
        masks = [c.rows.subscribers.reserve(int(c.vertices.max()) + 1)[c.vertices] for c in changes]
        homes = [
            partitions_of(c.blocks.heads["vertex"], state.deployment.serving_partitions) if c.rows.operator.fed else None
            for c in changes
        ]
        for s in range(state.deployment.serving_partitions):
            goes: list[Bools] = []
            for mask, home in zip(masks, homes, strict=True):
                subscribed = (mask[:, s >> 6] >> np.uint64(s & 63) & np.uint64(1)).astype(np.bool_)
                goes.append(subscribed if home is None else subscribed | (home == s))
            which = np.flatnonzero(np.concatenate(goes))
            if len(which):
                emissions.append(self._emit(s, pool if len(which) == len(pool) else pool.take(which)))
        return emissions

    def _exported(self, parts: list[tuple[Rows, Blocks]]) -> Blocks:
        """Join blocks of operators; string references leave this machine as indices into the texts that go along."""
        if any(self.state.catalog.layout(rows.operator).string_offsets for rows, _ in parts):
            payloads = [
                (blocks.payload.reshape(-1, layout.width), layout.string_offsets)
                for rows, blocks in parts
                for layout in [self.state.catalog.layout(rows.operator)]
            ]
            exported, strings = self.state.strings.export(payloads)
            parts = [
                (rows, Blocks(b.heads, b.additions, b.removals, payload.reshape(-1), strings))
                for (rows, b), payload in zip(parts, exported, strict=True)
            ]
        return Blocks.concat([blocks for _, blocks in parts])

    def _emit(self, destination: int, blocks: Blocks) -> Emission:
        first = self.state.sent[destination] + 1
        self.state.sent[destination] += len(blocks)
        return Emission(destination, first, blocks)

    # Requests ---------------------------------------------------------------------------------------------------------------

    def _requests(self, pack: RequestPack) -> list[Emission]:
        state = self.state
        if pack.generation != state.deployment.generation or pack.sender >= len(state.received):
            raise CodecError(f"requests of serving partition {pack.sender} in generation {pack.generation}")
        unknown = set(pack.requests["operator"][pack.requests["kind"] != PING].tolist()) - set(state.rows)
        if unknown:
            raise CodecError(f"requests for operators {sorted(unknown)}, which no query has")
        seen = state.received[pack.sender] + 1 - pack.first
        if seen < 0:
            self.gaps += len(pack.requests)
            return []
        self.duplicates += min(seen, len(pack.requests))
        requests = pack.requests[seen:]
        if not len(requests):
            return []
        numbers = np.arange(len(requests), dtype=np.uint64) + np.uint64(pack.first + seen)
        state.received[pack.sender] = pack.first + len(pack.requests) - 1
        answers: list[tuple[Int64s, Blocks]] = []
        for at in np.flatnonzero(requests["kind"] == PING):
            ping = requests[at]
            mark = single(MARK, vertex=int(ping["vertex"]), operator=int(ping["operator"]), count=int(ping["count"]))
            answers.append((np.array([at]), mark))
        wholes = []
        for rows in state.rows.values():
            own = np.flatnonzero((requests["operator"] == rows.operator.id) & (requests["kind"] != PING))
            if len(own):
                asked, blocks = self._subscriptions(rows, pack.sender, requests[own], numbers[own])
                if len(asked):
                    wholes.append((rows, blocks))
                    answers.append((own[asked], blocks))
        if not answers:
            return []
        marks = [blocks for _, blocks in answers[: len(answers) - len(wholes)]]
        pool = Blocks.concat([*marks, self._exported(wholes)]) if wholes else Blocks.concat(marks)
        order = np.argsort(np.concatenate([at for at, _ in answers]))
        return [self._emit(pack.sender, pool.take(order))]

    def _subscriptions(self, rows: Rows, sender: int, requests: Records, numbers: UInt64s) -> tuple[Int64s, Blocks]:
        """Note who subscribes; return which requests want the whole row, and the rows."""
        state, operator = self.state, rows.operator
        ids = np.ascontiguousarray(requests["vertex"])
        vertices = state.vertices[operator.vtype].intern(ids)
        words = rows.subscribers.reserve(int(vertices.max()) + 1)[:, sender >> 6]
        bit = np.uint64(1 << (sender & 63))
        last_rows, last = np.unique(vertices[::-1], return_index=True)  # of several requests for a row the last one decides
        subscribes = requests["kind"][::-1][last] == SUBSCRIBE
        words[last_rows] = np.where(subscribes, words[last_rows] | bit, words[last_rows] & ~bit)
        rows.dirty.append(last_rows)
        asked = np.flatnonzero(requests["kind"] == SUBSCRIBE)
        if rows.reservoir is not None:
            return asked, rows.reservoir.whole(vertices[asked], ids[asked], numbers[asked])
        return asked, state.features[operator.vtype].whole(operator.id, vertices[asked], ids[asked], numbers[asked])

    # Control ----------------------------------------------------------------------------------------------------------------

    def _control(self, item: ControlItem) -> list[Emission]:
        state = self.state
        if item.number <= state.control:
            self.duplicates += 1
            return []
        if item.number > state.control + 1:
            self.gaps += 1
            return []
        state.control = item.number
        if item.kind == BARRIER:
            item_out = single(MARK, vertex=item.body["id"], operator=1, count=item.body["rounds"])
        else:
            state.take_control(item)
            item_out = single(CONTROL, echo=item.number, payload=control_json(item))
        return [self._emit(s, item_out) for s in range(state.deployment.serving_partitions)]
