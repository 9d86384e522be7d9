"""Users' JSON is read, or refused at the door."""

import pytest

from dgs.core.json_text import NESTING_MOST, read_json


@pytest.mark.parametrize("text", ['{"a": [1, {"b": null}]}', b"[]", "5"])
def test_json_is_read(text: str | bytes) -> None:
    assert read_json(text) == {'{"a": [1, {"b": null}]}': {"a": [1, {"b": None}]}, b"[]": [], "5": 5}[text]


def test_numbers_may_be_kept_as_they_are_written() -> None:
    assert read_json("[1, -2.50, 1e400, NaN, true]", number=str) == ["1", "-2.50", "1e400", "NaN", True]


def test_nesting_has_a_limit() -> None:
    assert read_json("[" * NESTING_MOST + "]" * NESTING_MOST)
    assert len(read_json("[" + "[]," * 99 + "5]")) == 100, "much, but not deep"
    deeper = NESTING_MOST + 1
    for text in ("[" * deeper + "]" * deeper, b"[" * deeper + b"]" * deeper, '{"a":' * deeper + "5" + "}" * deeper, "[" * 100_000):
        with pytest.raises(ValueError, match="nested more than 64 deep"):
            read_json(text)


@pytest.mark.parametrize("text", ["", "[", b"\xff", "[" + "9" * 5000 + "]"])
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_json(text)
