"""From latents to bytes and back, in integers."""
