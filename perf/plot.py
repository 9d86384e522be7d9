"""Plots of the figures, as PNG files: latencies, ratios against their aims, how soon updates are seen, memory over time.

matplotlib comes with `.[perf]`; nothing else imports it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from hdrh.histogram import HdrHistogram

mpl.use("agg")
from matplotlib import pyplot  # the backend comes first: there may be no display

from perf.report import Row

_PERCENTILES = (0, 25, 50, 75, 90, 95, 99, 99.5, 99.9)


def plot_rows(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Draw all that rows have to show; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [_ratios(rows, folder / "ratios.png")]
    if latencies := [r for r in rows if "histogram" in r.detail]:
        drawn.append(_latencies(latencies, folder / "latencies.png"))
    if probed := [r for r in rows if "probes_s" in r.detail]:
        drawn.append(_visible(probed, folder / "visible.png"))
    return drawn


def plot_memory(samples: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw what `perf.memory` has sampled: bytes of every process and log against the edges that were loaded."""
    figure, (memory, disk) = pyplot.subplots(2, 1, figsize=(9, 8), sharex=True)
    millions = [s["edges"] / 1e6 for s in samples]
    for name in samples[0]["rss"]:
        memory.plot(millions, [s["rss"][name] / 1e6 for s in samples], label=name)
    for name in samples[0]["disk"]:
        disk.plot(millions, [s["disk"][name] / 1e6 for s in samples], label=name)
    memory.set_ylabel("resident memory, MB")
    disk.set_ylabel("on disk, MB")
    disk.set_xlabel("million edges loaded")
    for axes in (memory, disk):
        axes.set_ylim(bottom=0)
        axes.legend()
        axes.grid(alpha=0.3)
    _save(figure, path)


def _ratios(rows: Sequence[Row], path: Path) -> Path:
    shown = [r for r in rows if r.ratio is not None][::-1]
    figure, axes = pyplot.subplots(figsize=(10, 0.4 * len(shown) + 1.2))
    axes.barh([r.work.strip() for r in shown], [r.ratio or 0.0 for r in shown], color="#4477aa")
    for i, row in enumerate(shown):
        if row.aim is not None and row.aim.of_ratio:
            aim = (row.aim.least if row.aim.least is not None else row.aim.most) or 0.0
            axes.plot([aim, aim], [i - 0.45, i + 0.45], color="#cc3311", linewidth=2)
    axes.set_xlabel("ratio to the floor (red: the aim)")
    return _save(figure, path)


def _latencies(rows: Sequence[Row], path: Path) -> Path:
    figure, axes = pyplot.subplots(figsize=(10, 6))
    for i, row in enumerate(rows):
        for name, style in (("histogram", "-"), ("floor_histogram", ":")):
            if name in row.detail:
                found = HdrHistogram.decode(row.detail[name])
                values = [found.get_value_at_percentile(p) / 1000 for p in _PERCENTILES]
                label = f"{row.work}{'' if name == 'histogram' else ' (floor)'}"
                axes.plot(range(len(_PERCENTILES)), values, style, color=f"C{i}", label=label)
    axes.set_xticks(range(len(_PERCENTILES)), [f"{p:g}" for p in _PERCENTILES])
    axes.set_yscale("log")
    axes.set_xlabel("percentile, open loop, from the moment a request was due")
    axes.set_ylabel("ms")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    return _save(figure, path)


def _visible(rows: Sequence[Row], path: Path) -> Path:
    figure, axes = pyplot.subplots(figsize=(8, 5))
    for row in rows:
        ms = np.sort(np.array(row.detail["probes_s"])) * 1000
        axes.plot(ms, (np.arange(len(ms)) + 1) / len(ms), label=row.work.strip())
    axes.set_xlabel("ms from the moment an edge was due to be written until an answer shows it")
    axes.set_ylabel("part of the probes")
    axes.set_xlim(left=0)
    axes.legend()
    axes.grid(alpha=0.3)
    return _save(figure, path)


def _save(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path
