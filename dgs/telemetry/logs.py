"""Logs: events with fields, one line per change of state, none per record.

Everything above the core logs through `get`; the process's entry point calls `set_up` once. Libraries below us log through the
standard library and come out in the same format. It never decides what is worth logging.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

from dgs.core.errors import InputError

LEVELS = ("debug", "info", "warning", "error")
_FIELDS = "dgs_fields"
_NOISY = {"uvicorn.access": logging.WARNING, "aiokafka": logging.CRITICAL}
"""Loggers that would write a line per request, or per attempt of what is tried again, and from which level on they are heard."""


class EventLogger:
    """Logs events: `log.info("order written", number=3)`. A wrapper over a standard logger of the same name."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: object) -> None:
        """Log what helps to follow the code."""
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Log a change of state."""
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log what may need somebody's attention."""
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, *, exc_info: BaseException | None = None, **fields: object) -> None:
        """Log a failure, with the traceback of `exc_info` where it is given."""
        self._log(logging.ERROR, event, fields, exc_info)

    def _log(self, level: int, event: str, fields: dict[str, object], exc_info: BaseException | None = None) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", event, exc_info=exc_info, extra={_FIELDS: fields})


class LineFormatter(logging.Formatter):
    """One line for people: time, level, process, logger, event, then fields as key=value. Times are UTC."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the traceback below it where there is one."""
        fields: dict[str, object] = getattr(record, _FIELDS, {})
        words = [
            logging.Formatter.formatTime(self, record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z",
            record.levelname,
            self._process,
            f"{record.name}: {record.getMessage()}",
            *(f"{key}={_text(value)}" for key, value in fields.items()),
        ]
        line = " ".join(words)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line

    @staticmethod
    def converter(seconds: float | None) -> time.struct_time:
        """Return UTC, whatever the machine's time zone is."""
        return time.gmtime(seconds)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for machines: time (RFC 3339, UTC), level, logger, process, event, fields, exception.

    `fields` and `exception` (a traceback) are there where the event has them. A value that is no JSON becomes its text.
    """

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the object."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": self._process,
            "event": record.getMessage(),
        }
        if fields := getattr(record, _FIELDS, None):
            line["fields"] = fields
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        # orjson refuses texts with halves of surrogate pairs and integers beyond 64 bits; a log line is never lost for that.
        return json.dumps(line, default=str)


def get(name: str) -> EventLogger:
    """Return the event logger of a module; pass `__name__`."""
    return EventLogger(name)


def set_up(level: str, process: str, form: str = "text", stream: TextIO | None = None) -> None:
    """Send everything from `level` on (one of LEVELS) to `stream` (stderr), as lines that name this process.

    Args:
        level: least severe one that is told.
        process: its name.
        form: one of FORMS.
        stream: where to.

    Raises:
        InputError: no such level or form.
    """
    if level not in LEVELS:
        raise InputError(f"log level {level!r} is none of {', '.join(LEVELS)}")
    if form not in FORMS:
        raise InputError(f"log format {form!r} is none of {', '.join(FORMS)}")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(FORMS[form](process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _NOISY.items():
        logging.getLogger(name).setLevel(least)


FORMS: dict[str, Callable[[str], logging.Formatter]] = {"text": LineFormatter, "json": JsonFormatter}
"""Formatters by the names of the setting `log_format`; they take the name of the process."""


def _text(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and not set(text) & set(' "=') else repr(text)
