"""A store on a disk that fills up: what it holds stays, and it takes batches again once there is room."""

import errno
import os
from pathlib import Path

import pytest

from dgs.core.types import Position
from dgs.store.base import Batch
from dgs.store.rocks import RocksStore
from tests.disk import small_disk


def batch(number: int) -> Batch:
    keys = (b"k%04d%04d" % (number, i) for i in range(200))
    return Batch(Position(number), b"meta", {key: os.urandom(500) for key in keys})


def test_it_refuses_while_the_disk_is_full_and_goes_on_by_itself(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 12 << 20) as disk:
        store = RocksStore(disk.path / "s")
        written: dict[bytes, bytes] = {}
        number, refused = 0, None
        while refused is None:
            number += 1
            next_batch = batch(number)
            try:
                store.write(next_batch)
                written |= next_batch.puts
            except OSError as e:
                refused = e
        assert refused.errno == errno.ENOSPC
        for _ in range(3):
            with pytest.raises(OSError, match="No space left"):
                store.write(next_batch)
        committed = store.committed()
        assert committed is not None
        assert committed[0] == number - 1
        assert dict(store.scan(b"k")) == written, "it can be read meanwhile"
        disk.resize(64 << 20)
        store.write(next_batch)
        store.write(batch(number + 1))
        store.close()
        again = RocksStore(disk.path / "s")
        committed = again.committed()
        assert committed is not None
        assert committed[0] == number + 1
        assert {**written, **next_batch.puts}.items() <= dict(again.scan(b"k")).items()
        again.close()


def test_a_store_that_cannot_be_opened_for_lack_of_room_says_so_and_opens_later(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8 << 20) as disk:
        store = RocksStore(disk.path / "s")
        store.write(batch(1))
        store.close()
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            RocksStore(disk.path / "s")
        disk.free()
        again = RocksStore(disk.path / "s")
        assert again.committed() == (1, b"meta")
        again.close()


def test_a_store_on_a_full_disk_can_be_closed(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8 << 20) as disk:
        store = RocksStore(disk.path / "s")
        store.write(batch(1))
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            store.write(batch(2))
        store.close()
        disk.free()
        again = RocksStore(disk.path / "s")
        assert again.committed() == (1, b"meta")
        again.close()
