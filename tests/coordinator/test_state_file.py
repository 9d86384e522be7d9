"""The state file: what was saved comes back, what is damaged or foreign is refused with the repair."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dgs.coordinator.state import Barrier, FixedDimension, Query, State
from dgs.coordinator.state_file import FORMAT, StateFile
from dgs.core.deployment import Deployment
from dgs.core.errors import StateError
from dgs.core.layout import Dimension
from tests.coordinator.conftest import Document, Start

STATE = State(
    last=3,
    written=2,
    loaders_admitted=True,
    queries=(Query(1, 0, "ключ", {"query_plan": {"plan_nodes": [1.5, "é", None]}}),),
    dimensions=(FixedDimension(2, Dimension("edge", 2, 2, 16)),),
    barriers={"half \u202e set": Barrier(2, frozenset({7})), "whole": Barrier(1, frozenset({0}), 3, 1, 2, (2, 0))},
)


def test_what_was_saved_comes_back(tmp_path: Path, deployment: Deployment) -> None:
    file = StateFile(tmp_path / "state.json", deployment)
    assert file.load() == State()
    file.save(STATE)
    assert file.load() == STATE
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]


def test_a_torn_temporary_file_means_nothing(tmp_path: Path, deployment: Deployment) -> None:
    file = StateFile(tmp_path / "state.json", deployment)
    file.save(STATE)
    (tmp_path / "state.json.tmp").write_text("{")
    assert file.load() == STATE
    file.save(State())
    assert file.load() == State()


def test_a_newer_format(tmp_path: Path, deployment: Deployment) -> None:
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"format": FORMAT + 1, "whatever": 1}))
    with pytest.raises(StateError, match=r"state\.json has format 2, .* start the dgs that wrote it"):
        StateFile(path, deployment).load()


def test_a_file_that_is_a_directory(tmp_path: Path, deployment: Deployment) -> None:
    with pytest.raises(StateError, match="cannot be read"):
        StateFile(tmp_path, deployment).load()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.data())
def test_damage_is_noticed(tmp_path: Path, deployment: Deployment, data: st.DataObject) -> None:
    """Every flipped, cut or added byte is refused, unless it changes no value (JSON's white space)."""
    file = StateFile(tmp_path / "state.json", deployment)
    file.save(STATE)
    content = bytearray(file.path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[position] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[position:]
    file.path.write_bytes(content)
    with suppress(StateError):
        assert file.load() == STATE


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "[]",
        "null",
        '{"format": 1}',
        '{"format": "x"}',
        '{"format": Infinity}',
        '{"format": 1, "state": 5, "crc32": 0}',
        "[" * 100_000,
    ],
)
def test_other_json_is_damage(tmp_path: Path, deployment: Deployment, damaged: str) -> None:
    (tmp_path / "state.json").write_text(damaged)
    with pytest.raises(StateError, match=r"damaged .*`dgs checkpoint restore --data-dir NEW"):
        StateFile(tmp_path / "state.json", deployment).load()


async def test_a_plan_that_is_not_accepted_any_more(
    start: Start, document: Document, deployment: Deployment, tmp_path: Path
) -> None:
    plan: dict[str, Any] = json.loads(document(fanout=0))
    StateFile(tmp_path / "state.json", deployment).save(State(last=1, queries=(Query(1, 0, "clicks", plan),)))
    with pytest.raises(StateError, match="holds a query that this program refuses"):
        await start()


def test_orders_must_be_numbered_without_gaps(tmp_path: Path, deployment: Deployment) -> None:
    file = StateFile(tmp_path / "state.json", deployment)
    file.save(State(last=2, queries=(Query(2, 0, "clicks", {}),)))
    with pytest.raises(StateError, match="numbered"):
        file.load()


@pytest.mark.parametrize("last", [1 << 40, 10**30])
def test_a_count_of_orders_is_compared_not_counted_up_to(tmp_path: Path, deployment: Deployment, last: int) -> None:
    file = StateFile(tmp_path / "state.json", deployment)
    file.save(State(last=last))
    with pytest.raises(StateError, match="numbered"):
        file.load()
