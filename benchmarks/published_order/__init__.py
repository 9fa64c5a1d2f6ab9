"""The published network in its own order of operations, to measure ours against on the same weights and machine."""
