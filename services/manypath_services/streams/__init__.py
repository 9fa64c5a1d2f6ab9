"""Sessions of cameras: what encoder and decoder share as receivers of a stream."""
