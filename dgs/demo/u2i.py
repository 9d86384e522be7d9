"""A made-up shop: users, items, and who looked at what, as files to train a model on and to stream into a service.

`generate` is all of it: the same arguments give the same files, byte for byte. `training/` is the state at the start as tables;
`streaming/` is the same state as a load at timestamp 0, followed by five updates at each timestamp from 1 on. The command
`dgs generate u2i` calls it; it never talks to a service.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dgs.core.errors import InputError

ITEMS_PER_USER, ITEMS_PER_ITEM = 15, 10
"""At the start a user has so many consecutive items, and an item so many following items, fewer at the end of the row."""
USER_WINDOW, ITEM_WINDOW = 30, 20
"""Later a user's next item is one of so many, and the item after that one of so many behind it."""
PATTERN = """\
#VERTEX:user,#ID,timestamp,feature
#VERTEX:item,#ID,timestamp,feature
#EDGE:u2i,#SRC:user,#DST:item,timestamp,weight
#EDGE:i2i,#SRC:item,#DST:item,timestamp,weight
"""


@dataclass(frozen=True, slots=True)
class Generated:
    """What was made: the two folders, and the number of lines to stream."""

    training: Path
    streaming: Path
    lines: int


def generate(
    output_dir: Path,
    *,
    user_num: int = 100,
    item_num: int = 1000,
    feature_num: int = 10,
    streaming_epoch: int = 1000,
    seed: int = 0,
) -> Generated:
    """Write `training/{user,item,u2i,i2i}.txt` and `streaming/{u2i.pattern,u2i.streaming}` into a folder, which is made.

    Args:
        output_dir: the folder; files of these names in it are replaced.
        user_num: users, with ids from 0.
        item_num: items, with ids from 0.
        feature_num: floats in every feature.
        streaming_epoch: timestamps after 0; each has five updates.
        seed: another seed gives other features, weights and updates.

    Raises:
        InputError: a number is too small.
        OSError: the files cannot be written.
    """
    least = {"user_num": (user_num, 1), "item_num": (item_num, 1), "feature_num": (feature_num, 1)}
    least |= {"streaming_epoch": (streaming_epoch, 0), "seed": (seed, 0)}
    if problems := [f"{name} must be at least {low}, not {value}" for name, (value, low) in least.items() if value < low]:
        raise InputError(problems)
    shop = _Shop(user_num, item_num, feature_num, np.random.default_rng(seed))
    training, streaming = output_dir / "training", output_dir / "streaming"
    for folder in (training, streaming):
        folder.mkdir(parents=True, exist_ok=True)
    for name, header, rows in shop.tables():
        _write(training / f"{name}.txt", (header, *("\t".join(row) for row in rows)))
    lines = [*shop.start(), *shop.updates(streaming_epoch)]
    _write(streaming / "u2i.streaming", lines)
    (streaming / "u2i.pattern").write_text(PATTERN, encoding="utf-8")
    return Generated(training, streaming, len(lines))


class _Shop:
    """The state at the start, drawn when it is made, and the updates after it."""

    def __init__(self, user_num: int, item_num: int, feature_num: int, rng: np.random.Generator) -> None:
        self._user_num, self._item_num, self._feature_num, self._rng = user_num, item_num, feature_num, rng
        self._grid = item_num // user_num
        self._users = [(str(user), self._feature()) for user in range(user_num)]
        self._items = [(str(item), self._feature()) for item in range(item_num)]
        self._u2i = [
            (str(user), str((user * self._grid + step) % item_num), self._weight())
            for user in range(user_num)
            for step in range(ITEMS_PER_USER)
        ]
        self._i2i = [
            (str(item), str(following), self._weight())
            for item in range(item_num)
            for following in range(item + 1, min(item + ITEMS_PER_ITEM + 1, item_num))
        ]

    def tables(self) -> Iterator[tuple[str, str, Iterable[tuple[str, ...]]]]:
        """Give name, header and rows of each training table."""
        yield "user", "id:int64\tfeature:string", self._users
        yield "item", "id:int64\tfeature:string", self._items
        yield "u2i", "src_id:int64\tdst_id:int64\tweight:float", self._u2i
        yield "i2i", "src_id:int64\tdst_id:int64\tweight:float", self._i2i

    def start(self) -> Iterator[str]:
        """Give the lines of the state at timestamp 0."""
        for name, vertices in (("user", self._users), ("item", self._items)):
            yield from (f"{name},{vertex},0,{feature}" for vertex, feature in vertices)
        for name, edges in (("u2i", self._u2i), ("i2i", self._i2i)):
            yield from (f"{name},{src},{dst},0,{weight}" for src, dst, weight in edges)

    def updates(self, epochs: int) -> Iterator[str]:
        """Give five lines per timestamp: a user and two items with new features, and the edges between them."""
        for timestamp in range(1, epochs + 1):
            user = int(self._rng.integers(self._user_num))
            first = (user * self._grid + int(self._rng.integers(USER_WINDOW))) % self._item_num
            second = (first + 1 + int(self._rng.integers(ITEM_WINDOW))) % self._item_num
            yield f"user,{user},{timestamp},{self._feature()}"
            yield f"item,{first},{timestamp},{self._feature()}"
            yield f"item,{second},{timestamp},{self._feature()}"
            yield f"u2i,{user},{first},{timestamp},{self._weight()}"
            yield f"i2i,{first},{second},{timestamp},{self._weight()}"

    def _feature(self) -> str:
        values: NDArray[np.float64] = self._rng.random(self._feature_num)
        return ":".join(f"{value:.3f}" for value in values.tolist())

    def _weight(self) -> str:
        return f"{self._rng.random() + int(self._rng.integers(4)):.3f}"


def _write(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
