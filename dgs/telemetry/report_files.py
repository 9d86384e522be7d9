"""Reports of samplers as small files of the data directory, each replaced as a whole: how they travel on one host.

A file is not synced: after a power loss a report of before is worth nothing. Sampler processes write, the frontend reads.
"""

from pathlib import Path

from dgs.telemetry.reports import SamplerReport


class ReportFiles:
    """The reports in a folder, `sampler-0.json` and so on; the folder is made by the first one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def publish(self, report: SamplerReport) -> None:
        """Put a report in the place of the last one of its partition.

        Raises:
            OSError: it cannot be written.
        """
        path = self._path(report.partition)
        temporary = path.with_suffix(f".{report.pid}.tmp")  # a twin may report at the same time
        self._folder.mkdir(exist_ok=True)
        try:
            temporary.write_bytes(report.to_json())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def latest(self, partition: int) -> SamplerReport | None:
        """Return the last report of a partition; None if there is none that can be read."""
        try:
            report = SamplerReport.from_json(self._path(partition).read_bytes())
        except (OSError, ValueError):
            return None
        return report if report.partition == partition else None

    def _path(self, partition: int) -> Path:
        return self._folder / f"sampler-{partition}.json"
