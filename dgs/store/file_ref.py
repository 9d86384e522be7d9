"""A file of a checkpoint, and where its content is."""

from dataclasses import dataclass
from typing import Any, Self

FOLDER = "objects"


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file of a checkpoint, and the object that has its content.

    Attributes:
        path: where it belongs, relative to the folder of its part, with slashes.
        nbytes: how long it is.
        sha256: of its content, in hexadecimal.
    """

    path: str
    nbytes: int
    sha256: str

    @property
    def object(self) -> str:
        """The object's name at the destination."""
        return f"{FOLDER}/{self.sha256[:2]}/{self.sha256}"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"path": self.path, "bytes": self.nbytes, "sha256": self.sha256}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Read what `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: it is something else, or names a place outside of its folder.
        """
        path, sha256 = str(document["path"]), str(document["sha256"])
        if not path or path.startswith("/") or ".." in path.split("/"):
            raise ValueError(f"{path!r} is no path within a folder")
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise ValueError(f"{sha256!r} is no hash")
        return cls(path, int(document["bytes"]), sha256)
