"""Where a sampler partition keeps its state, committed together with the position that it reflects."""
