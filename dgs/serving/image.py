"""The image of a serving partition's state at a cut, taken in pieces while entries go on being applied.

Only while there is one, the machine says before it changes rows which ones (`RowsImage`); the copies are made by `dgs.core.image`.
What only grows (vertices, texts) is not watched, and what follows from the rest (free rows, idle rows, hash tables) is not kept. A
control item may give tables another shape: it abandons the image. `dgs.serving.snapshots` writes what comes out of here to a file,
and `dgs.serving.restore` reads it; nothing here knows of files.
"""

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from dgs.codec.entries import control_json
from dgs.core.image import Image, Part
from dgs.core.rows import USED, RowTable
from dgs.core.types import Bytes, Int32s, Position

if TYPE_CHECKING:
    from dgs.serving.state import ServingState

PIECE_BYTES = 1 << 20
"""As much is copied at a time, unless one row is larger."""
TEXTS_A_PIECE = 1024
NEEDS = ("needs", "states", "numbers", "idle_since")
"""Parts of an operator's rows that count who needs them; the others are the rows themselves."""


class RowsImage:
    """The image of one operator's rows.

    Args:
        images: by the names of `Rows.parts`.
        table: of an edge operator.
    """

    def __init__(self, images: dict[str, Image], table: RowTable | None) -> None:
        self._table = table
        self._needs = [images[name] for name in NEEDS]
        self._by_vertex = [images[name] for name in ("row_of", "known", "timestamps") if name in images]
        self._payload = [images[name] for name in ("counts", "slots", "payload") if name in images]

    def preserve_needs(self, vertices: Int32s) -> None:
        """Keep needs, states and numbers of vertex rows (int32 [n]) as they are; call it before they change."""
        for image in self._needs:
            image.preserve(vertices)

    def preserve(self, vertices: Int32s) -> None:
        """Keep all of vertex rows (int32 [n]) as it is; call it before any of it changes.

        A row that was free at the cut may be given out and change unseen: nothing of the image names it. One that was not is kept
        here when its vertex lets go of it.
        """
        self.preserve_needs(vertices)
        for image in self._by_vertex:
            image.preserve(vertices)
        rows = vertices if self._table is None else self._table.row_of[vertices]
        for image in self._payload:
            image.preserve(rows)


class StateImage:
    """What a state was when this object was made.

    Attributes:
        position: of the log; all before it is in the state.
        applied: how many items are in the state.
        sent: per sampler partition, the last number emitted up to the cut.
        meta: all that is no array, as JSON.
        abandoned: whether it has become useless; then take no more of it.
    """

    def __init__(self, state: "ServingState", position: Position) -> None:
        """Begin an image; a state has one at a time."""
        assert state.image is None, "an image is under way"
        self.position = position
        self.applied = state.applied
        self.sent = list(state.sent)
        self.abandoned = False
        self._state = state
        self._texts, self._texts_end = 1, state.strings.references_used
        parts = state.parts()
        self.meta = meta_of(state, position, parts)
        images = {name: Image(part) for name, part in parts.items()}
        self._images = list(images.values())
        self._images.reverse()  # taken from the end
        self._buffer: Bytes = np.empty(max([PIECE_BYTES, *(p.unit_bytes for p in parts.values())]), np.uint8)
        for number, rows in state.rows.items():
            prefix = f"rows/{number}/"
            own = {name.removeprefix(prefix): image for name, image in images.items() if name.startswith(prefix)}
            rows.image = RowsImage(own, rows.table)
        state.image = self

    def take(self) -> memoryview | None:
        """Return the next piece, valid until the next call; None when there is none left, and the state is let go."""
        while self._images:
            if size := self._images[-1].take(self._buffer):
                return self._buffer.data[:size]
            self._images.pop()
        if self._texts < self._texts_end:
            begin, self._texts = self._texts, min(self._texts + TEXTS_A_PIECE, self._texts_end)
            return memoryview(encode_texts(self._state.strings.texts(begin, self._texts)))
        self.release()
        return None

    def abandon(self) -> None:
        """Let go of the state, which changes in ways that are not watched."""
        self.abandoned = True
        self.release()

    def release(self) -> None:
        """Let go of the state; a second call does nothing."""
        if self._state.image is self:
            self._state.image = None
            for rows in self._state.rows.values():
                rows.image = None
        self._images.clear()
        self._texts = self._texts_end


def meta_of(state: "ServingState", position: Position, parts: dict[str, Part]) -> bytes:
    """Return all of a state that is no array, and what arrays there are, as JSON."""
    document: dict[str, Any] = {
        "deployment": state.deployment.identity(),
        "partition": state.partition,
        "position": position,
        "applied": state.applied,
        "received": state.received,
        "sent": state.sent,
        "positions": state.positions,
        "watermarks": state.watermarks,
        "marks": [[barrier, number, sorted(came)] for (barrier, number), came in sorted(state.marks.items())],
        "barrier": state.barrier,
        "control": state.control,
        "control_items": [json.loads(control_json(item)) for item in state.kept_control],
        "vertices": {str(vtype): index.used for vtype, index in state.vertices.items()},
        "rows": {str(n): int(rows.table.cursors[USED]) for n, rows in state.rows.items() if rows.table is not None},
        "parts": [[name, part.units, part.unit_bytes] for name, part in parts.items()],
        "texts": state.strings.references_used,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def encode_texts(texts: list[bytes | None]) -> bytes:
    """Return texts, some of them missing, as bytes: count u32, lengths i32 (-1 for a missing one), and the texts."""
    lengths = np.array([len(texts), *(-1 if text is None else len(text) for text in texts)], "<i4")
    return b"".join((lengths.tobytes(), *(text for text in texts if text is not None)))


def decode_texts(data: bytes) -> list[bytes | None]:
    """Read what `encode_texts` wrote.

    Raises:
        ValueError: it is something else.
    """
    count = int.from_bytes(data[:4], "little")
    at, found = 4 + 4 * count, list[bytes | None]()
    for length in np.frombuffer(data, "<i4", count, 4).tolist():
        found.append(None if length < 0 else data[at : at + length])
        at += max(length, 0)
    if at != len(data):
        raise ValueError("texts do not fill their piece")
    return found
