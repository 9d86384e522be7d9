"""Makes the pages of `docs/reference/` from the code, so that they are complete and true. `make docs` runs it; a test compares."""
