"""Codecs that are measured. ``codec`` says what one is, ``ours`` is this project's, ``registry`` makes baselines."""
