"""What repairs a data directory, in the words of the errors that need them: one place, so that commands are named as they are."""

ANEW = (
    "`dgs checkpoint restore --data-dir NEW` makes a new data directory of the newest checkpoint; without one, load the data again"
)
"""What helps where what is left of a deployment does not go together any more."""


def partition_anew(kind: str, partition: object) -> str:
    """Return what helps where one partition has lost its state; its kind is "sampler" or "serving"."""
    return (
        f"stop the service, and `dgs checkpoint restore --partition {kind}/{partition} --data-dir DIR` puts its state of the newest"
        " checkpoint there, the log has the rest; where the log still has its start, removing the folder is enough"
    )


def state_anew(kind: str | None, partition: object) -> str:
    """Return what helps where the reader of a log has lost its place in it; its kind is None for a log that is no machine's."""
    return ANEW if kind is None else partition_anew(kind, partition)
