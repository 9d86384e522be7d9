"""`dgs up` before it starts anything: whatever is wrong is told, with what to do, and nothing is left behind."""

import json
import os
import shutil
from pathlib import Path

import pytest

from dgs.cli.check import QueryFile, find_problems
from dgs.cli.examples import example
from dgs.cli.options import as_environment, given
from dgs.cli.up import _commands
from dgs.config import Settings, load
from dgs.core.schema import Schema
from dgs.datadir import DataDir, Defaults, Wanted
from dgs.http.listener import listen

from .conftest import Dgs

U2I = example("u2i")
SCHEMA, QUERY = U2I / "schema.json", U2I / "query.json"


@pytest.fixture
def state(tmp_path: Path) -> DataDir:
    """The data directory of a deployment that was started before, with P = 4 and S = 2."""
    directory = DataDir(tmp_path / "state")
    directory.make()
    directory.establish(Wanted(Schema.parse(SCHEMA.read_bytes())), Defaults(partitions=4, serving_partitions=2, idle_items=4096))
    return directory


@pytest.fixture(autouse=True)
def _nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        pytest.fail("something was started")

    monkeypatch.setattr("dgs.supervisor.Supervisor.run", fail)
    for name in os.environ:
        if name.startswith("DGS_"):
            monkeypatch.delenv(name)


def test_missing_files_are_told_together(dgs: Dgs, tmp_path: Path) -> None:
    result = dgs(
        "up", "--schema", tmp_path / "s", "--query", tmp_path / "q1", "--query", tmp_path, "--data-dir", tmp_path / "state"
    )
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "dgs: 3 problems",
        f"  - {tmp_path / 's'}: No such file or directory",
        f"  - {tmp_path / 'q1'}: No such file or directory",
        f"  - {tmp_path}: Is a directory",
    ]
    assert not (tmp_path / "state").exists()


def test_a_bad_schema_lists_every_problem(dgs: Dgs, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"attr_defs": [], "vertex_defs": 1, "edge_defs": [{"etype": 0, "name": "e"}], "edge_relation_defs": []}')
    result = dgs("up", "--schema", schema, "--data-dir", tmp_path / "state")
    assert result.exit_code == 2
    assert f"{schema}: vertex_defs must be an array of objects" in result.stderr
    assert f"{schema}: edge_defs: 'e' has no attribute 'timestamp'" in result.stderr
    assert not (tmp_path / "state").exists()


def test_a_bad_plan_lists_every_problem(dgs: Dgs, tmp_path: Path) -> None:
    document = json.loads(QUERY.read_bytes())
    nodes = document["query_plan"]["plan_nodes"]
    nodes[2]["params"] = [{"key": "vtype", "value": 0}, {"key": "etype", "value": 99}, {"key": "fanout", "value": 0}]
    nodes[4]["params"][3] = {"key": "strategy", "value": "best"}
    query = tmp_path / "bad.json"
    query.write_text(json.dumps(document))
    torn = tmp_path / "torn.json"
    torn.write_text("{")
    result = dgs("up", "--schema", SCHEMA, "--query", query, "--query", torn, "--query", QUERY, "--data-dir", tmp_path / "state")
    assert result.exit_code == 2
    for problem in ("node 2: etype 99", "node 2: strategy None", "node 2: fanout must be", "node 4: strategy 'best'"):
        assert f"{query}: {problem}" in result.stderr
    assert f"{torn}: not JSON" in result.stderr
    assert not (tmp_path / "state").exists()


def test_two_queries_with_one_id_or_name_are_told() -> None:
    schema, document = Schema.parse(SCHEMA.read_bytes()), json.loads(QUERY.read_bytes())
    other = json.loads(QUERY.read_text().replace('"value": 10', '"value": 9'))
    a, b = QueryFile("a", "a.json", document), QueryFile("b", "b.json", other)
    assert find_problems(schema, [a, b]) == ["b.json: another query than a.json, but both have the query_id 0"]
    assert find_problems(schema, [a, QueryFile("a", "x/a.json", other | {"query_id": 1})]) == [
        "x/a.json: another query than a.json, but both have the name 'a'"
    ]
    assert find_problems(schema, [a, a, QueryFile("b", "b.json", other | {"query_id": 1})]) == []


