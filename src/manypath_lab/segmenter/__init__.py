"""The worker's default segmenter: scenes, network, training, weights, ONNX."""
