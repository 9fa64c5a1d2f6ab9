"""Whether two machines agree on every symbol: ``python -m benchmarks.exactness --help``."""
