"""The servers: encoder at the edge, decoder in the cloud, workers behind it; and the rooms that they share."""
