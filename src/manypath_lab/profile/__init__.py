"""What models cost: parameters, multiplications per pixel, latency of each stage, memory."""
