"""Requests over HTTP: the service's answers against a static body of their size from the same server, in turns.

Requests a second say what a user gets beside the load generator on the same cores; CPU time of the server a request says what it
costs, and hardly depends on who else is on the machine.
"""

from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from perf.check import check_all
from perf.client import Answered, Load, run
from perf.graph import Graph
from perf.process import cpu_seconds
from perf.report import Aim, Row
from perf.service import Service
from perf.static import static_server

OFFERED = 0.5
"""Latencies are taken at this part of the most requests a second that the service answers in the same run."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of one server: what the client saw, and CPU time of the server a request in µs."""

    answered: Answered
    cpu_us: float


def measure(
    graph: Graph, service: Service, seeds: int, *, rounds: int, seconds: float, aims: dict[str, Aim | None], connections: int = 16
) -> list[Row]:
    """Return the rows for requests of so many seeds: by requests a second, and by the server's CPU time.

    Args:
        graph: that the service has been loaded with.
        service: a running one.
        seeds: a request names.
        rounds: each server gets so many turns.
        seconds: of a turn.
        aims: what rows should reach: "rate" against the static body, "core" in requests and "samples" in seeds a second of the
            server's core.
        connections: of the client.

    Raises:
        WrongAnswerError: an answer is not the oracle's.
        RefusedError: a request failed.
    """
    load = Load(service.port, graph.vertices, seeds, seconds, connections)
    warm = run(replace(load, seconds=seconds / 4, keep=16))
    checked = check_all(graph, warm.kept)
    bodies = sorted((body for _, body in warm.kept), key=len)
    body = bodies[len(bodies) // 2]
    ours, floor = [], []
    with static_server(body) as (port, pid):
        run(replace(load, port=port, seconds=seconds / 4))
        for i in range(rounds):
            floor.append(_turn(replace(load, port=port, keep=0), pid))
            ours.append(_turn(replace(load, seed=i + 2, keep=8), service.frontend))
            checked += check_all(graph, ours[-1].answered.kept)
        rate = OFFERED * median(t.answered.rate for t in ours)
        steady = _turn(replace(load, rate=rate, seed=99), service.frontend)
        checked += check_all(graph, steady.answered.kept)
        static = run(replace(load, port=port, rate=rate, keep=0))
    return _rows(graph, seeds, ours, floor, (steady.answered, static, rate), aims, {"bytes": len(body), "checked": checked})


def _turn(load: Load, pid: int) -> Turn:
    before = cpu_seconds([pid])
    answered = run(load)
    return Turn(answered, (cpu_seconds([pid]) - before) / answered.requests * 1e6)


def _rows(
    graph: Graph,
    seeds: int,
    ours: list[Turn],
    floor: list[Turn],
    latencies: tuple[Answered, Answered, float],
    aims: dict[str, Aim | None],
    detail: dict[str, Any],
) -> list[Row]:
    what = f"HTTP protobuf, {seeds} seed{'s' * (seeds > 1)} a request, {graph.shape}"
    steady, static, rate = latencies
    rates, floor_rates = [t.answered.rate for t in ours], [t.answered.rate for t in floor]
    costs, floor_costs = [t.cpu_us for t in ours], [t.cpu_us for t in floor]
    ratio = median(a / b for a, b in zip(rates, floor_rates, strict=True))
    detail |= {"rates": rates, "floor_rates": floor_rates, "cpu_us": costs, "floor_cpu_us": floor_costs}
    detail |= {"histogram": steady.histogram, "floor_histogram": static.histogram, "floor_latencies": static.latencies(rate)}
    found = [Row(what, "requests/s", median(rates), median(floor_rates), ratio, aims.get("rate"), steady.latencies(rate), detail)]
    cost, least = min(costs), min(floor_costs)
    found.append(Row("  the server's CPU time", "µs/request", cost, least, least / cost))
    if seeds > 1:
        found.append(Row("  seeds a second of the server's core", "seeds/s", seeds * 1e6 / cost, aim=aims.get("samples")))
    else:
        found.append(Row("  requests a second of the server's core", "requests/s", 1e6 / cost, 1e6 / least, aim=aims.get("core")))
    return found
