"""Reports of samplers: value, rhythm, and the files that carry them."""

import asyncio
import json
from pathlib import Path

import pytest

from dgs.telemetry.figures import SamplerFigures
from dgs.telemetry.report_files import ReportFiles
from dgs.telemetry.reports import HEARTBEAT_S, REPORT_INTERVAL_S, STALE_AFTER_S, Reporter, SamplerReport

FIGURES = SamplerFigures(7, 5, 100, {"unreadable": 2}, 1, 0, 1 << 20)
REPORT = SamplerReport(3, 4711, 1_700_000_000_000, 12.5, FIGURES)


class Published:
    """Reporter of partition 3 with a clock that is turned by hand, and what it published."""

    def __init__(self) -> None:
        self.now = 50.0
        self.reports: list[SamplerReport] = []
        self.fails = False
        self.reporter = Reporter(3, self._publish, clock=lambda: self.now, wall_clock=lambda: 1_700_000_000 + self.now)

    def _publish(self, report: SamplerReport) -> None:
        if self.fails:
            raise OSError(28, "No space left on device")
        self.reports.append(report)

    def tick(self, after_s: float, figures: SamplerFigures) -> int:
        """Let time pass, tick, and return how many reports that made."""
        self.now += after_s
        before = len(self.reports)
        self.reporter.tick(figures)
        return len(self.reports) - before


def applied(records: int) -> SamplerFigures:
    return SamplerFigures(records, records, records)


def test_a_report_comes_out_as_it_went_in() -> None:
    assert SamplerReport.from_json(REPORT.to_json()) == REPORT
    newer = json.loads(REPORT.to_json())
    newer["more"] = newer["figures"]["more"] = 1
    assert SamplerReport.from_json(json.dumps(newer).encode()) == REPORT


@pytest.mark.parametrize("name", ["partition", "pid", "reported_ms", "records_per_second", "figures"])
@pytest.mark.parametrize("value", [None, -1, "1", [1], True])
def test_what_is_no_report_is_refused(name: str, value: object) -> None:
    for wrong in (
        {**json.loads(REPORT.to_json()), name: value},
        {k: v for k, v in json.loads(REPORT.to_json()).items() if k != name},
    ):
        with pytest.raises(ValueError, match="report"):
            SamplerReport.from_json(json.dumps(wrong).encode())


@pytest.mark.parametrize("name", ["position", "committed", "records_applied", "rejected", "duplicates", "gaps", "state_bytes"])
def test_figures_that_are_none_are_refused(name: str) -> None:
    for value in (None, -1, 1.5, "1", {"x": "y"}):
        document = json.loads(REPORT.to_json())
        document["figures"][name] = value
        with pytest.raises(ValueError, match="report"):
            SamplerReport.from_json(json.dumps(document).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"null", b"\xff"])
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # of whatever reads JSON
        SamplerReport.from_json(data)


def test_reports_follow_changes_and_otherwise_beat_like_a_heart() -> None:
    published = Published()
    assert published.tick(0, applied(0)) == 1
    assert published.tick(1, applied(500)) == 1
    assert published.reports[-1].records_per_second == 500
    assert published.tick(1, applied(500)) == 1, "that the rate fell to 0 is news"
    assert published.reports[-1].records_per_second == 0
    silent = [published.tick(HEARTBEAT_S / 4, applied(500)) for _ in range(8)]
    assert silent == [0, 0, 0, 1, 0, 0, 0, 1]
    last = published.reports[-1]
    assert (last.partition, last.reported_ms, last.figures) == (3, int((1_700_000_000 + published.now) * 1000), applied(500))


def test_a_partition_that_counts_from_0_again_has_no_negative_rate() -> None:
    published = Published()
    for records in (500, 20):
        published.tick(1, applied(records))
    assert published.reports[-1].records_per_second == 0


def test_a_live_sampler_is_never_stale() -> None:
    assert STALE_AFTER_S >= 2 * (HEARTBEAT_S + REPORT_INTERVAL_S)


def test_what_cannot_be_published_is_said_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    published = Published()
    published.fails = True
    for records in range(3):
        published.tick(1, applied(records))
    assert [r.getMessage() for r in caplog.records] == ["reports cannot be published; the partition will be shown as down"]
    published.fails = False
    assert published.tick(1, applied(9)) == 1


async def test_a_reporter_runs_until_it_is_cancelled() -> None:
    published = Published()
    task = asyncio.create_task(published.reporter.run(lambda: FIGURES))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [r.figures for r in published.reports] == [FIGURES]


def test_the_last_report_of_a_partition_stands_in_its_file(tmp_path: Path) -> None:
    files = ReportFiles(tmp_path / "reports")
    assert files.latest(3) is None
    files.publish(REPORT)
    later = SamplerReport(3, 1, 1, 0.0, applied(1))
    files.publish(later)
    assert ReportFiles(tmp_path / "reports").latest(3) == later
    assert files.latest(0) is None
    assert [p.name for p in (tmp_path / "reports").iterdir()] == ["sampler-3"]


def test_a_file_that_holds_no_report_of_this_partition_says_nothing(tmp_path: Path) -> None:
    files = ReportFiles(tmp_path)
    files.publish(REPORT)
    (tmp_path / "sampler-3").rename(tmp_path / "sampler-4.json")
    assert files.latest(4) is None
    (tmp_path / "sampler-4").write_bytes(b"{}")
    assert files.latest(4) is None


def test_a_report_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    files = ReportFiles(tmp_path)
    (tmp_path / "sampler-3").mkdir()
    with pytest.raises(OSError, match="directory"):
        files.publish(REPORT)
    assert [p.name for p in tmp_path.iterdir()] == ["sampler-3"]
