"""The edge: pictures in, bitstreams out or forwarded."""
