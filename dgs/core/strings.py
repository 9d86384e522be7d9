"""String values of a machine: payloads hold 8-byte references, the texts stand here once each.

References say nothing outside the machine; what leaves it carries the texts along (see `StringTable.export`), but for a snapshot,
which holds the whole table.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from dgs.core.errors import CodecError
from dgs.core.types import Bytes, UInt64s


class StringTable:
    """Texts by reference. Reference 0 is the empty text. Unused texts go in a sweep, so that memory follows what is live.

    A sweep is made at once (`sweep`), or in steps while texts go on coming: `begin_sweep`, `mark` for all that refers to texts,
    `forget` until it is done. What is interned meanwhile stays.

    Attributes:
        sweeping: whether a sweep has begun and is not done.
    """

    def __init__(self) -> None:
        self._texts: list[bytes | None] = [b""]
        self._references: dict[bytes, int] = {b"": 0}
        self._free: list[int] = []
        self._sweep_at = 1024
        self._marks = bytearray()
        self._swept = 0
        self._adopted: tuple[Sequence[bytes], UInt64s] = [], np.zeros(1, np.uint64)
        self.sweeping = False

    def __len__(self) -> int:
        return len(self._references)

    @property
    def references_used(self) -> int:
        """One more than the largest reference that was ever given."""
        return len(self._texts)

    def texts(self, begin: int, end: int) -> list[bytes | None]:
        """Return the texts of references begin … end - 1; None for those that are free."""
        return self._texts[begin:end]

    def restore(self, texts: Sequence[bytes | None]) -> None:
        """Give the texts of the next references, as `texts` has returned them from reference 1 on, to a table that has no others.

        Raises:
            ValueError: a text stands there twice.
        """
        for reference, text in enumerate(texts, len(self._texts)):
            if text is None:
                self._free.append(reference)
            elif self._references.setdefault(text, reference) != reference:
                raise ValueError(f"the text of reference {reference} has another, too")
        self._texts += texts
        self._sweep_at = max(1024, 2 * len(self))

    def __getitem__(self, reference: int) -> bytes:
        text = self._texts[reference]
        assert text is not None, "a reference to a text that was swept"
        return text

    def intern(self, text: bytes) -> int:
        """Return the reference of a text."""
        reference = self._references.get(text)
        if reference is None:
            if self._free:
                reference = self._free.pop()
                self._texts[reference] = text
            else:
                reference = len(self._texts)
                self._texts.append(text)
            self._references[text] = reference
        if reference < len(self._marks):
            self._marks[reference] = 1
        return reference

    def adopt(self, payload: Bytes, offsets: Sequence[int], strings: Sequence[bytes]) -> None:
        """Turn references into `strings` to references into this table, in place. Absent strings have reference 0 and stay so.

        Args:
            payload: uint8 [n, width].
            offsets: where references stand in a payload; those beyond the width are absent.
            strings: what the references index, from 1 on.

        Raises:
            CodecError: a reference leads beyond the strings.
        """
        if not offsets or not len(payload):
            return
        for offset in offsets:
            if offset < payload.shape[1] and int(read_references(payload, offset).max()) > len(strings):
                raise CodecError("a string reference leads beyond the strings that came with it")
        known = self._known(strings)
        for offset in offsets:
            if offset < payload.shape[1]:
                _set(payload, offset, known[read_references(payload, offset)])

    def export(self, parts: Sequence[tuple[Bytes, Sequence[int]]]) -> tuple[list[Bytes], list[bytes]]:
        """Return payloads whose references index the returned strings from 1 on; the reverse of `adopt`.

        The strings stand in the order of their bytes, so that what is sent does not depend on this table's history.

        Args:
            parts: payloads uint8 [n, width], each with the offsets of its references.
        """
        used: set[int] = set()
        for payload, offsets in parts:
            for offset in offsets if len(payload) else ():
                used.update(read_references(payload, offset).tolist())
        used.discard(0)
        if not used:
            return [payload for payload, _ in parts], []
        references = np.array(sorted(used, key=self.__getitem__), np.uint64)
        by_reference = np.argsort(references)
        exported = []
        for payload, offsets in parts:
            if offsets and len(payload):
                payload = payload.copy()
                for offset in offsets:
                    own = read_references(payload, offset)
                    places = by_reference[np.searchsorted(references[by_reference], own) % len(references)]
                    _set(payload, offset, np.where(own > 0, places + 1, 0).astype(np.uint64))
            exported.append(payload)
        return exported, [self[int(r)] for r in references]

    @property
    def wants_sweep(self) -> bool:
        """Whether the table has doubled since the last sweep."""
        return len(self) > self._sweep_at

    def sweep(self, live: Iterable[UInt64s]) -> None:
        """Forget every text whose reference is in none of the arrays."""
        self.begin_sweep()
        for references in live:
            self.mark(references)
        self.forget(len(self._texts))

    def begin_sweep(self) -> None:
        """Begin a sweep: nothing is known to be live but the empty text."""
        self._marks, self._swept, self.sweeping = bytearray(len(self._texts)), 0, True
        self._marks[0] = 1
        # Texts of the last call may be referred to by none yet; the next one interns, and so marks, them again.
        self._adopted = [], self._adopted[1][:1]

    def mark(self, references: UInt64s) -> None:
        """Say that these references are live; references given since the sweep began need no word."""
        marks = np.frombuffer(self._marks, np.uint8)
        marks[references[references < len(marks)]] = 1

    def forget(self, most: int) -> None:
        """Look at so many references and forget those that nobody has marked; the sweep is done when all were looked at."""
        end = min(len(self._marks), self._swept + most)
        for reference in range(self._swept, end):
            text = self._texts[reference]
            if text is not None and not self._marks[reference]:
                del self._references[text]
                self._texts[reference] = None
                self._free.append(reference)
        self._swept = end
        if end == len(self._marks):
            self._marks, self.sweeping = bytearray(), False
            self._sweep_at = max(1024, 2 * len(self))

    def _known(self, strings: Sequence[bytes]) -> UInt64s:
        """References of texts, that of the empty text before them. An entry is adopted in pieces that share their texts."""
        if self._adopted[0] is not strings or len(self._adopted[1]) != len(strings) + 1:
            self._adopted = strings, np.array([0, *(self.intern(s) for s in strings)], np.uint64)
        return self._adopted[1]


def read_references(payload: Bytes, offset: int) -> UInt64s:
    """Return the references that stand at an offset of payloads (uint8 [n, width]): uint64 [n]."""
    references: UInt64s = np.ascontiguousarray(payload[:, offset : offset + 8]).view(np.uint64)[:, 0]
    return references


def _set(payload: Bytes, offset: int, references: UInt64s) -> None:
    payload[:, offset : offset + 8] = references[:, None].view(np.uint8)
