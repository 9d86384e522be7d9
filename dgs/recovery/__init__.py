"""Makes data directories, and parts of them, out of checkpoints and out of other data directories, while nothing runs on them."""
