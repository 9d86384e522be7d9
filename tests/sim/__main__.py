"""`python -m tests.sim`: simulated histories of a range of seeds, or fresh ones for a while; exit status 1 at a violation."""

import itertools
import os
import sys
import time

import click

from tests.sim.runner import fresh_seed, simulate


@click.command()
@click.option("--seeds", metavar="FIRST-LAST", help="Run these seeds.")
@click.option("--seconds", default=60.0, show_default=True, help="Without seeds: run fresh ones for so long.")
@click.option("--jobs", default=os.cpu_count() or 1, show_default="one a core", help="Processes.")
def main(seeds: str | None, seconds: float, jobs: int) -> None:
    """Simulate histories of a deployment, each decided by its seed, and check what must hold in all of them."""
    end_s = time.monotonic() + seconds
    if seeds:
        first, _, last = seeds.partition("-")
        well = simulate(range(int(first), int(last or first) + 1), jobs=jobs, tell=click.echo)
    else:
        start = fresh_seed()
        click.echo(f"fresh seeds from {start} on")
        well = simulate(itertools.count(start), jobs=jobs, tell=click.echo, until=lambda: time.monotonic() >= end_s)
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
