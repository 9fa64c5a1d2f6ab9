"""Generated from ``protos/manypath_api/v1/codec.proto``."""
