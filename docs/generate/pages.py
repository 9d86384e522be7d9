"""The table of generated pages; nothing here knows what they say."""

from pathlib import Path

from docs.generate.commands import commands_page
from docs.generate.errors import errors_page
from docs.generate.metrics import metrics_page
from docs.generate.paths import paths_page
from docs.generate.settings import settings_page

FOLDER = Path(__file__).parents[1] / "reference"


def pages() -> dict[str, str]:
    """Return every page by its file name."""
    return {
        "settings.md": settings_page(),
        "cli.md": commands_page(),
        "http.md": paths_page(),
        "metrics.md": metrics_page(),
        "errors.md": errors_page(),
    }
