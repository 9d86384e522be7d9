"""The package as it is imported: what it offers, and how little it loads."""

import json
import subprocess
import sys
from importlib import import_module

import dgs_client
import pytest

from dgs.core import errors

SERVER_ONLY = {"numba", "fastapi", "pydantic", "uvicorn", "rocksdict", "torch", "prometheus_client", "orjson", "click", "rich"}
FOR_ANSWERS = {"numpy", "google.protobuf"}
ALLOWED = {"dgs", "dgs.backoff", "dgs.core", "dgs.core.errors", "dgs.core.token"}


def loaded(code: str) -> set[str]:
    """Return the modules that are loaded after some code, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(json.loads(done.stdout))


def test_importing_loads_next_to_nothing() -> None:
    bare, package = loaded(""), loaded("import dgs_client")
    assert package - bare <= {"dgs_client", "importlib", "importlib._bootstrap", "typing"} | loaded("import importlib, typing")


def test_a_client_needs_neither_numpy_nor_any_part_of_a_server() -> None:
    modules = loaded("from dgs_client import Client, NotFoundError; Client()")
    assert not modules & (SERVER_ONLY | FOR_ANSWERS)
    assert {m for m in modules if m.partition(".")[0] == "dgs"} <= ALLOWED


def test_an_answer_needs_no_part_of_a_server() -> None:
    modules = loaded("from dgs_client import Client, EgoGraphs; Client(direct=True); EgoGraphs.read(b'')")
    assert modules >= FOR_ANSWERS
    assert not modules & SERVER_ONLY
    rest = {m for m in modules if m.startswith("dgs.")}
    assert {m.partition(".")[0] + "." + m.split(".")[1] for m in rest} <= {"dgs.backoff", "dgs.core", "dgs.wire"}
    assert not {m for m in rest if m.startswith("dgs.core.kernels")}


def test_importing_costs_little_more_than_the_library_that_it_stands_on() -> None:
    """Of several tries the best, each in a process of its own, which measures itself."""
    measured = {}
    for what in ("import http.client, ssl, json, urllib.parse, threading, dataclasses", "from dgs_client import Client"):
        code = f"import time; began = time.perf_counter(); {what}; print(time.perf_counter() - began)"
        runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(5)]
        measured[what] = min(float(run.stdout) for run in runs)
    base, package = measured.values()
    assert package < 3 * base


def test_all_is_what_there_is() -> None:
    assert sorted(dgs_client.__all__) == list(dgs_client.__all__)
    for name in dgs_client.__all__:
        value = getattr(dgs_client, name)
        assert value is getattr(import_module(value.__module__), name)
        if issubclass(value, Exception):
            assert value is getattr(errors, name)
    assert set(dgs_client.__all__) <= set(dir(dgs_client))
    namespace: dict[str, object] = {}
    exec("from dgs_client import *", namespace)
    assert set(dgs_client.__all__) <= set(namespace)


def test_every_error_that_a_client_meets_is_offered() -> None:
    from dgs_client import connection

    assert {e.__name__ for e in connection._ERRORS.values()} | {"InputError", "DgsError", "UnreachableError"} <= set(
        dgs_client.__all__
    )


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        dgs_client.Nothing  # noqa: B018
