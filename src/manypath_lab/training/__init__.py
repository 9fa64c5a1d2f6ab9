"""Training: recipes, runs, losses, the trainer of each stage, and what becomes of a run."""