def test_bad_settings_are_told_together(dgs: Dgs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DGS_SERVING_PARTITIONS", "many")
    result = dgs("up", "--schema", SCHEMA, "--data-dir", tmp_path / "state", "--partitions", 0)
    assert result.exit_code == 2
    assert "partitions = '0' (from --partitions)" in result.stderr
    assert "serving_partitions = 'many' (from the environment variable DGS_SERVING_PARTITIONS)" in result.stderr


def test_an_unknown_variable_is_warned_of_and_that_of_clients_is_not(
    dgs: Dgs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DGS_PARTITION", "3")
    monkeypatch.setenv("DGS_SERVER", "http://127.0.0.1:1")
    result = dgs("up", "--schema", tmp_path / "none", "--data-dir", tmp_path / "state")
    assert "DGS_PARTITION is no setting and is ignored; did you mean DGS_PARTITIONS?" in result.stderr
    assert "DGS_SERVER" not in result.stderr


def test_a_data_directory_is_needed(dgs: Dgs) -> None:
    result = dgs("up", "--schema", SCHEMA)
    assert (result.exit_code, "--data-dir is missing" in result.stderr) == (2, True)


def test_a_new_data_directory_needs_a_schema(dgs: Dgs, tmp_path: Path) -> None:
    result = dgs("up", "--data-dir", tmp_path / "state")
    assert (result.exit_code, "a new one needs --schema FILE" in result.stderr) == (2, True)
    assert not (tmp_path / "state").exists()


def test_the_parent_of_the_data_directory_must_exist(dgs: Dgs, tmp_path: Path) -> None:
    result = dgs("up", "--schema", SCHEMA, "--data-dir", tmp_path / "no" / "state")
    assert (result.exit_code, "is not a directory; make it first" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("bus", "words"), [("memory://", "needs dgs up --samplers 0"), ("ftp://x", "bus URL 'ftp://x' is not understood")]
)
def test_a_bus_that_cannot_be(dgs: Dgs, tmp_path: Path, bus: str, words: str) -> None:
    result = dgs("up", "--schema", SCHEMA, "--data-dir", tmp_path / "state", "--bus", bus)
    assert (result.exit_code, words in result.stderr) == (2, True)


def test_a_port_in_use(dgs: Dgs, tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        result = dgs("up", "--schema", SCHEMA, "--data-dir", tmp_path / "state", "--port", port)
    assert (result.exit_code, f"port {port} of 127.0.0.1 is in use" in result.stderr) == (1, True)
    assert DataDir(tmp_path / "state").read() is None


def test_a_data_directory_that_is_served(dgs: Dgs, state: DataDir) -> None:
    with state.lock("up"):
        result = dgs("up", "--schema", SCHEMA, "--data-dir", state.root, "--port", 0)
    assert (result.exit_code, f"is already served by pid {os.getpid()}" in result.stderr) == (1, True)


def test_a_data_directory_of_another_schema(dgs: Dgs, state: DataDir, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(SCHEMA.read_text().replace('"item"', '"shop"'))
    result = dgs("up", "--schema", other, "--data-dir", state.root, "--port", 0)
    assert (result.exit_code, "the schema there is another one: vertex_defs" in result.stderr) == (1, True)


def test_a_data_directory_with_other_counts(dgs: Dgs, state: DataDir) -> None:
    result = dgs("up", "--schema", SCHEMA, "--data-dir", state.root, "--port", 0, "--partitions", 8)
    assert (result.exit_code, "--partitions is 4 there and 8 was asked for" in result.stderr) == (1, True)


def test_a_data_directory_of_a_newer_program(dgs: Dgs, state: DataDir) -> None:
    document = json.loads(state.deployment_file.read_text())
    state.deployment_file.write_text(json.dumps(document | {"format": 9}))
    result = dgs("up", "--schema", SCHEMA, "--data-dir", state.root, "--port", 0)
    assert (result.exit_code, "has format 9" in result.stderr) == (1, True)


def test_children_share_the_partitions_and_get_the_settings() -> None:
    settings = load({"partitions": "5", "samplers": "2", "data_dir": "d"}, {})
    frontend, first, second = _commands(settings, listening=10, ready=11, queries=12)
    assert list(frontend.descriptors) == [10, 11, 12]
    assert "--with-samplers" not in frontend.argv
    assert first.argv[-2:] == ["--partitions", "0,2,4"]
    assert second.argv[-2:] == ["--partitions", "1,3"]
    assert load({}, frontend.environment or {}) == settings


@pytest.mark.parametrize(("samplers", "processes"), [("0", 1), ("9", 6)])
def test_no_samplers_means_inside_and_there_are_never_more_than_partitions(samplers: str, processes: int) -> None:
    commands = _commands(load({"partitions": "5", "samplers": samplers, "data_dir": "d"}, {}), listening=10, ready=11, queries=12)
    assert len(commands) == processes
    assert ("--with-samplers" in commands[0].argv) == (samplers == "0")


def test_settings_go_through_the_environment_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load({"retry_timeout_s": "0.5", "fsync": "batch", "data_dir": "a b/c"}, {})
    assert load({}, as_environment(settings)) == settings
    assert load({}, as_environment(Settings())) == Settings()
    assert given({"port": None}, "port") is False
    monkeypatch.setenv("DGS_PORT", "1")
    assert given({"port": None}, "port") is True


def test_a_query_file_may_go_once_it_was_read(tmp_path: Path) -> None:
    from dgs.cli.check import read_queries, write_queries

    path = tmp_path / "q.json"
    shutil.copyfile(QUERY, path)
    query = QueryFile("q", str(path), json.loads(path.read_bytes()))
    with (tmp_path / "handed").open("w+b") as handed:
        write_queries(handed, Schema.parse(SCHEMA.read_bytes()), [query])
        path.unlink()
        for _ in range(2):
            assert read_queries(handed.fileno())[1] == [query]


@pytest.mark.parametrize(("frontends", "copies", "told"), [(2, 3, "no multiple of 3 copies"), (5, 1, "more than the 2 partitions")])
def test_frontends_that_do_not_fit_are_refused(dgs: Dgs, tmp_path: Path, frontends: int, copies: int, told: str) -> None:
    flags = ("--schema", SCHEMA, "--data-dir", tmp_path / "state", "--frontends", frontends, "--copies", copies, "--port", 0)
    result = dgs("cluster", "up", *flags)
    assert result.exit_code == 2
    assert told in result.output
