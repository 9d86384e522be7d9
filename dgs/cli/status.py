"""`dgs status`: how a service fares, on one page: partitions, lags, freshness, queries, barriers, and what needs a look."""

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from dgs.cli.service import connected, retry_option, server_option
from dgs.core.errors import NotReadyError, UnreachableError

if TYPE_CHECKING:
    from dgs_client.connection import Connection
    from rich.console import Console, RenderableType

WATCH_S = 1.0
"""Between two looks."""
UNKNOWN = "–"
_SCALES = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


@click.command()
@click.option("--watch", is_flag=True, help="Look again every second, until Ctrl-C.")
@click.option(
    "--output", type=click.Choice(["table", "json"]), default="table", show_default=True, help="Form; json is one line a look."
)
@server_option
@retry_option(0.0)
def status(watch: bool, output: str, server: str, retry_timeout_s: float) -> None:
    """Show how the service fares: partitions, lag, freshness, queries, barriers, and what is down.

    Ends with 0 if the service answers, whatever it answers.

    \b
    Example: dgs status --watch
    """
    with connected(server, retry_timeout_s) as service:
        cluster = service.get("/cluster").json()
        if output == "json":
            _as_json(cluster)
            while watch:
                time.sleep(WATCH_S)
                _as_json(service.get("/cluster").json())
        elif watch:
            _watch(service, cluster)
        else:
            _console().print(page(cluster))


def _as_json(cluster: dict[str, Any]) -> None:
    click.echo(json.dumps(cluster))


def _watch(service: "Connection", cluster: dict[str, Any]) -> None:
    """Show the page anew every second; a service that goes away meanwhile may come back."""
    from rich.live import Live

    console = _console()
    with Live(page(cluster), console=console, auto_refresh=False, screen=console.is_terminal) as live:
        while True:
            time.sleep(WATCH_S)
            try:
                live.update(page(service.get("/cluster").json()), refresh=True)
            except (UnreachableError, NotReadyError):
                live.update(f"no answer from {service.server}; looking again", refresh=True)


