"""Both stores behave alike; the one on disk outlives its process, whole batches at a time, and has one owner."""

import gc
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dgs.core.errors import StateError
from dgs.core.types import Position
from dgs.store.base import Batch, Store
from dgs.store.memory import MemoryStore
from dgs.store.rocks import RocksStore
from tests.store.writer import KEYS, batch

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["memory", "rocks"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else RocksStore(tmp_path / "deep" / "store")
    yield made
    made.close()


def put(position: int, meta: bytes = b"", **puts: bytes) -> Batch:
    return Batch(Position(position), meta, {key.encode(): value for key, value in puts.items()})


def test_nothing_is_committed_before_the_first_batch(store: Store) -> None:
    assert store.committed() is None
    assert list(store.scan(b"a")) == []
    assert list(store.scan(b"")) == []


def test_a_batch_brings_its_position_its_meta_and_its_values(store: Store) -> None:
    store.write(put(7, b"meta", b=b"2", a=b"1", ab=b""))
    assert store.committed() == (7, b"meta")
    assert list(store.scan(b"a")) == [(b"a", b"1"), (b"ab", b"")]
    assert list(store.scan(b"")) == [(b"a", b"1"), (b"ab", b""), (b"b", b"2")], "the position is no key"


def test_a_later_batch_replaces_what_it_names_and_keeps_the_rest(store: Store) -> None:
    store.write(put(1, b"x", a=b"1", b=b"1"))
    store.write(put(2, b"", b=b"2", c=b"2"))
    assert list(store.scan(b"")) == [(b"a", b"1"), (b"b", b"2"), (b"c", b"2")]
    assert store.committed() == (2, b"")


def test_a_batch_without_values_moves_the_position(store: Store) -> None:
    store.write(put(1, a=b"1"))
    store.write(put(1 << 62, b"m"))
    assert store.committed() == (1 << 62, b"m")
    assert list(store.scan(b"a")) == [(b"a", b"1")]


def test_a_scan_ends_with_its_prefix_and_sorts_as_bytes(store: Store) -> None:
    keys = [b"r\x00", b"r\x01\xff", b"r\x02", b"r\xff\xff", b"r", b"s", b"q\xff", b"h"]
    store.write(Batch(Position(1), b"", {key: key[::-1] for key in keys}))
    for prefix in (b"r", b"r\x01", b"r\xff", b"q", b"s", b"t", b"a", b"\xff", b"\x00"):
        assert list(store.scan(prefix)) == [(key, key[::-1]) for key in sorted(keys) if key.startswith(prefix)]


def test_a_scan_tells_what_stood_when_it_began(store: Store) -> None:
    store.write(put(1, a=b"1", b=b"1"))
    scan = store.scan(b"")
    assert next(scan) == (b"a", b"1")
    store.write(put(2, b=b"2", c=b"2"))
    assert list(scan) == [(b"b", b"1")]
    del scan
    gc.collect()


KEYS_DRAWN = st.binary(min_size=0, max_size=2).map(lambda rest: b"k" + rest)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, (1 << 63) - 1), st.binary(max_size=9), st.dictionaries(KEYS_DRAWN, st.binary(max_size=9)))),
    KEYS_DRAWN,
)
def test_a_store_is_a_sorted_dict(
    tmp_path_factory: pytest.TempPathFactory, batches: list[tuple[int, bytes, dict[bytes, bytes]]], prefix: bytes
) -> None:
    for made in (MemoryStore(), RocksStore(tmp_path_factory.mktemp("store") / "s")):
        twin: dict[bytes, bytes] = {}
        for position, meta, puts in batches:
            made.write(Batch(Position(position), meta, puts))
            twin.update(puts)
            assert made.committed() == (position, meta)
        assert list(made.scan(prefix)) == sorted((k, v) for k, v in twin.items() if k.startswith(prefix))
        made.close()


# On disk ----------------------------------------------------------------------------------------------------------------------


def test_what_was_written_is_there_after_closing(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "s")
    store.write(put(5, b"m", a=b"1"))
    list(store.scan(b"a"))
    next(store.scan(b"a"))  # a scan that was not ended must not keep the lock
    store.close()
    again = RocksStore(tmp_path / "s")
    assert again.committed() == (5, b"m")
    assert list(again.scan(b"")) == [(b"a", b"1")]
    again.close()


def run(code: str, *arguments: str) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, *code.split(), *arguments], cwd=ROOT, stdout=pipe, stderr=pipe, text=True)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Callable[[], "subprocess.Popen[str]"]]:
    started: list[subprocess.Popen[str]] = []

    def start() -> "subprocess.Popen[str]":
        started.append(run("-m tests.store.writer", str(tmp_path / "s")))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def lines(process: "subprocess.Popen[str]", n: int) -> list[int]:
    assert process.stdout is not None
    return [int(process.stdout.readline()) for _ in range(n)]


def test_a_second_opener_is_told_what_to_do(writer: Callable[[], "subprocess.Popen[str]"], tmp_path: Path) -> None:
    lines(writer(), 1)
    with pytest.raises(StateError, match=r"cannot be opened .*another process works on this partition, stop it first") as caught:
        RocksStore(tmp_path / "s")
    assert str(tmp_path / "s") in str(caught.value)


def test_a_writer_that_is_killed_leaves_whole_batches(writer: Callable[[], "subprocess.Popen[str]"], tmp_path: Path) -> None:
    told = 0
    for n in (1, 2, 3, 4, 5, 6, 7, 8):
        process = writer()
        told = lines(process, n)[-1]
        time.sleep(0.0017 * n)  # so that kills fall into different moments of a batch
        process.send_signal(signal.SIGKILL)
        process.wait()
        store = RocksStore(tmp_path / "s")
        committed = store.committed()
        assert committed is not None
        position, meta = committed
        assert position >= told, "what was told to be written is there"
        assert meta == b"meta %d" % position
        assert dict(store.scan(b"k")) == batch(position).puts
        assert len(dict(store.scan(b"k"))) == KEYS
        store.close()


def test_a_folder_that_cannot_be_a_store_says_so(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("a file")
    with pytest.raises(StateError, match="cannot be opened as state of a sampler partition"):
        RocksStore(tmp_path / "s")


def test_a_damaged_store_is_refused_and_says_how_to_go_on(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "s")
    store.write(put(1, a=b"1"))
    store.close()
    (tmp_path / "s" / "CURRENT").write_text("MANIFEST-999999\n")
    with pytest.raises(StateError, match=r"dgs checkpoint restore --partition sampler/s .* removing the folder is enough"):
        RocksStore(tmp_path / "s")
