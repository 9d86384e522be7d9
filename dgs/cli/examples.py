"""Where the example schemas and queries are: beside the package in a checkout, inside of it in an installed wheel."""

from pathlib import Path

import dgs
from dgs.core.errors import StateError


def example(name: str) -> Path:
    """Return the folder of an example, with schema.json and query.json in it.

    Raises:
        StateError: it was not installed.
    """
    package = Path(dgs.__file__).parent
    for schemas in (package / "schemas", package.parent / "schemas"):
        if (schemas / name / "schema.json").is_file():
            return schemas / name
    raise StateError(f"the example {name} is not part of this installation; install dgs again")
