"""`dgs rebuild`: a new generation of a deployment, with other partition counts, while its service is stopped."""

from pathlib import Path

import click

from dgs.cli.options import read_settings, settings_options

COUNT = click.IntRange(1, 4096)


@click.command()
@click.option(
    "--from", "source", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Data directory of the old generation."
)
@click.option(
    "--data-dir", "target", type=click.Path(path_type=Path), required=True, metavar="NEW", help="Data directory of the new one."
)
@click.option("--partitions", type=COUNT, metavar="P", help="Partitions of record-batches.  [default: as before]")
@click.option("--serving-partitions", type=COUNT, metavar="S", help="Partitions of sample-batches.  [default: as before]")
@settings_options(["bus"])
def rebuild(source: Path, target: Path, partitions: int | None, serving_partitions: int | None, bus: str | None) -> None:
    """Make a data directory with other partition counts from the history of a stopped one, which stays as it is.

    Queries, barriers and every record go along; positions do not. The next `dgs up --data-dir NEW` samples it all. With --bus the
    new logs are there, in topics that have nothing yet; without it they are in NEW.

    \b
    Examples: dgs rebuild --from ./state --data-dir ./wider --partitions 8 --serving-partitions 4
              dgs rebuild --from ./state --data-dir ./wider --partitions 8 --bus kafka://broker:9092/wider
    """
    from dgs.bus.kafka.options import KafkaOptions
    from dgs.datadir import DataDir
    from dgs.recovery.rebuild import rebuild as rebuild_into

    def say(line: str) -> None:
        click.echo(f"dgs: {line}", err=True)

    settings = read_settings({"bus": bus})
    made = rebuild_into(
        DataDir(source),
        target,
        partitions=partitions,
        serving_partitions=serving_partitions,
        bus=settings.bus,
        kafka=KafkaOptions.of(settings),
        say=say,
    )
    say(f"generation {made.generation}, {made.partitions} + {made.serving_partitions} partitions")
    say(f"start it with: dgs up --data-dir {target}")
