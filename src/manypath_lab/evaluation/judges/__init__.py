"""Judges: what is asked of a reconstruction. ``judge`` says what one is, ``registry`` makes them by name."""
