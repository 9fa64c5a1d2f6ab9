"""The Open Inference Protocol: tensors, tasks, and a client for networks that look at pictures."""
