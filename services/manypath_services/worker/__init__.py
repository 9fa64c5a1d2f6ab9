"""The worker: models behind the Open Inference Protocol, run by onnxruntime; no torch, no codec."""
