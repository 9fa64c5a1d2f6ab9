"""The family `edge`: models for cameras, with entropy parameters in integers."""
