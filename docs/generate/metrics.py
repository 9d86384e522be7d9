"""The page of metrics, from the table of `dgs.telemetry.metrics`."""

from dgs.telemetry.metrics import describe
from docs.generate.markdown import code, page, table

_ABOUT = """\
What `GET /metrics` answers, in Prometheus' text format. `process_*` of the frontend's process come with them. A
vertex id is never a label."""


def metrics_page() -> str:
    """Return the page."""
    rows = ((code(m.name), str(m.kind), ", ".join(map(code, m.labels)), m.help) for m in describe())
    return page("Metrics", _ABOUT, [table(("metric", "type", "labels", "meaning"), rows)])
