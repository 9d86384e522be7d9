"""A RocksDB in particular: damage is noticed wherever it is read, and a copy holds what was committed when it was made."""

from pathlib import Path

import pytest

from dgs.core.errors import StateError
from dgs.core.types import Position
from dgs.store.base import Batch
from dgs.store.rocks import RocksStore

ROWS = {b"x%05d" % i: b"%05d" % i * 30 for i in range(5000)}


def write(store: RocksStore, position: int, puts: dict[bytes, bytes]) -> None:
    store.write(Batch(Position(position), b"meta", puts))


def flush(store: RocksStore) -> None:
    store.begin_flush()
    while store.flushing:
        pass


@pytest.mark.parametrize("place", [0.1, 0.5, 0.8])
def test_a_flipped_bit_in_a_table_is_noticed_and_the_repair_named(tmp_path: Path, place: float) -> None:
    store = RocksStore(tmp_path / "3")
    write(store, 7, ROWS)
    flush(store)
    store.close()
    (table,) = (tmp_path / "3").glob("*.sst")
    data = bytearray(table.read_bytes())
    data[int(len(data) * place)] ^= 1
    table.write_bytes(data)
    store = RocksStore(tmp_path / "3")
    with pytest.raises(StateError, match=r"/3 is damaged: .*`dgs checkpoint restore --partition sampler/3"):
        list(store.scan(b"x"))
    store.close()


def test_a_copy_is_what_was_committed_and_shares_the_tables(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "store")
    write(store, 7, ROWS)
    flush(store)
    write(store, 8, {b"y": b"committed"})
    store.copy(tmp_path / "copy")
    write(store, 9, {b"y": b"later"})
    shared = {p.name for p in (tmp_path / "copy").glob("*.sst") if p.stat().st_nlink > 1}
    assert shared
    copy = RocksStore(tmp_path / "copy")
    assert copy.committed() == (8, b"meta")
    assert dict(copy.scan(b"")) == {**ROWS, b"y": b"committed"}
    copy.close()
    assert dict(store.scan(b"y")) == {b"y": b"later"}
    with pytest.raises(OSError, match="cannot be copied"):
        store.copy(tmp_path / "copy")
    store.close()
