"""How the values of an event stand in a line: delimiters that no data has, and texts in which these and line ends are escaped.

A line of a file cannot hold its delimiter; a text of an event may hold anything. The mapping escapes, the parser takes it back.
"""

import re

DELIMITER, LIST_DELIMITER = "\x1f", "\x1e"
_ESCAPED = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", DELIMITER: "\\d", LIST_DELIMITER: "\\l"}
_PLAIN = {code.encode(): text.encode() for text, code in _ESCAPED.items()}
_TO_ESCAPE = re.compile(r"[\\\n\r\x1e\x1f]")
_TO_UNESCAPE = re.compile(rb"\\[\\nrdl]")


def escape(text: str) -> str:
    """Return a text as it can stand in a line."""
    return _TO_ESCAPE.sub(lambda found: _ESCAPED[found[0]], text)


def unescape(field: bytes) -> bytes:
    """Return the text that stands in a line as `field`."""
    return _TO_UNESCAPE.sub(lambda found: _PLAIN[found[0]], field) if b"\\" in field else field
