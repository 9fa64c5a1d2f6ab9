"""Encoder effort: time spent on better latents, which no decoder can tell."""
