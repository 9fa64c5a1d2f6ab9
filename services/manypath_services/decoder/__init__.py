"""The cloud: bitstreams in, pictures and answers out."""
