"""All metrics of the service, in one table: what Prometheus finds under `/metrics`, and what `docs/metrics.md` lists.

What parts know anyway is read from them when somebody asks (`Observation`), so that nothing is counted twice; only durations are
counted here, as no part keeps them. A frontend has one `Metrics`. A vertex id is never a label: there are too many.
"""

import platform
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from itertools import accumulate

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from dgs.telemetry.observation import Observation

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of the text format; the character set and the version belong to it."""
FRESHNESS_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
REQUEST_BUCKETS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Kind(StrEnum):
    """The type of a metric, in Prometheus' words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name, as it is asked for, and what it means."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str


_P, _EITHER = ("partition",), ("component", "partition")
RECORDS_APPLIED = Metric(
    "dgs_records_applied_total", Kind.COUNTER, _P, "Records that a sampler applied, those that changed nothing included."
)
RECORDS_REJECTED = Metric(
    "dgs_records_rejected_total",
    Kind.COUNTER,
    ("partition", "reason"),
    "What a sampler passed over: records that were refused, and entries that are unreadable, each counted as one.",
)
SAMPLER_UP = Metric(
    "dgs_sampler_up", Kind.GAUGE, _P, "1 if a sampler has reported lately, else 0. What else it says may then be old."
)
LAG_BYTES = Metric(
    "dgs_lag_bytes", Kind.GAUGE, _P, "Bytes of record-batches behind the position that all serving partitions reflect."
)
LAG_ENTRIES = Metric(
    "dgs_lag_entries",
    Kind.GAUGE,
    _P,
    "On Kafka: entries of record-batches behind the position that all serving partitions reflect.",
)
LAG_SECONDS = Metric(
    "dgs_lag_seconds", Kind.GAUGE, _P, "Seconds since the first record batch of the lag was appended; 0 where nothing lags."
)
SAMPLES_LAG_BYTES = Metric(
    "dgs_samples_lag_bytes", Kind.GAUGE, _P, "Bytes of sample-batches that a serving partition has not read."
)
SAMPLES_LAG_ENTRIES = Metric(
    "dgs_samples_lag_entries", Kind.GAUGE, _P, "On Kafka: entries of sample-batches that a serving partition has not read."
)
FRESHNESS = Metric(
    "dgs_freshness_seconds",
    Kind.HISTOGRAM,
    (),
    "Seconds from a record batch's append until a serving partition reflects it; the oldest batch of each note.",
)
REQUEST_DURATION = Metric(
    "dgs_request_duration_seconds",
    Kind.HISTOGRAM,
    ("route", "code"),
    "Seconds from a request's head to the end of its answer, waiting for positions included.",
)
REQUEST_SEEDS = Metric("dgs_request_seeds_total", Kind.COUNTER, _P, "Seeds that requests looked up in a serving partition.")
ROWS_PENDING = Metric(
    "dgs_rows_pending", Kind.GAUGE, _P, "Rows that a serving partition has asked a sampler for and that have not arrived."
)
DUPLICATES = Metric(
    "dgs_channel_duplicates_total", Kind.COUNTER, _EITHER, "Items that a machine had seen and dropped; replays and twins make them."
)
GAPS = Metric(
    "dgs_channel_gaps_total",
    Kind.COUNTER,
    _EITHER,
    "Items that a machine ignored, as one before them was missing; should not grow.",
)
BLOCKS_IGNORED = Metric(
    "dgs_blocks_ignored_total", Kind.COUNTER, _P, "Blocks of rows that a serving partition does not keep, or no longer."
)
VERTICES = Metric("dgs_vertices", Kind.GAUGE, _P, "Vertices that a serving partition knows, of all types.")
STATE_BYTES = Metric(
    "dgs_state_bytes", Kind.GAUGE, _EITHER, "Address space of a machine's vertices, rows and records; not all of it is in use."
)
SNAPSHOT_AGE = Metric(
    "dgs_snapshot_age_seconds", Kind.GAUGE, _P, "Seconds since a serving partition's newest snapshot was written."
)
CHECKPOINT_AGE = Metric("dgs_checkpoint_age_seconds", Kind.GAUGE, (), "Seconds since the newest checkpoint was complete.")
CHECKPOINT_DURATION = Metric("dgs_checkpoint_duration_seconds", Kind.GAUGE, (), "Seconds that the newest checkpoint took.")
CHECKPOINT_BYTES = Metric("dgs_checkpoint_bytes", Kind.GAUGE, (), "Bytes of states and logs that the newest checkpoint refers to.")
CHECKPOINT_SENT = Metric(
    "dgs_checkpoint_sent_bytes", Kind.GAUGE, (), "Bytes of the newest checkpoint that were not at the destination before it."
)
QUERIES = Metric("dgs_queries", Kind.GAUGE, (), "Installed queries.")
BARRIERS = Metric("dgs_barriers", Kind.GAUGE, ("state",), "Barriers by state.")
DEAD_LETTERS = Metric("dgs_dead_letters", Kind.GAUGE, (), "Log entries that workers passed over and kept as dead letters.")
BUILD_INFO = Metric("dgs_build_info", Kind.GAUGE, ("version", "python"), "1, with the versions of dgs and Python.")


_BUILD = (version("dgs"), platform.python_version())


def describe() -> tuple[Metric, ...]:
    """Return all metrics of our own, in the order of the documentation; `process_*` of the frontend's process come with them."""
    return tuple(value for value in globals().values() if isinstance(value, Metric))


