"""Reading the files that a user names: what is missing, a folder or no JSON is said in the user's words."""

import json
from pathlib import Path
from typing import Any

from dgs.core.errors import InputError


def read_bytes(path: Path) -> bytes:
    """Return a file's content; InputError when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as e:
        raise InputError(f"{path}: {e.strerror or e}") from None


def read_json(path: Path) -> Any:
    """Return the JSON document in a file; InputError when it cannot be read or is something else."""
    try:
        return json.loads(read_bytes(path))
    except ValueError as e:
        raise InputError(f"{path}: not JSON: {e}") from None
