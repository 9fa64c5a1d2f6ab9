"""Cameras at the edge: frames from real sources, kept on disk until their receiver has them. No torch, no codec."""
