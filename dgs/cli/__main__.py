"""`python -m dgs.cli` is `dgs`; the supervisor starts its children so."""

from dgs.cli import main

main(prog_name="dgs")
