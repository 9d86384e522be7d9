"""A sampler partition's RocksDB as it is at one moment, for looking only; the process that works on it does not notice.

Opening a RocksDB writes files beside it even when it is opened read-only. So it is opened through links in a folder of its own,
which goes away with the view.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from rocksdict import AccessType, Options, Rdict

from dgs.core.errors import StateError
from dgs.core.types import Position
from dgs.store.rocks import read_committed, scan

_CONFIG = "rocksdict-config.json"
"""Written anew at every opening, so that it is copied, not linked."""
_ATTEMPTS = 5
"""A compaction may take files away between listing and opening them; then the next look finds others."""


class StoreView:
    """What `RocksStore` has committed, until `close` or the end of a `with` block.

    Raises:
        StateError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        with ExitStack() as stack:
            for attempt in range(_ATTEMPTS):
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dgs-inspect-")))
                try:
                    self._db = _opened(path, folder)
                    break
                except Exception as e:  # rocksdict raises bare exceptions
                    if attempt == _ATTEMPTS - 1:
                        raise StateError(f"{path} cannot be read as state of a sampler partition: {e}") from e
            stack.callback(self._db.close)
            self._stack = stack.pop_all()
        self.bytes = sum(p.stat().st_size for p in folder.iterdir() if p.is_symlink() and p.exists())

    def committed(self) -> tuple[Position, bytes] | None:
        """See `Store.committed`."""
        return read_committed(self._db)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See `Store.scan`."""
        return scan(self._db, prefix)

    def close(self) -> None:
        """Close it and remove the links."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _opened(path: Path, folder: Path) -> Rdict:
    for file in path.iterdir():
        if file.name == _CONFIG:
            (folder / _CONFIG).write_bytes(file.read_bytes())
        elif file.is_file() and file.name not in ("LOCK", "LOG"):
            (folder / file.name).symlink_to(file.absolute())
    options = Options(raw_mode=True)
    options.create_if_missing(False)
    return Rdict(str(folder), options, access_type=AccessType.read_only())
