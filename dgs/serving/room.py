"""Buffers that the requests to one serving partition share, as the kernel of a request sees them.

They grow to what the largest request has needed. Only `dgs.serving.lookup` uses them.
"""

from typing import Any

import numpy as np

from dgs.codec.messages import GRAPH_TAGS
from dgs.core.kernels.answer import ADDRESSES, DONE, OUT, ROOM, SCRATCH, WRITE, answer
from dgs.core.types import AnyArray, Bytes, Int32s, Int64s, Records

OUT_BYTES = 1 << 16
"""A larger message gets memory of its own, so that it is not copied."""
_BUFFERS = {
    "seeds": (np.int64, 64),
    "asked": (np.int32, 64),
    "places": (np.int32, 64),
    "distinct": (np.int64, 64),
    "scratch": (np.int32, 1 << 12),
    "addresses": (np.int64, 1 << 12),
    "bits": (np.uint8, 64),
    "out": (np.uint8, OUT_BYTES),
    "reflected": (np.uint8, 64),
    "tags": (np.uint8, len(GRAPH_TAGS)),
}
"""See `dgs.core.kernels.answer.ROOM`: types, and lengths to begin with."""
_FULL = {SCRATCH: "scratch", ADDRESSES: "addresses"}
_SEEDS_N, _SIZE, _PENDING = ((ROOM.names or ()).index(name) for name in ("seeds_n", "size", "pending"))
"""Fields of the record that every request sets or reads: as places in it they cost a tenth of what numpy's access takes."""
_LENGTHS = {name for name in _BUFFERS if f"{name}_n" in (ROOM.names or ())}


class Room:
    """The buffers, and the record that tells the kernel where they are."""

    def __init__(self) -> None:
        self._record: Records = np.zeros(1, ROOM)
        self._record["mark"] = 1
        self._fields = self._record.view(np.int64).data
        self._buffers: dict[str, Any] = {}
        self._views: dict[str, memoryview] = {}
        for name, (_, length) in _BUFFERS.items():
            self._enlarge(name, length)
        self._buffers["tags"][:] = np.frombuffer(GRAPH_TAGS, np.uint8)

    def __getitem__(self, name: str) -> AnyArray:
        """A buffer; take it anew after `run`."""
        found: AnyArray = self._buffers[name]
        return found

    @property
    def pending(self) -> int:
        """Rows of the last walk that have not arrived."""
        pending: int = self._fields[_PENDING]
        return pending

    def ask(self, seeds: Int64s, asked: Int32s) -> None:
        """Put seeds, int64 [s], and their places in the request, int32 [s], where the kernel finds them."""
        n = len(seeds)
        if n == 1:
            self._views["seeds"][0], self._views["asked"][0] = seeds.item(), asked.item()
        else:
            if n > len(self._buffers["seeds"]):
                for name in ("seeds", "asked", "places", "distinct"):
                    self._enlarge(name, n)
            self._buffers["seeds"][:n] = seeds
            self._buffers["asked"][:n] = asked
        self._fields[_SEEDS_N] = n

    def reflect(self, fields: bytes) -> None:
        """Let graphs from now on carry these fields, which say what they reflect."""
        if len(fields) > len(self._buffers["reflected"]):
            self._enlarge("reflected", 2 * len(fields))
        self._buffers["reflected"][: len(fields)] = np.frombuffer(fields, np.uint8)
        self._record["reflected_bytes"] = len(fields)

    def reserve_bits(self, presence_bytes: int) -> None:
        """Make room for the presence of attributes of payloads that begin with so many bytes."""
        if 2 * presence_bytes > len(self._buffers["bits"]):
            self._enlarge("bits", 2 * presence_bytes)

    def run(self, context: Records, stages: int) -> int:
        """Run the kernel, with larger buffers where it needs them; return DONE, STAMPS or, when the message is a large one, OUT."""
        while (code := answer(context, self._record, stages)) in _FULL:
            self._enlarge(_FULL[code], 2 * int(self._record["wanted"][0]))
        return code

    def forget_stamps(self) -> None:
        """Begin to count walks anew; whoever calls has taken away all tags."""
        self._record["stamp"] = 0

    def message(self, context: Records, code: int, before: bytes) -> bytes | memoryview:
        """Return `before` and the message of a `run` whose last stage was WRITE and that returned `code`."""
        size: int = self._fields[_SIZE]
        if code == DONE:
            return b"".join((before, self._views["out"][:size]))
        assert code == OUT, "nothing else is left to a message"
        out: Bytes = np.empty(len(before) + size, np.uint8)
        out[: len(before)] = np.frombuffer(before, np.uint8)
        self._record["out"], self._record["out_n"] = address_of(out) + len(before), size
        answer(context, self._record, WRITE)
        self._record["out"], self._record["out_n"] = address_of(self._buffers["out"]), len(self._buffers["out"])
        return out.data

    def _enlarge(self, name: str, length: int) -> None:
        buffer = np.empty(length, _BUFFERS[name][0])
        self._buffers[name], self._views[name], self._record[name] = buffer, buffer.data, address_of(buffer)
        if name in _LENGTHS:
            self._record[f"{name}_n"] = length


def address_of(array: AnyArray) -> int:
    """Return where an array begins in memory; it stays there while the array lives."""
    return int(array.__array_interface__["data"][0])
