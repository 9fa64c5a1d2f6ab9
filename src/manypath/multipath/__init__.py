"""Multi-path aggregation: routing, blocks and layers that the families share."""
