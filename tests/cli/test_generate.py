"""`dgs generate u2i`, and where the examples are."""

from pathlib import Path

import pytest

import dgs as package
from dgs.cli.examples import example
from dgs.core.errors import StateError

from .conftest import Dgs

SMALL = ["--user-num", 3, "--item-num", 30, "--feature-num", 2, "--streaming-epoch", 4]


def test_the_same_seed_makes_the_same_files(dgs: Dgs, tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        result = dgs("generate", "u2i", *SMALL, "--seed", seed, "--output-dir", tmp_path / name)
        assert result.exit_code == 0
        assert str(tmp_path / name / "streaming") in result.output
    a, b, c = ((tmp_path / n / "streaming" / "u2i.streaming").read_bytes() for n in "abc")
    assert a == b != c


def test_wrong_numbers_are_told_together(dgs: Dgs, tmp_path: Path) -> None:
    result = dgs("generate", "u2i", "--user-num", 0, "--item-num", 0, "--output-dir", tmp_path)
    assert result.exit_code == 2
    assert "user_num" in result.stderr
    assert "item_num" in result.stderr


def test_a_folder_that_cannot_be_made_is_named(dgs: Dgs, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = dgs("generate", "u2i", *SMALL, "--output-dir", tmp_path / "file" / "below")
    assert result.exit_code == 1
    assert str(tmp_path / "file" / "below") in result.stderr


def test_examples_are_found_in_a_checkout_and_in_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (example("u2i") / "query.json").is_file()
    installed = tmp_path / "dgs" / "schemas" / "u2i"
    installed.mkdir(parents=True)
    (installed / "schema.json").write_text("{}")
    monkeypatch.setattr(package, "__file__", str(tmp_path / "dgs" / "__init__.py"))
    assert example("u2i") == installed
    with pytest.raises(StateError, match="the example other is not part of this installation"):
        example("other")
