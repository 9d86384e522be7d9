"""Checkpoints at a destination: a manifest makes one, the newest of a deployment stay, nothing of others is touched."""

import dataclasses
import json
from pathlib import Path

import pytest

from dgs.core.errors import CodecError, NotFoundError, StateError
from dgs.store.checkpoints import ABANDONED_AFTER_S, Checkpoints, new_id
from dgs.store.destination import Destination
from dgs.store.file_ref import FileRef
from dgs.store.manifest import SAMPLER, SERVING, LogRange, Manifest, Part
from dgs.store.objects import Objects, check
from dgs.store.uploads import Pace, Uploader

NOW_S = 1_700_000_000.0


@pytest.fixture
def checkpoints(destination: Destination) -> Checkpoints:
    return Checkpoints(destination)


class Sender:
    """Sends files with some content."""

    def __init__(self, checkpoints: Checkpoints, folder: Path) -> None:
        self._objects = Objects(checkpoints.destination, Uploader(checkpoints.destination, Pace(1 << 40)))
        self._path = folder / "sent"

    def send(self, content: bytes) -> FileRef:
        self._path.write_bytes(content)
        return self._objects.put(self._path, "file")


@pytest.fixture
def sender(checkpoints: Checkpoints, tmp_path: Path) -> Sender:
    return Sender(checkpoints, tmp_path)


def manifest(moment_s: float, file: FileRef, log_id: str = "mine") -> Manifest:
    identity: dict[str, str | int] = {"log_id": log_id, "generation": 1, "partitions": 1, "serving_partitions": 1}
    parts = [Part(SAMPLER, 0, 10, [1], [2], [file], 5), Part(SERVING, 0, 20, [2], [1], [], 0)]
    ranges = [LogRange("record-batches", 0, 10, 30, []), LogRange("sample-batches", 0, 20, 40, [file])]
    return Manifest(new_id(log_id, moment_s), int(moment_s * 1000), 1.5, 7, identity, "{}", {"last": 3}, parts, ranges)


def test_a_manifest_reads_as_it_was_written(checkpoints: Checkpoints, sender: Sender) -> None:
    written = manifest(NOW_S, sender.send(b"x"))
    with pytest.raises(NotFoundError, match=r"there is no checkpoint at .*`dgs checkpoint create` makes one"):
        checkpoints.manifest()
    checkpoints.put(written)
    assert checkpoints.manifest() == checkpoints.manifest(written.id) == written
    assert written.nbytes == 1
    assert written.log("sample-batches", 0).end == 40
    assert written.part(SAMPLER, 0).position == 10


def test_any_change_of_a_manifest_is_noticed(sender: Sender) -> None:
    data = manifest(NOW_S, sender.send(b"x")).encode()
    for old, new in (
        (b'"position": 10', b'"position": 11'),
        (b'"end": 40', b'"end": 41'),
        (b'"last": 3', b'"last": 4'),
        (b"{", b"["),
    ):
        with pytest.raises(CodecError, match="MANIFEST is damaged"):
            Manifest.decode(data.replace(old, new, 1), "MANIFEST")
    newer = json.dumps({**json.loads(data), "format": 2}).encode()
    with pytest.raises(StateError, match="has format 2, this program reads up to 1"):
        Manifest.decode(newer, "MANIFEST")


def test_a_manifest_that_lacks_a_partition_is_none(sender: Sender) -> None:
    whole = manifest(NOW_S, sender.send(b"x"))
    first = whole.parts[0]
    for lacking in (
        dataclasses.replace(whole, parts=[first]),
        dataclasses.replace(whole, parts=[first, first]),
        dataclasses.replace(whole, logs=whole.logs[:1]),
    ):
        with pytest.raises(CodecError, match="is damaged"):
            Manifest.decode(lacking.encode(), "MANIFEST")


def test_parts_alone_make_no_checkpoint(checkpoints: Checkpoints, sender: Sender) -> None:
    part, name = manifest(NOW_S, sender.send(b"x")).parts[0], new_id("mine", NOW_S)
    assert checkpoints.part(name, part.name) is None
    checkpoints.put_part(name, part)
    assert checkpoints.part(name, part.name) == part
    assert checkpoints.ids() == []
    checkpoints.put_failure(name, part.name, "the disk is full")
    with pytest.raises(StateError, match="sampler-0 has no part in the checkpoint: the disk is full"):
        checkpoints.part(name, part.name)


def test_the_newest_stay_and_what_only_others_had_is_swept(checkpoints: Checkpoints, sender: Sender) -> None:
    made = [manifest(NOW_S + i, sender.send(b"%d" % (i // 2))) for i in range(5)]
    for each in made:
        checkpoints.put(each)
        checkpoints.put_part(each.id, each.parts[0])
    assert checkpoints.keep("mine", 2, NOW_S) == [made[4], made[3]]
    assert checkpoints.ids() == [made[4].id, made[3].id]
    assert len(checkpoints.destination.names("objects")) == 2
    for each in made[3:]:
        for ref in each.files():
            check(checkpoints.destination, ref)


def test_what_was_never_completed_goes(checkpoints: Checkpoints, sender: Sender) -> None:
    unfinished = manifest(NOW_S - 5, sender.send(b"lost"))
    checkpoints.put_part(unfinished.id, unfinished.parts[0])
    whole = manifest(NOW_S, sender.send(b"x"))
    checkpoints.put(whole)
    checkpoints.keep("mine", 1, NOW_S)
    assert {n.partition("/")[0] for n in checkpoints.destination.names("checkpoints")} == {whole.id}
    assert len(checkpoints.destination.names("objects")) == 1


def test_checkpoints_of_other_deployments_stay_and_so_does_what_they_are_sending(checkpoints: Checkpoints, sender: Sender) -> None:
    other, own = manifest(NOW_S - 9, sender.send(b"other"), "theirs"), manifest(NOW_S, sender.send(b"x"))
    for each in (other, own):
        checkpoints.put(each)
    sender.send(b"on its way")
    begun = manifest(NOW_S - 1, sender.send(b"its part"), "theirs")
    checkpoints.put_part(begun.id, begun.parts[0])
    assert checkpoints.keep("mine", 1, NOW_S) == [own]
    assert checkpoints.ids() == [own.id, other.id]
    assert checkpoints.manifest("latest", "theirs") == other
    assert len(checkpoints.destination.names("objects")) == 4
    checkpoints.keep("mine", 1, NOW_S + ABANDONED_AFTER_S)
    assert len(checkpoints.destination.names("objects")) == 2
    assert checkpoints.manifest("latest", "theirs") == other


def test_nothing_is_swept_while_a_manifest_cannot_be_read(checkpoints: Checkpoints, sender: Sender) -> None:
    first, second = manifest(NOW_S - 9, sender.send(b"1")), manifest(NOW_S, sender.send(b"2"))
    checkpoints.put(first)
    checkpoints.put(second)
    checkpoints.destination.write(f"checkpoints/{first.id}/manifest.json", b"{}")
    assert checkpoints.keep("mine", 2, NOW_S) == [second]
    assert len(checkpoints.destination.names("objects")) == 2


@pytest.mark.parametrize("name", ["nothing", "../x", "", "a/b"])
def test_an_unknown_checkpoint_is_named(checkpoints: Checkpoints, name: str) -> None:
    with pytest.raises(NotFoundError, match="there is no checkpoint '"):
        checkpoints.manifest(name)
