"""The worker's default classifier: published weights, written as ONNX."""
