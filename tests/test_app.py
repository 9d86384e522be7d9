"""The composition root's own rules: how a process ends, what is tried again, and how a failing sampler partition goes on."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dgs.app import sampling
from dgs.app.member import Member
from dgs.app.process import bus_url, run
from dgs.app.sampling import Sampling
from dgs.bus.memory import MemoryBus
from dgs.config import load
from dgs.core.deployment import Deployment
from dgs.core.errors import CodecError, ConflictError, NotReadyError, StateError
from dgs.core.schema import Schema
from dgs.core.types import PartitionIndex
from dgs.datadir import DataDir
from dgs.insist import insist
from dgs.membership.heartbeat import News
from dgs.membership.link import OwnLink
from dgs.troubles import Troubles

SETTINGS = load({"data_dir": "unused"}, {})
SCHEMA: dict[str, list[object]] = {"attr_defs": [], "vertex_defs": [], "edge_defs": [], "edge_relation_defs": []}
DEPLOYMENT = Deployment("log", 1, 1, 1, Schema.parse(json.dumps(SCHEMA)))


def test_the_bus_is_the_data_directory_unless_another_is_given() -> None:
    assert bus_url(SETTINGS, DataDir(Path("/tmp/a b"))) == "local:///tmp/a%20b/log"
    assert bus_url(load({"bus": "memory://"}, {}), DataDir(Path("x"))) == "memory://"


def test_sigterm_ends_a_process_properly_and_a_second_one_does_not_disturb() -> None:
    done: list[str] = []

    async def main() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.sleep(60)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.1)
            done.append("drained")

    run(main())
    assert done == ["drained"]


def test_of_several_errors_the_one_on_purpose_is_told() -> None:
    async def fail(error: Exception) -> None:
        raise error

    async def main() -> None:
        async with asyncio.TaskGroup() as outer:
            outer.create_task(fail(ValueError()))
            async with asyncio.TaskGroup() as inner:
                inner.create_task(fail(StateError("what to do")))

    with pytest.raises(StateError, match="what to do"):
        run(main())


async def test_what_may_succeed_later_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgs.insist.RETRY_FIRST_S", 0.001)
    outcomes: list[Exception | None] = [NotReadyError("wait"), NotReadyError("wait"), None, ConflictError("no")]
    calls: list[tuple[int, str]] = []

    async def call(number: int, word: str) -> None:
        calls.append((number, word))
        if (error := outcomes[len(calls) - 1]) is not None:
            raise error

    await insist("do it", call, 1, "a")
    assert calls == [(1, "a")] * 3
    with pytest.raises(ConflictError):
        await insist("do it", call, 2, "b")


class Scripted:
    """Stands for SamplerWorker; each run does what the script says next."""

    def __init__(self, outcomes: list[Exception | None]) -> None:
        self.outcomes = outcomes
        self.stores: list[Any] = []

    def __call__(self, deployment: Deployment, partition: PartitionIndex, bus: MemoryBus, store: Any, **_: object) -> "Scripted":
        self.stores.append(store)
        return self

    async def run(self) -> None:
        if (error := self.outcomes.pop(0)) is not None:
            raise error


class Store:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def keep_sampling(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    monkeypatch.setattr(sampling, "RETRY_FIRST_S", 0.001)
    monkeypatch.setattr("dgs.store.rocks.RocksStore", Store)

    async def run(*outcomes: Exception | None) -> Scripted:
        worker = Scripted(list(outcomes))
        monkeypatch.setattr("dgs.sampler.worker.SamplerWorker", worker)
        directory, troubles = DataDir(tmp_path), Troubles()
        member = Member(SETTINGS, directory, DEPLOYMENT, "sampler-0", OwnLink(lambda _: News()), troubles)
        await Sampling(SETTINGS, directory, DEPLOYMENT, [0], MemoryBus(), troubles, member)._keep(PartitionIndex(0))
        assert member.samplers() == ()
        return worker

    return run


async def test_a_failing_partition_goes_back_to_its_last_commit(keep_sampling: Callable[..., Any], tmp_path: Path) -> None:
    worker = await keep_sampling(ValueError("a bug"), ExceptionGroup("", [OSError("disk full")]), None)
    assert len(worker.stores) == 3
    assert all(s.closed and s.path == tmp_path / "sampler" / "0" for s in worker.stores)


@pytest.mark.parametrize("error", [StateError("x"), CodecError("x"), ExceptionGroup("", [StateError("x")])])
async def test_what_another_try_would_not_mend_ends_it(keep_sampling: Callable[..., Any], error: Exception) -> None:
    with pytest.raises((StateError, CodecError), match="x"):
        await keep_sampling(error, None)
