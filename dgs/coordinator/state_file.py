"""The file that keeps the coordinator's state: JSON with a checksum, replaced as a whole.

A reader sees the old state or the new one, whatever happens in between. It holds no rules and no state of its own; the coordinator
saves in it and loads from it, in a thread.
"""

import json
import zlib
from pathlib import Path

from dgs.coordinator.state import State, read_state
from dgs.core.deployment import Deployment
from dgs.core.errors import StateError
from dgs.core.repair import ANEW
from dgs.store.durable import write_durably

FORMAT = 1
"""Of the file. A newer one is refused, an older one would be read."""


class StateFile:
    """The state of one deployment's coordinator in one file. One process at a time: the data directory's lock sees to that."""

    def __init__(self, path: Path, deployment: Deployment) -> None:
        self.path = path
        self._orders_before_logs = bool(deployment.first_orders)
        self._belongs_to = {"log_id": deployment.log_id, "generation": deployment.generation}

    def load(self) -> State:
        """Return the state that was saved last; the first state where there is no file.

        Raises:
            StateError: the file is damaged, of a newer format, of another deployment, or cannot be read, or is gone where the
                deployment was made with it; says what to do.
        """
        try:
            document = json.loads(self.path.read_bytes())
            version = int(document["format"])
        except FileNotFoundError:
            if self._orders_before_logs:
                raise StateError(f"{self.path} is gone, and the logs do not have all that was in it; {ANEW}") from None
            return State()
        except OSError as e:
            raise StateError(f"{self.path} cannot be read: {e.strerror}; let this user read it, then start again") from None
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as e:
            raise self._damaged(e) from None
        if version > FORMAT:
            raise StateError(f"{self.path} has format {version}, this program reads up to {FORMAT}: start the dgs that wrote it")
        try:
            content = document["state"]
            if document["crc32"] != _checksum(content):
                raise ValueError("its checksum is wrong")
            state = read_state(content)
            belongs_to = document["deployment"]
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as e:
            raise self._damaged(e) from None
        if belongs_to != self._belongs_to:
            raise StateError(
                f"{self.path} belongs to the deployment {belongs_to}, not {self._belongs_to}: put back the file of this data"
                f" directory; or {ANEW}"
            )
        return state

    def save(self, state: State) -> None:
        """Replace the state; durable when it returns. When it raises, the old state stands or the new one.

        Raises:
            OSError: the file system refuses.
        """
        content = state.to_json()
        document = {"format": FORMAT, "deployment": self._belongs_to, "crc32": _checksum(content), "state": content}
        write_durably(self.path, json.dumps(document, ensure_ascii=False).encode() + b"\n")

    def _damaged(self, cause: Exception) -> StateError:
        what = f"{cause} is missing" if isinstance(cause, KeyError) else str(cause)
        return StateError(f"{self.path} is damaged ({what}), and the logs do not have all that was in it; {ANEW}")


def _checksum(content: object) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True, separators=(",", ":")).encode())
