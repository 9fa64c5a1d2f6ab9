"""How fast we are beside other codecs: ``python -m benchmarks.speed --help``."""
