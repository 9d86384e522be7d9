"""Reports of samplers as small files of the data directory: how they travel on one host.

Sampler processes write, the frontend reads.
"""

from pathlib import Path

from dgs.bulletin import Bulletin
from dgs.telemetry.reports import SamplerReport


class ReportFiles:
    """The reports in a folder, `sampler-0` and so on; the folder is made by the first one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def publish(self, report: SamplerReport) -> None:
        """Put a report in the place of the last one of its partition.

        Raises:
            OSError: it cannot be written.
        """
        self._bulletin(report.partition).publish(report.to_json())

    def latest(self, partition: int) -> SamplerReport | None:
        """Return the last report of a partition; None if there is none that can be read."""
        report = self._bulletin(partition).read(SamplerReport.from_json)
        return report if report is not None and report.partition == partition else None

    def _bulletin(self, partition: int) -> Bulletin:
        return Bulletin(self._folder / f"sampler-{partition}")
