"""Names that users give to queries and barriers: any text that fits on one line. They are keys, never paths."""

import unicodedata

from dgs.core.errors import InputError

NAME_CHARS_MAX = 200
_REFUSED = {"Cc": "control characters", "Cs": "surrogates"}


def check_name(what: str, name: str) -> None:
    """Check the name of a thing of this kind.

    Raises:
        InputError: it is empty, longer than NAME_CHARS_MAX, or holds control characters or surrogates.
    """
    if not name:
        raise InputError(f"the name of a {what} must not be empty")
    if len(name) > NAME_CHARS_MAX:
        raise InputError(f"the name of a {what} may have {NAME_CHARS_MAX} characters, not {len(name)}")
    for category in map(unicodedata.category, name):
        if category in _REFUSED:
            raise InputError(f"the name of a {what} must not hold {_REFUSED[category]}: {name!a}")
