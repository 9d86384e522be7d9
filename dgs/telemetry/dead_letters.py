"""How many dead letters there are, of all workers of a host: the lines of their files, each read once."""

from pathlib import Path

_BLOCK_BYTES = 1 << 20


class DeadLetterCount:
    """Counts the lines of the files in a folder. A call reads only what was added since the one before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._counted: dict[Path, tuple[int, int]] = {}

    def __call__(self) -> int:
        """Return how many there are now.

        Raises:
            OSError: a file cannot be read.
        """
        return sum(self._lines(path) for path in self._folder.glob("*.jsonl"))

    def _lines(self, path: Path) -> int:
        size, lines = self._counted.get(path, (0, 0))
        if path.stat().st_size < size:  # somebody has cleared it
            size, lines = 0, 0
        with path.open("rb") as file:
            file.seek(size)
            while block := file.read(_BLOCK_BYTES):
                size, lines = size + len(block), lines + block.count(b"\n")
        self._counted[path] = size, lines
        return lines
