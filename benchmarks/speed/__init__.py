"""How fast we are beside our peers: ``python -m benchmarks.speed --help``."""
