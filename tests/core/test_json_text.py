"""Users' JSON is read, or refused at the door."""

import pytest

from dgs.core.json_text import NESTING_MOST, read_json


@pytest.mark.parametrize("text", ['{"a": [1, {"b": null}]}', b"[]", "5"])
def test_json_is_read(text: str | bytes) -> None:
    assert read_json(text) == {'{"a": [1, {"b": null}]}': {"a": [1, {"b": None}]}, b"[]": [], "5": 5}[text]


def test_nesting_has_a_limit() -> None:
    assert read_json("[" * NESTING_MOST + "]" * NESTING_MOST)
    for text in ("[" * (NESTING_MOST + 1) + "]" * (NESTING_MOST + 1), '{"a":' * 65 + "5" + "}" * 65, "[" * 100_000):
        with pytest.raises(ValueError, match="nested more than 64 deep"):
            read_json(text)


@pytest.mark.parametrize("text", ["", "[", b"\xff", "[" + "9" * 5000 + "]"])
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_json(text)
