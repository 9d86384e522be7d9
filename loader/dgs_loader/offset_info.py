"""`--offset-info`: where to begin in the partitions of a source of which nothing has been loaded yet. The option, taken apart."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dgs.core.errors import InputError
from dgs.core.json_text import read_json

_FORM = """{"timestamp": 1715000000000} (ms since 1970) or {"0": 5, "1": 7} (offsets by partition)"""
_MOST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class OffsetInfo:
    """Where to begin; by default at the earliest record.

    Attributes:
        timestamp_ms: at the first record that is not older.
        offsets: at these offsets, by partition.
    """

    timestamp_ms: int | None = None
    offsets: Mapping[int, int] = field(default_factory=dict)

    @staticmethod
    def parse(text: str) -> "OffsetInfo":
        """Read the option.

        Raises:
            InputError: it is not understood.
        """
        try:
            document = read_json(text)
        except ValueError:
            document = None
        wrong = InputError(f"--offset-info {text} is not understood; it is {_FORM}")
        if not isinstance(document, dict) or not document:
            raise wrong
        if not all(type(value) is int and 0 <= value <= _MOST for value in document.values()):
            raise wrong
        if set(document) == {"timestamp"}:
            return OffsetInfo(document["timestamp"])
        if not all(key.isascii() and key.isdecimal() for key in document):
            raise wrong
        return OffsetInfo(offsets={int(key): value for key, value in document.items()})
