"""The items of a log entry one by one, as bytes that do not depend on how they were packed."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from dgs.codec.entries import BlockPack, RequestPack
from dgs.core.blocks import SLOT, WHOLE, Blocks
from dgs.core.catalog import Catalog


class Item(NamedTuple):
    """An item of the channel from one partition of a kind: its number, and what it is."""

    sender: int
    number: int
    content: bytes


def items_of(entry: BlockPack | RequestPack, catalog: Catalog) -> Iterator[Item]:
    """Yield the items of an entry; the catalog tells where payloads refer to texts."""
    if isinstance(entry, RequestPack):
        raw, size = entry.requests.tobytes(), entry.requests.dtype.itemsize
        for i in range(len(entry.requests)):
            yield Item(entry.sender, entry.first + i, raw[i * size : (i + 1) * size])
        return
    for number, content in enumerate(_blocks(entry.blocks, catalog), entry.first):
        yield Item(entry.sender, number, content)


def _blocks(blocks: Blocks, catalog: Catalog) -> Iterator[bytes]:
    heads, additions, removals, payload = (c.tobytes() for c in (blocks.heads, blocks.additions, blocks.removals, blocks.payload))
    size = blocks.heads.dtype.itemsize
    texts = _texts(blocks, catalog) if blocks.strings else []
    a = r = p = 0
    columns = (blocks.heads[name].tolist() for name in ("added", "removed", "payload_bytes"))
    for i, (added, removed, payload_bytes) in enumerate(zip(*columns, strict=True)):
        ends = a + added * SLOT.itemsize, r + removed * 2, p + payload_bytes
        own = payload[p : ends[2]]
        if texts:
            own = texts[i]
        yield b"".join((heads[i * size : (i + 1) * size], additions[a : ends[0]], removals[r : ends[1]], own))
        a, r, p = ends


def _texts(blocks: Blocks, catalog: Catalog) -> list[bytes]:
    """Return each block's payload with texts in place of what refers to them."""
    operators = {o.id: o for o in catalog.operators.operators}
    found, at = [], 0
    for head in blocks.heads:
        size, added = int(head["payload_bytes"]), int(head["added"])
        payload = blocks.payload[at : at + size].copy()
        at += size
        texts: list[bytes] = []
        if head["kind"] <= WHOLE and added:
            rows = payload.reshape(added, -1)
            for offset in catalog.layout(operators[int(head["operator"])]).string_offsets:
                for reference in np.ascontiguousarray(rows[:, offset : offset + 8]).view(np.uint64)[:, 0].tolist():
                    texts.append(blocks.strings[reference - 1] if reference else b"")
                rows[:, offset : offset + 8] = 0
        found.append(b"\0".join((payload.tobytes(), *texts)))
    return found
