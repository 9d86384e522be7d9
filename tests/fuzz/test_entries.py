"""Log entries that were damaged on their way: `decode_entry` reads them or says CodecError, and takes memory in proportion."""

import json
import tracemalloc
from contextlib import suppress

from hypothesis import strategies as st

from dgs.codec.entries import ROUNDS_MOST, appended_ms_of, control_json, decode_entry, read_control_json
from dgs.core.control import BARRIER, ControlItem
from dgs.core.errors import CodecError, InputError
from dgs.core.token import PositionToken, read_tokens
from tests.codec.samples import FOLDER, encode, same
from tests.fuzz.fuzzing import Fuzzer
from tests.fuzz.mutations import damaged, damaged_documents, with_frame_checksum

GOLDEN = [path.read_bytes() for path in sorted(FOLDER.glob("*.bin"))]
MEMORY_MOST = 40
"""Bytes of memory that a byte of an entry may lead to. An empty string of one takes most: 4 bytes make an object in a list."""


def test_entries(fuzzer: Fuzzer) -> None:
    fuzzer.run(check_entry, damaged(GOLDEN, with_frame_checksum) | st.binary(max_size=200), count=600)


def check_entry(data: bytes) -> None:
    try:
        entry = decode_entry(data)
    except CodecError as e:
        assert str(e)
    else:
        assert same(decode_entry(encode(entry)), entry), "what was read is written and read again"
    with suppress(CodecError):
        assert 0 <= appended_ms_of(data) < 1 << 64


def test_memory(fuzzer: Fuzzer) -> None:
    fuzzer.run(check_memory, damaged(GOLDEN, with_frame_checksum), count=150)


def check_memory(data: bytes) -> None:
    tracemalloc.start()
    try:
        with suppress(CodecError):
            decode_entry(data)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 20_000 + MEMORY_MOST * len(data)


CONTROL = [{"number": n, "kind": k, "body": b} for n, k, b in (
    (1, "dimension", {"kind": "vertex", "type": 0, "attribute": 2, "dim": 128}),
    (2, "install", {"id": 0, "name": "q", "plan": {"query_plan": {"plan_nodes": []}}}),
    (3, "barrier", {"id": 7, "rounds": 3}),
)]  # fmt: skip
"""As `control_json` writes them."""


def test_control_items(fuzzer: Fuzzer) -> None:
    fuzzer.run(check_control, damaged_documents(CONTROL).map(as_json) | st.binary(max_size=60), count=400)


def check_control(data: bytes) -> None:
    try:
        item = read_control_json(data)
    except CodecError:
        return
    assert isinstance(item, ControlItem)
    if item.kind == BARRIER:
        assert 1 <= item.body["rounds"] <= ROUNDS_MOST
    assert control_json(read_control_json(control_json(item))) == control_json(item)


def test_position_tokens(fuzzer: Fuzzer) -> None:
    digits = st.text("0123456789:,-+_ ٣\n", max_size=30)
    number = st.integers(0, 9).flatmap(lambda n: st.integers(0, 10 ** (3 * n)))
    near = st.lists(number, min_size=3, max_size=3).map(lambda found: ":".join(map(str, found)))
    fuzzer.run(check_token, st.text(max_size=20) | digits | near | st.lists(near | digits, max_size=3), count=300)


def check_token(given: str | list[str]) -> None:
    try:
        found = read_tokens(given)
    except InputError as e:
        assert e.problems
        return
    assert read_tokens(",".join(map(str, found)) if found else None) == found
    assert all(token == PositionToken.parse(str(token)) and token.position < 1 << 63 for token in found)


def as_json(document: object) -> bytes:
    return json.dumps(document).encode()
