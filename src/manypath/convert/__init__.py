"""Models from elsewhere, and models from models."""
