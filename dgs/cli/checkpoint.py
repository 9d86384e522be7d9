"""`dgs checkpoint`: create checkpoints of a running service, look at them where they are kept, and restore them.

Only `create` talks to a service; the others read the destination themselves, as they are needed when there is no service.
"""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dgs.cli.service import connected, retry_option, server_option
from dgs.cli.status import seconds, size
from dgs.config import load
from dgs.core.errors import CodecError, DgsError, InputError, StateError

if TYPE_CHECKING:
    from dgs.store.checkpoints import Checkpoints

POLL_S = 0.25

from_option = click.option(
    "--from",
    "url",
    metavar="URL",
    help="Where the checkpoints are: a folder or a URL.  [DGS_CHECKPOINT_URL; default that of --data-dir]",
)
directory_option = click.option(
    "--data-dir", type=click.Path(path_type=Path), metavar="DIR", help="The data directory.  [DGS_DATA_DIR]"
)


@click.group()
def checkpoint() -> None:
    """Create, list, verify and restore checkpoints."""


@checkpoint.command()
@server_option
@retry_option(0.0)
def create(server: str, retry_timeout_s: float) -> None:
    """Create a checkpoint of a running service, wait for it, and print its id.

    While one is under way, that one is waited for. Progress is told on stderr.
    """
    with connected(server, retry_timeout_s) as service:
        creation = service.post_json("/checkpoints", {}).json()
        told = -1
        while creation["state"] == "CREATING":
            if creation["parts_sent"] != told:
                told = creation["parts_sent"]
                click.echo(f"dgs: {creation['id']}: {told} of {creation['parts']} partitions sent", err=True)
            time.sleep(POLL_S)
            creation = service.get(f"/checkpoints/{creation['id']}").json()
    if creation["state"] != "COMPLETE":
        raise DgsError(f"no checkpoint: {creation['reason']}")
    found = creation["checkpoint"]
    click.echo(f"dgs: {size(found['bytes'])}, {size(found['sent_bytes'])} of it new, in {seconds(found['duration_s'])}", err=True)
    click.echo(found["id"])


@checkpoint.command(name="list")
@from_option
@directory_option
def list_checkpoints(url: str | None, data_dir: Path | None) -> None:
    """List the checkpoints, newest first: id, age, size, what was new, whose.

    \b
    Example: dgs checkpoint list --from s3://backups/shop
    """
    checkpoints = _opened(url, data_dir)
    for name in checkpoints.ids():
        try:
            found = checkpoints.manifest(name)
        except (CodecError, StateError) as e:
            click.echo(f"{name}  {e}")
            continue
        age = seconds(found.age_s(time.time()))
        click.echo(
            f"{name}  {age} ago  {size(found.nbytes)}  {size(found.sent_bytes)} new  generation {found.deployment['generation']}"
        )


@checkpoint.command()
@click.argument("name", metavar="[ID]", default="latest")
@from_option
@directory_option
def verify(name: str, url: str | None, data_dir: Path | None) -> None:
    """Read a checkpoint to its end and compare every file with its checksum; ends with 1 at the first damage."""
    from dgs.store.objects import check

    checkpoints = _opened(url, data_dir)
    manifest = checkpoints.manifest(name)
    files = {ref.sha256: ref for ref in manifest.files()}.values()
    for ref in files:
        check(checkpoints.destination, ref)
    click.echo(f"{manifest.id} is whole: {len(files)} files, {size(manifest.nbytes)}")


@checkpoint.command()
@click.argument("name", metavar="[ID]", default="latest")
@from_option
@directory_option
@click.option("--partition", metavar="KIND/N", help="Only this partition, in place: sampler/N or serving/N.")
def restore(name: str, url: str | None, data_dir: Path | None, partition: str | None) -> None:
    """Make a new data directory of a checkpoint, on any path; `dgs up --data-dir DIR` goes on from there.

    With --partition, put one partition's state back into the data directory that the checkpoint is of, while nothing runs there.
    Logs on Kafka go on where they are, so what is restored from there takes the place of the old deployment, which must not run.

    \b
    Example: dgs checkpoint restore latest --from s3://backups/shop --data-dir ./state
    """
    from dgs.bus.kafka.options import KafkaOptions
    from dgs.datadir import DataDir
    from dgs.recovery.partition import partition_named, restore_partition
    from dgs.recovery.restore import restore_deployment

    settings = load({}, os.environ)
    root, kafka = data_dir or settings.data_dir, KafkaOptions.of(settings)
    if root is None:
        raise InputError("--data-dir is missing (or DGS_DATA_DIR): the new folder")
    if partition is not None:
        kind, number = partition_named(partition)
        restore_partition(_opened(url, root), name, DataDir(root), kind, number, _say, kafka)
        return
    checkpoints = _opened(url, None)
    deployment = restore_deployment(checkpoints.destination, checkpoints.manifest(name), root, _say, kafka)
    click.echo(f"dgs: restored as {deployment.log_id}; start it with: dgs up --data-dir {root}", err=True)


def _opened(url: str | None, data_dir: Path | None) -> "Checkpoints":
    from dgs.checkpointing import destination_of, open_checkpoints
    from dgs.datadir import DataDir

    settings = load({}, os.environ)
    url, root = url or settings.checkpoint_url, data_dir or settings.data_dir
    if url is None and root is None:
        raise InputError("--from is missing (or DGS_CHECKPOINT_URL, or --data-dir): where the checkpoints are")
    return open_checkpoints(destination_of(url, DataDir(root or Path())))


def _say(line: str) -> None:
    click.echo(f"dgs: {line}", err=True)
