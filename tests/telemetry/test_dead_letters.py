"""Counting dead letters: all files, each line once, also after a file was cleared."""

from pathlib import Path

from dgs.telemetry.dead_letters import DeadLetterCount


def test_lines_of_all_files_are_counted_as_they_come(tmp_path: Path) -> None:
    count = DeadLetterCount(tmp_path)
    assert count() == 0
    assert DeadLetterCount(tmp_path / "missing")() == 0
    a, b = tmp_path / "sampler-0.jsonl", tmp_path / "serving-1.jsonl"
    a.write_text("1\n2\n")
    (tmp_path / "else.txt").write_text("1\n")
    assert count() == 2
    with a.open("a") as file:
        file.write("3\nhalf")
    b.write_text("1\n")
    assert count() == 4
    with a.open("a") as file:
        file.write(" done\n")
    assert count() == 5
    a.write_text("1\n")
    assert count() == 2
