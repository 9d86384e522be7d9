"""Tests that need a program which is not installed: they are skipped, but in continuous integration they fail."""

import os
from typing import NoReturn

import pytest


def lacking(what: str) -> NoReturn:
    """End the test, or all that need the fixture.

    Args:
        what: is missing, and the command that installs it.
    """
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)
