"""What one partition has made durable, as JSON values: a sampler partition's newest commit, a serving partition's snapshots."""

from typing import Any

from dgs.bus.base import RECORDS, SAMPLES
from dgs.core.errors import NotFoundError
from dgs.inspection.log import LogView
from dgs.inspection.sampler import describe_sampler
from dgs.inspection.serving import describe_serving
from dgs.inspection.subject import Subject
from dgs.store.view import StoreView


def describe_sampler_partition(subject: Subject, partition: int) -> dict[str, Any]:
    """Sum up a sampler partition, see `describe_sampler`, and how far it is behind its log.

    Raises:
        NotFoundError: no such partition, or it has no state yet.
        StateError, CodecError: the state cannot be used.
    """
    with StoreView(subject.sampler(partition)) as view:
        found = describe_sampler(view, subject.deployment)
    return {"kind": "sampler", "partition": partition} | found | {"log": _log(subject, RECORDS, partition)}


def describe_serving_partition(subject: Subject, partition: int) -> dict[str, Any]:
    """Sum up the snapshots of a serving partition, see `describe_serving` for errors, too."""
    found = describe_serving(subject, partition)
    return {"kind": "serving", "partition": partition} | found | {"log": _log(subject, SAMPLES, partition)}


def _log(subject: Subject, topic: str, partition: int) -> dict[str, Any] | None:
    try:
        with LogView(subject, topic, partition) as view:
            extent = view.extent()
    except NotFoundError:
        return None
    return {"begin": extent.begin, "end": extent.end, "counts": "entries" if extent.bytes is None else "bytes"}
