"""The page of errors, from the classes of `dgs.core.errors`."""

from collections.abc import Iterator

from dgs.api.problems import Problem
from dgs.core.errors import DgsError
from docs.generate.markdown import code, page, table

_ABOUT = """\
Everything that goes wrong on purpose is a `DgsError`; an indented class is one kind of the class above it. Outside `/admin/` an
HTTP answer of it is a problem document (RFC 9457) with this `type`; `problems` lists every reason. A command ends with the exit
status. What is retriable may succeed when it is asked again; an answer then has `Retry-After`."""


def errors_page() -> str:
    """Return the page."""
    head = ("error", "meaning", "HTTP status", "problem type", "exit status", "retriable")
    return page("Errors", _ABOUT, [table(head, _rows(DgsError, 0))])


def _rows(error: type[DgsError], depth: int) -> Iterator[tuple[str, ...]]:
    meaning = (error.__doc__ or "").partition("\n")[0]
    yield (
        "&nbsp;&nbsp;" * depth + code(error.__name__),
        meaning,
        str(error.http_status),
        code(Problem(error.http_status, error.title, []).type),
        str(error.exit_code),
        "yes" if error.retriable else "",
    )
    for below in error.__subclasses__():
        if below.__module__ == DgsError.__module__:
            yield from _rows(below, depth + 1)
