"""Tells a person how far a load has come: one line that renews itself on a terminal, a line every few seconds elsewhere."""

import time
from collections.abc import Callable
from typing import IO

_TERMINAL_PERIOD_S = 0.1
_LOG_PERIOD_S = 5.0


class Progress:
    """Counts lines, or events, and bytes, and shows them.

    Args:
        stream: where to; must not be the stream of the data.
        total_bytes: size of the input, where it is known.
        unit: what is counted, in the plural.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        stream: IO[str],
        total_bytes: int | None,
        clock: Callable[[], float] = time.monotonic,
        *,
        unit: str = "lines",
    ) -> None:
        self.unit = unit
        self.count = 0
        self.bytes = 0
        self._stream = stream
        self._total_bytes = total_bytes
        self._clock = clock
        self._terminal = stream.isatty()
        self._period_s = _TERMINAL_PERIOD_S if self._terminal else _LOG_PERIOD_S
        self._start_s = self._shown_s = clock()
        self._width = 0

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._start_s

    def advance(self, count: int, size: int, dead: int) -> None:
        """Count lines of `size` bytes that are done; `dead` is the number of dead letters so far."""
        self.count += count
        self.bytes += size
        if self._clock() - self._shown_s >= self._period_s:
            self._shown_s = self._clock()
            self._show(self._line(dead))

    def wait(self, behind: int, unit: str) -> None:
        """Show that the load pauses, as the service is so many bytes, or entries, behind."""
        if self._terminal or self._clock() - self._shown_s >= self._period_s:
            self._shown_s = self._clock()
            told = f"{behind / (1 << 20):,.0f} MiB" if unit == "bytes" else f"{behind:,} entries"
            self._show(f"{self.count:,} {self.unit}, waiting: the service is {told} behind")

    def clear(self) -> None:
        """Take the line off a terminal, so that something else can be written."""
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
            self._width = 0

    def _line(self, dead: int) -> str:
        seconds = max(self.elapsed_s, 1e-3)
        part = f" ({100 * self.bytes / self._total_bytes:.0f} %)" if self._total_bytes else ""
        return (
            f"{self.count:,} {self.unit}, {self.bytes / 1e6:,.1f} MB{part}, "
            f"{self.count / seconds:,.0f} {self.unit}/s, {self.bytes / 1e6 / seconds:,.1f} MB/s, {dead:,} dead letters"
        )

    def _show(self, line: str) -> None:
        if self._terminal:
            self._stream.write("\r" + line.ljust(self._width))
            self._width = len(line)
        else:
            self._stream.write(line + "\n")
        self._stream.flush()
