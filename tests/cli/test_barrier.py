"""`dgs barrier` against a stand-in service that is slow, away, or comes back."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .conftest import Answer, Dgs, FakeService, as_json, problem


def state(name: str) -> Answer:
    return as_json({"name": "loaded", "state": name, "count": 1, "loaders": [0]})


def test_set_prints_the_state(dgs: Dgs, service: FakeService) -> None:
    service.on("GET /barriers/loaded", as_json({"name": "loaded", "state": "NOT_SET", "count": None, "loaders": []}))
    service.on("POST /barriers/loaded", state("NOT_SET"))
    assert dgs("barrier", "set", "loaded", "--count", 3, "--loader-id", 2, "--server", service.url).output == "NOT_SET\n"
    method, target, body = service.asked[1]
    assert (method, target, json.loads(body)) == ("POST", "/barriers/loaded", {"count": 3, "loader_id": 2})


def test_set_twice_otherwise_fails(dgs: Dgs, service: FakeService) -> None:
    service.on("GET /barriers/loaded", as_json({"name": "loaded", "state": "READY", "count": 2, "loaders": [1, 2]}))
    service.on("POST /barriers/loaded", problem(409, detail="Barrier loaded Already Set."))
    result = dgs("barrier", "set", "loaded", "--server", service.url)
    assert (result.exit_code, result.stderr) == (1, "dgs: Barrier loaded Already Set.\n")


def test_set_again_says_that_it_covers_nothing_new(dgs: Dgs, service: FakeService) -> None:
    service.on("GET /barriers/loaded", state("READY"))
    service.on("POST /barriers/loaded", state("READY"))
    result = dgs("barrier", "set", "loaded", "--server", service.url)
    assert (result.exit_code, result.stdout) == (0, "READY\n")
    assert "does not cover what was loaded since" in result.stderr


@pytest.mark.parametrize("arguments", [["--count", "0"], ["--loader-id", "-1"], ["--count", "x"]])
def test_wrong_numbers_are_wrong_usage(dgs: Dgs, arguments: list[str]) -> None:
    assert dgs("barrier", "set", "loaded", *arguments).exit_code == 2


def test_status(dgs: Dgs, service: FakeService) -> None:
    service.on("GET /barriers/loaded", state("SAMPLED"))
    assert dgs("barrier", "status", "loaded", "--server", service.url).output == "SAMPLED\n"
    assert '"count": 1' in dgs("barrier", "status", "loaded", "--output", "json", "--server", service.url).output


def test_wait_returns_when_ready(dgs: Dgs, service: FakeService) -> None:
    service.on("GET /barriers/loaded", state("NOT_SET"), state("PRODUCED"), state("SAMPLED"), state("READY"))
    result = dgs("barrier", "wait", "loaded", "--server", service.url)
    assert (result.exit_code, result.stdout) == (0, "READY\n")
    assert result.stderr == "dgs: barrier loaded is not set yet; waiting for its loaders\n"
    assert len(service.asked) == 4


def test_wait_times_out_and_says_how_far_it_got(dgs: Dgs, service: FakeService) -> None:
    service.on("GET /barriers/loaded", state("SAMPLED"))
    result = dgs("barrier", "wait", "loaded", "--timeout", "0.3", "--server", service.url)
    assert (result.exit_code, result.stderr) == (4, "dgs: barrier loaded is SAMPLED after 0.3 s, not READY\n")


def test_a_timeout_of_nothing_asks_once(dgs: Dgs, service: FakeService) -> None:
    service.on("GET /barriers/loaded", state("READY"))
    assert dgs("barrier", "wait", "loaded", "--timeout", "0", "--server", service.url).exit_code == 0


def test_wait_asks_cheaply(dgs: Dgs, service: FakeService) -> None:
    service.on("GET /barriers/loaded", state("PRODUCED"))
    dgs("barrier", "wait", "loaded", "--timeout", "2", "--server", service.url)
    assert len(service.asked) <= 12


def test_wait_gives_up_on_a_service_that_stays_away(dgs: Dgs) -> None:
    result = dgs("barrier", "wait", "loaded", "--server", "127.0.0.1:9", "--retry-timeout", "0.2")
    assert result.exit_code == 3
    assert "going on when it is back" in result.stderr
    assert "was away for" in result.stderr


def test_a_deadline_while_the_service_is_away_is_unreachable(dgs: Dgs) -> None:
    began = time.monotonic()
    assert dgs("barrier", "wait", "loaded", "--server", "127.0.0.1:9", "--timeout", "0.3").exit_code == 3
    assert time.monotonic() - began < 5


@contextmanager
def coming_back(service: FakeService, port: int, after_s: float) -> Iterator[None]:
    done = threading.Event()

    def run() -> None:
        time.sleep(after_s)
        with service.running(port):
            done.wait(20)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_wait_survives_a_service_that_is_away_meanwhile(dgs: Dgs) -> None:
    service = FakeService()
    service.on("GET /barriers/loaded", state("PRODUCED"), problem(503, detail="starting"), state("READY"))
    with service.running():
        port = service.port
    with coming_back(service, port, 0.5):
        result = dgs("barrier", "wait", "loaded", "--timeout", "15", "--server", service.url)
    assert (result.exit_code, result.stdout) == (0, "READY\n")
    assert result.stderr.count("going on when it is back") == 2