class RequestTimer:
    """Durations of requests by route and status: one call a request, of a fraction of a microsecond.

    A histogram of prometheus_client costs three times that, mostly for locks; all requests are of one thread. A route is the
    template of a path ("/queries/{name}"), never a path as it was asked for.

    Attributes:
        clock: seconds that only grow, to measure with.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._counts: dict[tuple[str, int], list[int]] = {}
        self._sums: dict[tuple[str, int], float] = {}

    def observe(self, route: str, code: int, seconds: float) -> None:
        """Count a request that was answered with a status after so many seconds."""
        key = (route, code)
        if key not in self._counts:
            self._counts[key], self._sums[key] = [0] * (len(REQUEST_BUCKETS) + 1), 0.0
        self._counts[key][bisect_left(REQUEST_BUCKETS, seconds)] += 1
        self._sums[key] += seconds

    def family(self) -> Family:
        """Return the metric."""
        found = HistogramMetricFamily(REQUEST_DURATION.name, REQUEST_DURATION.help, labels=REQUEST_DURATION.labels)
        bounds = [*map(str, REQUEST_BUCKETS), "+Inf"]
        for (route, code), counts in self._counts.items():
            buckets = list(zip(bounds, accumulate(counts), strict=True))
            found.add_metric([route, str(code)], buckets, self._sums[route, code])
        return found


class Metrics:
    """The metrics of a frontend.

    Args:
        clock: seconds that only grow.

    Attributes:
        requests: to be told of every request.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # when a counter began says nothing here
        self._registry = CollectorRegistry()
        self.requests = RequestTimer(clock)
        self._observed = _Observed(self.requests)
        self._registry.register(self._observed)
        ProcessCollector(registry=self._registry)
        self._freshness = Histogram(FRESHNESS.name, FRESHNESS.help, registry=self._registry, buckets=FRESHNESS_BUCKETS)

    def observe_freshness(self, seconds: float) -> None:
        """Count one measurement of freshness."""
        self._freshness.observe(seconds)

    def text(self, observation: Observation) -> bytes:
        """Return all metrics in Prometheus' text format (`MEDIA_TYPE`)."""
        self._observed.current = observation
        return generate_latest(self._registry)


class _Observed(Collector):
    """Turns the current observation, and what was timed, into metrics."""

    def __init__(self, requests: RequestTimer) -> None:
        self._requests = requests
        self.current: Observation | None = None

    def describe(self) -> Iterable[Family]:
        """Return the families without a value: the registry asks for their names."""
        return [self._requests.family(), *(_family(m, ()) for m in describe() if m.kind is not Kind.HISTOGRAM)]

    def collect(self) -> Iterator[Family]:
        """Return the families with their values."""
        yield self._requests.family()
        if self.current is not None:
            yield from _families(self.current)


_Values = Iterable[tuple[tuple[object, ...], float | None]]
"""Values by their labels; a value of None is not known and left out."""


def _family(metric: Metric, values: _Values) -> Family:
    kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in values:
        if value is not None:
            family.add_metric([str(label) for label in labels], value)
    return family


def _families(seen: Observation) -> Iterator[Family]:
    samplers = [(r.partition, r.figures) for r in seen.records if r.figures is not None]
    yield _family(RECORDS_APPLIED, (((p,), figures.records_applied) for p, figures in samplers))
    yield _family(RECORDS_REJECTED, (((p, why), n) for p, figures in samplers for why, n in figures.rejected.items()))
    yield _family(SAMPLER_UP, (((r.partition,), int(r.up)) for r in seen.records))
    lags = [((r.partition,), r.lag) for r in seen.records]
    yield _family(LAG_BYTES, [] if seen.counts_entries else lags)
    yield _family(LAG_ENTRIES, lags if seen.counts_entries else [])
    yield _family(LAG_SECONDS, (((r.partition,), r.lag_seconds) for r in seen.records))
    lags = [((s.partition,), s.lag) for s in seen.serving]
    yield _family(SAMPLES_LAG_BYTES, [] if seen.counts_entries else lags)
    yield _family(SAMPLES_LAG_ENTRIES, lags if seen.counts_entries else [])
    yield _family(REQUEST_SEEDS, (((s.partition,), s.figures.seeds) for s in seen.serving))
    yield _family(ROWS_PENDING, (((s.partition,), s.figures.rows_pending) for s in seen.serving))
    machines = [("sampler", p, figures) for p, figures in samplers] + [("serving", s.partition, s.figures) for s in seen.serving]
    yield _family(DUPLICATES, (((component, p), f.duplicates) for component, p, f in machines))
    yield _family(GAPS, (((component, p), f.gaps) for component, p, f in machines))
    yield _family(BLOCKS_IGNORED, (((s.partition,), s.figures.ignored) for s in seen.serving))
    yield _family(VERTICES, (((s.partition,), s.figures.vertices) for s in seen.serving))
    yield _family(STATE_BYTES, (((component, p), f.state_bytes) for component, p, f in machines))
    yield _family(SNAPSHOT_AGE, (((s.partition,), s.snapshot_age_s) for s in seen.serving))
    checkpoints = [] if seen.checkpoint is None else [seen.checkpoint]
    yield _family(CHECKPOINT_AGE, (((), c.age_s) for c in checkpoints))
    yield _family(CHECKPOINT_DURATION, (((), c.duration_s) for c in checkpoints))
    yield _family(CHECKPOINT_BYTES, (((), c.nbytes) for c in checkpoints))
    yield _family(CHECKPOINT_SENT, (((), c.sent_bytes) for c in checkpoints))
    yield _family(QUERIES, [((), seen.queries)])
    yield _family(BARRIERS, (((state,), n) for state, n in seen.barriers.items()))
    yield _family(DEAD_LETTERS, [((), seen.dead_letters)])
    yield _family(BUILD_INFO, [(_BUILD, 1)])
