"""Looking into a data directory, stopped or in use: reads files only, takes no lock, changes no byte. `dgs inspect` prints it."""
