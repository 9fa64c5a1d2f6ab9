"""The servers: encoder at the edge, decoder in the cloud, workers behind it."""
