"""The command ``manypath``."""
