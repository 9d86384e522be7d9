"""The examples of docs/client.md, run in their order against a service with the examples of the other pages in it."""

import doctest
import re
from pathlib import Path

import dgs_client
import pytest

from tests.e2e.service import Service
from tests.test_docs import blocks, read

PAGE = "docs/client.md"


@pytest.mark.slow
def test_the_examples_are_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pattern, data = blocks("docs/data-format.md", "")[:2]
    files = {
        "schema.json": blocks("docs/data-format.md", "json")[0],
        "looked.json": blocks("docs/queries.md", "json")[0],
        "graph.pattern": pattern,
        "graph.data": data,
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    service = Service(tmp_path, "--schema", tmp_path / "schema.json", "--query", tmp_path / "looked.json")
    try:
        service.start()
        loaded = service.load(tmp_path / "graph.pattern", tmp_path / "graph.data", "--barrier", "loaded")
        assert loaded.code == 0, loaded.err
        service.wait("loaded")
        (tmp_path / "positions").write_text(loaded.out)
        program = "".join(blocks(PAGE, "pycon")).replace("http://127.0.0.1:8700", service.url)
        assert service.url in program
        example = doctest.DocTestParser().get_doctest(program, {}, PAGE, PAGE, 0)
        told: list[str] = []
        failed, tried = doctest.DocTestRunner().run(example, out=told.append)
        assert not failed, "".join(told)
        assert tried > 20
    finally:
        service.stop()


def test_every_error_is_described() -> None:
    offered = {n for n in dgs_client.__all__ if n.endswith("Error")}
    assert offered <= set(re.findall(r"`(\w+Error)`", read(PAGE)))
