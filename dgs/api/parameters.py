"""What a URL holds, read strictly.

The framework replaces what is not UTF-8, takes the last of two values and ignores what it does not know; the user never learns it.
"""

from urllib.parse import unquote_to_bytes

from dgs.core.errors import InputError
from dgs.http.gate import Scope


def given_parameters(query_string: bytes, problems: list[str]) -> dict[str, str]:
    """Return the parameters by name, and add to `problems` what cannot be read or is given twice."""
    given: dict[str, str] = {}
    for part in query_string.split(b"&"):
        if not part:
            continue
        key, _, value = part.partition(b"=")
        try:
            name, text = _decoded(key), _decoded(value)
        except UnicodeDecodeError:
            problems.append(f"{part.decode('ascii', 'replace')} is not UTF-8")
            continue
        if name in given:
            problems.append(f"{name} is given twice")
        given[name] = text
    return given


def check_path(scope: Scope) -> None:
    """Check that the path is text.

    Raises:
        InputError: it is not UTF-8; the server put U+FFFD there, and several paths became one.
    """
    raw = scope.get("raw_path")
    if raw is None:  # servers may leave it out
        return
    try:
        unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise InputError(f"the path {raw.decode('ascii', 'replace')} is not UTF-8") from None


def _decoded(text: bytes) -> str:
    if b"%" in text or b"+" in text:
        text = unquote_to_bytes(text.replace(b"+", b" "))
    return text.decode()
