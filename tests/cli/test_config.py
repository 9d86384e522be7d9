"""`dgs config show`: every setting with its value and where that comes from."""

import dataclasses
import json
from typing import Any

import pytest

from dgs.cli import config
from dgs.config import SECRET, SETTINGS

from .conftest import Dgs


def shown(dgs: Dgs, *flags: object) -> dict[str, dict[str, Any]]:
    result = dgs("config", "show", "--output", "json", *flags)
    assert result.exit_code == 0, result.output
    return {s["name"]: s for s in json.loads(result.stdout)["settings"]}


def test_every_setting_says_where_it_comes_from(dgs: Dgs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DGS_PARTITIONS", "7")
    monkeypatch.setenv("DGS_FSYNC", "batch")
    found = shown(dgs, "--partitions", 8, "--data-dir", "/somewhere")
    assert list(found) == [s.name for s in SETTINGS]
    assert (found["partitions"]["value"], found["partitions"]["source"], found["partitions"]["default"]) == (8, "--partitions", 4)
    assert (found["fsync"]["value"], found["fsync"]["source"]) == ("batch", "DGS_FSYNC")
    assert (found["data_dir"]["value"], found["data_dir"]["default"]) == ("/somewhere", None)
    others = {name: s for name, s in found.items() if name not in ("partitions", "fsync", "data_dir")}
    assert all(s["source"] == "default" and s["value"] == s["default"] for s in others.values())
    assert (found["commit_interval_ms"]["unit"], found["host"]["unit"]) == ("ms", None)
    assert all(s["help"] and s["environment"].startswith("DGS_") for s in found.values())
    assert [name for name, s in found.items() if s["flag"] is None] == ["retry_timeout_s"]


def test_the_table_has_a_line_for_each(dgs: Dgs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DGS_PORT", "1234")
    lines = {line.split()[0]: line for line in dgs("config", "show").stdout.splitlines()}
    assert list(lines) == [s.name for s in SETTINGS]
    assert lines["port"].split()[1:3] == ["1234", "DGS_PORT"]
    assert lines["port"].endswith("[default 8700]")
    assert "unset" in lines["bus"]


def test_what_is_wrong_is_told_as_by_up(dgs: Dgs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DGS_PORTS", "1")
    result = dgs("config", "show")
    assert result.exit_code == 0
    assert "DGS_PORTS is no setting and is ignored; did you mean DGS_PORT?" in result.stderr
    result = dgs("config", "show", "--port", "x")
    assert result.exit_code == 2
    assert "port = 'x' (from --port): not an integer" in result.stderr


def test_a_secret_is_never_shown(dgs: Dgs, monkeypatch: pytest.MonkeyPatch) -> None:
    table = [dataclasses.replace(s, secret=True) if s.name in ("bus", "port") else s for s in SETTINGS]
    monkeypatch.setattr(config, "SETTINGS", table)
    found = shown(dgs, "--bus", "memory://hunter2", "--port", 4711)
    assert (found["bus"]["value"], found["port"]["value"], found["port"]["default"]) == (SECRET, SECRET, SECRET)
    assert found["bus"]["default"] is None
    table_text = dgs("config", "show", "--bus", "memory://hunter2", "--port", 4711).output
    assert "hunter2" not in table_text
    assert "4711" not in table_text
