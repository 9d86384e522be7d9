"""Looking into a store that another process may be working on: what was committed, and not a byte changed."""

import hashlib
import os
from pathlib import Path

import pytest

from dgs.core.errors import StateError
from dgs.core.types import Position
from dgs.store.base import Batch
from dgs.store.rocks import RocksStore
from dgs.store.view import StoreView


def content(folder: Path) -> dict[str, tuple[int, str]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("running", [True, False])
def test_it_shows_what_is_committed_and_changes_nothing(tmp_path: Path, running: bool) -> None:
    store = RocksStore(tmp_path / "s")
    puts = {b"k%d" % i: os.urandom(10) for i in range(1000)}
    store.write(Batch(Position(7), b"meta", puts))
    if not running:
        store.close()
    before = content(tmp_path)
    with StoreView(tmp_path / "s") as view:
        assert view.committed() == (7, b"meta")
        assert dict(view.scan(b"k")) == puts
        assert list(view.scan(b"z")) == []
        assert view.bytes > 10_000
    assert content(tmp_path) == before
    if running:
        store.write(Batch(Position(8), b"", {b"k0": b"new"}))
        with StoreView(tmp_path / "s") as view:
            assert view.committed() == (8, b"")
        store.close()


def test_a_store_goes_on_while_it_is_looked_at(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "s")
    store.write(Batch(Position(1), b"", {b"a": b"1"}))
    with StoreView(tmp_path / "s") as view:
        store.write(Batch(Position(2), b"", {b"a": b"2"}))
        assert view.committed() == (1, b""), "as of its opening"
    store.close()


def test_what_is_no_store_is_told(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "CURRENT").write_text("MANIFEST-999999\n")
    with pytest.raises(StateError, match="cannot be read as state of a sampler partition"):
        StoreView(tmp_path / "s")
