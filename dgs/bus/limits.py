"""How much records may take up: beyond it, those who append records are refused until there is room again.

Loaders alone have limits. Machines append what they have to: two logs in a loop that refuse each other would stand still for ever.
The service tells its loaders, whose bus then refuses.
"""

from dataclasses import dataclass
from pathlib import Path

from dgs.core.errors import NoRoomError
from dgs.troubles import free_bytes


@dataclass(frozen=True, slots=True)
class AppendLimits:
    """Limits of an append; 0 is no limit.

    Attributes:
        log_bytes_max: size of a log partition.
        disk_free_min_bytes: what stays free of the disk, for the machines' own logs and commits.
    """

    log_bytes_max: int = 0
    disk_free_min_bytes: int = 0

    def check_disk(self, directory: Path) -> None:
        """Check the disk of a directory.

        Raises:
            NoRoomError: less is free than has to stay free.
        """
        if self.disk_free_min_bytes and (free := free_bytes(directory)) < self.disk_free_min_bytes:
            raise NoRoomError(
                f"{free} bytes are free for the logs in {directory}, and {self.disk_free_min_bytes} have to stay free"
                " (disk_free_min_bytes): free some"
            )

    def check_log(self, log: str, log_bytes: int) -> None:
        """Check the size of a log, in bytes.

        Raises:
            NoRoomError: it is as large as a log may be.
        """
        if self.log_bytes_max and log_bytes >= self.log_bytes_max:
            raise NoRoomError(
                f"the log {log} has {log_bytes} bytes, the limit is {self.log_bytes_max} (log_bytes_max): start"
                " `dgs up` again with a larger --log-bytes-max"
            )


NO_LIMITS = AppendLimits()
"""For machines."""
