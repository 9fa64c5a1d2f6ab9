"""``manypath lab``: what researchers use, one module per command that is not the laboratory's own."""
