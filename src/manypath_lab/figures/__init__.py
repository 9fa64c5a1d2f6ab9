"""Pictures and charts of what the codec does: each a PNG with the data that it shows beside it."""
