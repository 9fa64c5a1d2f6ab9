"""The codec: one picture, one bitstream, many paths."""
