"""`dgs query` against a stand-in service."""

import json
from pathlib import Path

import pytest

from .conftest import Dgs, FakeService, as_json, problem


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "u2i.json"
    path.write_text('{"query_id": 3}')
    return path


def test_install_sends_the_file_as_it_is_under_its_own_name(dgs: Dgs, service: FakeService, file: Path) -> None:
    service.on("POST /queries", as_json({"id": 3, "name": "u2i"}))
    result = dgs("query", "install", file, "--server", service.url)
    assert (result.exit_code, result.output) == (0, "installed u2i (id 3)\n")
    assert service.asked == [("POST", "/queries?name=u2i", b'{"query_id": 3}')]


def test_install_under_another_name(dgs: Dgs, service: FakeService, file: Path) -> None:
    service.on("POST /queries", as_json({"id": 3, "name": "a b"}))
    assert dgs("query", "install", file, "--name", "a b&c", "--server", service.url).exit_code == 0
    assert service.asked[0][1] == "/queries?name=a%20b%26c"


def test_a_refused_plan_is_told_with_every_problem(dgs: Dgs, service: FakeService, file: Path) -> None:
    service.on("POST /queries", problem(422, title="Wrong query plan", detail="x", problems=["node 1: one", "node 2: two"]))
    result = dgs("query", "install", file, "--server", service.url)
    assert result.exit_code == 2
    assert result.stderr == "dgs: 2 problems\n  - node 1: one\n  - node 2: two\n"


def test_a_conflict_fails(dgs: Dgs, service: FakeService, file: Path) -> None:
    service.on("POST /queries", problem(409, detail="the id 3 is another query's"))
    result = dgs("query", "install", file, "--server", service.url)
    assert (result.exit_code, result.stderr) == (1, "dgs: the id 3 is another query's\n")


@pytest.mark.parametrize(("content", "words"), [(None, "No such file"), ("{", "not JSON")])
def test_a_bad_file_is_told_without_asking(dgs: Dgs, service: FakeService, tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "q.json"
    if content is not None:
        path.write_text(content)
    result = dgs("query", "install", path, "--server", service.url)
    assert result.exit_code == 2
    assert words in result.stderr
    assert str(path) in result.stderr
    assert service.asked == []


def test_a_service_that_is_away(dgs: Dgs, file: Path) -> None:
    result = dgs("query", "install", file, "--server", "127.0.0.1:9", "--retry-timeout", "0.1")
    assert result.exit_code == 3
    assert "no answer from 127.0.0.1:9 yet; waiting up to 0.1 s" in result.stderr
    assert dgs("query", "list", "--server", "127.0.0.1:9").exit_code == 3


def test_list(dgs: Dgs, service: FakeService) -> None:
    queries = {"queries": [{"id": 0, "name": "u2i"}, {"id": 7, "name": "other"}]}
    service.on("GET /queries", as_json(queries))
    assert dgs("query", "list", "--server", service.url).output == "0\tu2i\n7\tother\n"
    assert json.loads(dgs("query", "list", "--output", "json", "--server", service.url).output) == queries


def test_show(dgs: Dgs, service: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    service.on("GET /queries/u2i", as_json({"id": 0, "name": "u2i", "ready": True, "document": {"query_id": 0}}))
    monkeypatch.setenv("DGS_SERVER", service.url)
    assert json.loads(dgs("query", "show", "u2i").output) == {"query_id": 0}
    result = dgs("query", "show", "none")
    assert (result.exit_code, result.stderr) == (1, "dgs: no /queries/none\n")


def test_a_server_that_is_none_is_wrong_usage(dgs: Dgs) -> None:
    result = dgs("query", "list", "--server", "ftp://x")
    assert result.exit_code == 2
    assert "give http://HOST:PORT" in result.stderr
