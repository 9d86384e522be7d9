"""`dgs generate`: example data, made from a seed."""

from pathlib import Path

import click


@click.group()
def generate() -> None:
    """Make example data."""


def _count(name: str, default: int, help_text: str) -> click.Option:
    return click.Option([name], type=click.IntRange(min=0), default=default, show_default=True, metavar="N", help=help_text)


@generate.command(
    params=[
        _count("--user-num", 100, "Users."),
        _count("--item-num", 1000, "Items."),
        _count("--feature-num", 10, "Floats in the feature of a user or an item."),
        _count("--streaming-epoch", 1000, "Timestamps after 0, with five updates each."),
        click.Option(
            ["--output-dir"],
            type=click.Path(file_okay=False, path_type=Path),
            default=Path("/tmp/u2i_gen"),
            show_default=True,
            metavar="DIR",
            help="Where training/ and streaming/ go.",
        ),
        _count("--seed", 0, "Another seed gives other features, weights and updates."),
    ]
)
def u2i(output_dir: Path, user_num: int, item_num: int, feature_num: int, streaming_epoch: int, seed: int) -> None:
    """Make a shop of users and items: tables to train on, and a stream of updates to load.

    \b
    Example: dgs generate u2i --output-dir ./u2i --seed 7
    """
    from dgs.core.errors import DgsError
    from dgs.demo.u2i import generate as write

    try:
        made = write(
            output_dir,
            user_num=user_num,
            item_num=item_num,
            feature_num=feature_num,
            streaming_epoch=streaming_epoch,
            seed=seed,
        )
    except OSError as e:
        raise DgsError(f"{output_dir}: {e.strerror or e}") from None
    click.echo(f"{made.lines} lines to load in {made.streaming}, tables to train on in {made.training}")
