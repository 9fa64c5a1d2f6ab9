"""Training, evaluation and figures; never in an image of a service."""
