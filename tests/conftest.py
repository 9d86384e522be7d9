"""Hypothesis looks for new examples on a developer's machine; continuous integration tries the same ones every time."""

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