def page(cluster: dict[str, Any]) -> "RenderableType":
    """Return the page that shows an answer of `/cluster`."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(line) for line in _facts(cluster)]
    parts += [Text(problem, "bold red") for problem in problems(cluster)]
    parts.append(_table("record partitions", _RECORD_COLUMNS, [_record(s) for s in cluster["samplers"]]))
    parts.append(_table("serving partitions", _SERVING_COLUMNS, [_serving(s) for s in cluster["serving"]]))
    if cluster["barriers"]:
        barriers = [(b["name"], b["state"]) for b in cluster["barriers"]]
        parts.append(_table("barriers", ("name", "state"), barriers, left=2))
    return Group(*parts)


def problems(cluster: dict[str, Any]) -> list[str]:
    """Return what is down or needs a look, a line each."""
    found = []
    for s in cluster["samplers"]:
        if not s["up"]:
            age = s["reported_s_ago"]
            why = "it has never reported" if age is None else f"its last report is {seconds(age)} old"
            found.append(f"the sampler of record partition {s['partition']} is down: {why}")
    for s in cluster["samplers"]:
        for unit, show in ("bytes", size), ("entries", _entries):
            lag, limit = s.get(f"lag_{unit}"), cluster.get(f"lag_{unit}_max")
            if limit and lag is not None and lag > limit:
                found.append(f"loaders pause: record partition {s['partition']} is {show(lag)} behind, the limit is {show(limit)}")
    for m in cluster["members"]:
        if not m["up"]:
            had = [f"{what} {','.join(map(str, m[what]))}" for what in ("samplers", "serving") if m[what]]
            found.append(f"{m['name']} ({'; '.join(had)}) was heard {seconds(m['heard_s_ago'])} ago for the last time")
    for s in cluster["serving"]:
        if not s["answers"] and not any(c["up"] for c in s["copies"]):
            found.append(f"nobody that is up serves serving partition {s['partition']}")
        elif not s["answers"]:
            found.append(f"serving partition {s['partition']} does not answer yet: it reads what was there before its start")
        elif not s["caught_up"]:
            found.append(f"serving partition {s['partition']} answers with its snapshot: it reads what was there before its start")
    if cluster["record_ends"] is None:
        found.append("the bus does not answer")
    if cluster["orders_pending"]:
        found.append(f"{cluster['orders_pending']} orders of the coordinator are not written yet")
    if cluster["dead_letters"]:
        found.append(f"{cluster['dead_letters']} log entries could not be read and were kept as dead letters")
    return found


def _facts(cluster: dict[str, Any]) -> list[str]:
    fresh = cluster["freshness_s"]
    freshness = "nothing measured in the last minute"
    if fresh is not None:
        freshness = f"p50 {seconds(fresh['p50'])}, p99 {seconds(fresh['p99'])} ({fresh['samples']} in the last minute)"
    queries = ", ".join(q["name"] + ("" if q["ready"] else " (not ready)") for q in cluster["queries"]) or "none"
    newest = cluster["checkpoint"]
    checkpoint = "none" if newest is None else f"{newest['id']}, {seconds(newest['age_s'])} ago, {size(newest['bytes'])}"
    return [
        f"deployment {cluster['log_id']}, generation {cluster['generation']}",
        f"queries     {queries}",
        f"freshness   {freshness}",
        f"checkpoint  {checkpoint}",
    ]


def _entries(number: int | None) -> str:
    return UNKNOWN if number is None else f"{number:,} entries"


def _lag(s: dict[str, Any]) -> str:
    return size(s["lag_bytes"]) if s.get("lag_entries") is None else _entries(s["lag_entries"])


_RECORD_COLUMNS = (
    "partition",
    "sampler",
    "position",
    "committed",
    "end",
    "lag",
    "age",
    "records/s",
    "applied",
    "rejected",
    "memory",
)


def _record(s: dict[str, Any]) -> Sequence[str]:
    return (
        str(s["partition"]),
        f"pid {s['pid']}{_further(s)}" if s["up"] else "down",
        _number(s["position"]),
        _number(s["committed"]),
        _number(s["end"]),
        _lag(s),
        seconds(s["lag_seconds"]),
        _number(s["records_per_second"] if s["up"] else None),
        _number(s["records_applied"]),
        _number(s["records_rejected"]),
        size(s["state_bytes"]),
    )


def _further(s: dict[str, Any]) -> str:
    """Return how many more processes that are up have a partition."""
    further = sum(c["up"] for c in s["copies"]) - 1
    return f" +{further}" if further > 0 else ""


_SERVING_COLUMNS = ("partition", "serving", "lag", "rows pending", "vertices", "memory", "watermark", "snapshot")


def _serving(s: dict[str, Any]) -> Sequence[str]:
    snapshot = s["snapshot"]
    return (
        str(s["partition"]),
        ("ready" if s["caught_up"] else "reading") + _further(s),
        _lag(s),
        _number(s["rows_pending"]),
        _number(s["vertices"]),
        size(s["state_bytes"]),
        UNKNOWN if s["watermark"] is None else str(s["watermark"]),
        UNKNOWN if snapshot is None else f"{seconds(snapshot['age_s'])} ago",
    )


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 0) -> "RenderableType":
    """Return a table whose first columns, or the second alone, stand to the left; texts are shown as they are."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"\n{title}", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i < left or i == 1 else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def size(n: int | None) -> str:
    """Return a number of bytes for people."""
    if n is None:
        return UNKNOWN
    for scale, unit in _SCALES:
        if n >= scale:
            return f"{n / scale:.1f} {unit}"
    return f"{n} B"


def seconds(s: float | None) -> str:
    """Return a duration for people."""
    if s is None:
        return UNKNOWN
    if s < 1:
        return f"{s * 1000:.0f} ms"
    return f"{s:.1f} s" if s < 120 else f"{s / 60:.0f} min" if s < 7200 else f"{s / 3600:.0f} h"


def _number(n: float | None) -> str:
    return UNKNOWN if n is None else f"{n:,.0f}"


def _console() -> "Console":
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 132  # whoever reads a file or a pipe has room
    return console
