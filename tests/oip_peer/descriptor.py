"""Prints the protocol's file descriptor, in base 64, as KServe's generated code has it."""

import base64

from kserve.protocol.grpc import grpc_predict_v2_pb2

print(base64.b64encode(grpc_predict_v2_pb2.DESCRIPTOR.serialized_pb).decode())
