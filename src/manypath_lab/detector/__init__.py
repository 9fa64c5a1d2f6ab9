"""The object detector: NanoDet-g's network and weights, its ONNX graph, and what is learned and measured with it."""
