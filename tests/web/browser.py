"""Headless Chromium for tests and screenshots: where it is, how it is started, and what is said where it is missing."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

MISSING = "this needs Chromium; install it with `apt-get install chromium`"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""Of a browser in a container that is to talk to nobody but the page's service."""


@contextmanager
def chromium(executable: str) -> Iterator[Browser]:
    """Run Chromium until the end of the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def find_chromium() -> str | None:
    """Return where Chromium is, None where it is not."""
    return shutil.which("chromium") or shutil.which("chromium-browser")
