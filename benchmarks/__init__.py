"""Commands that measure: ``python -m benchmarks.speed``, ``benchmarks.memory``, ``benchmarks.exactness``.

They need the package installed with its ``lab`` extra and are run from the repository's root. Nothing in the
test suite depends on a measured time.
"""
