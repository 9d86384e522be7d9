"""Log lines: events with fields."""

import datetime
import io
import json
import logging
from collections.abc import Iterator

import pytest

from dgs.core.errors import InputError
from dgs.telemetry import logs


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.set_up("info", "frontend", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def test_an_event_with_fields(lines: io.StringIO) -> None:
    log = logs.get("dgs.test")
    log.info("partition assigned", partition=3, name="two words", empty="", line="a\nb")
    log.debug("not told")
    time, rest = lines.getvalue().split(" ", 1)
    assert time.endswith("Z")
    assert rest == "INFO frontend dgs.test: partition assigned partition=3 name='two words' empty='' line='a\\nb'\n"


def test_a_failure_with_its_traceback(lines: io.StringIO) -> None:
    try:
        raise ZeroDivisionError("why")
    except ZeroDivisionError as e:
        logs.get("dgs.test").error("failed", exc_info=e, partition=1)
    logs.get("dgs.test").warning("50% done")
    assert "ERROR frontend dgs.test: failed partition=1\nTraceback" in lines.getvalue()
    assert "ZeroDivisionError: why\n" in lines.getvalue()
    assert "WARNING frontend dgs.test: 50% done\n" in lines.getvalue()


def test_libraries_come_out_in_the_same_form(lines: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").info("Started %s", "it")
    logging.getLogger("uvicorn.access").info("a request")
    assert lines.getvalue().endswith("INFO frontend uvicorn.error: Started it\n")


def test_no_such_level() -> None:
    with pytest.raises(InputError, match="loud"):
        logs.set_up("loud", "frontend")


@pytest.fixture
def objects(lines: io.StringIO) -> io.StringIO:
    lines.truncate(0)
    logs.set_up("info", "sampler[0,1]", "json", lines)
    return lines


def test_json_has_a_line_an_event(objects: io.StringIO) -> None:
    log = logs.get("dgs.test")
    log.info("partition assigned", partition=3, name='a "quoted"\nline', cause=OSError("why"), half="\udc80", big=1 << 70)
    log.info("bare")
    first, second = map(json.loads, objects.getvalue().splitlines())
    now = datetime.datetime.fromisoformat(first.pop("time"))
    assert abs(now - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(minutes=10)
    assert first == {
        "level": "info",
        "logger": "dgs.test",
        "process": "sampler[0,1]",
        "event": "partition assigned",
        "fields": {"partition": 3, "name": 'a "quoted"\nline', "cause": "why", "half": "\udc80", "big": 1 << 70},
    }
    assert set(second) == {"time", "level", "logger", "process", "event"}


def test_json_has_the_traceback_as_a_field(objects: io.StringIO) -> None:
    try:
        raise ZeroDivisionError("why")
    except ZeroDivisionError as e:
        logs.get("dgs.test").error("failed", exc_info=e, partition=1)
    logging.getLogger("uvicorn.error").warning("Started %s", "it")
    failed, started = map(json.loads, objects.getvalue().splitlines())
    assert failed["exception"].startswith("Traceback")
    assert failed["exception"].endswith("ZeroDivisionError: why")
    assert (started["event"], started["level"], started["logger"]) == ("Started it", "warning", "uvicorn.error")


def test_no_such_format() -> None:
    with pytest.raises(InputError, match="'xml' is none of text, json"):
        logs.set_up("info", "frontend", "xml")
