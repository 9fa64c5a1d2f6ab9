"""KServe's own client asks our worker; run by its own environment's Python with the worker's address."""

import asyncio
import sys

import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest


async def main(target):
    """Prints what the client understood, for the test to compare."""
    client = InferenceGRPCClient(target, timeout=20)
    print(await client.is_server_live(), await client.is_server_ready(), await client.is_model_ready("colours"))
    image = np.full((1, 5, 7, 3), (255, 0, 51), np.uint8)
    for binary_data in (True, False):
        tensor = InferInput("image", list(image.shape), "UINT8")
        tensor.set_data_from_numpy(image, binary_data=binary_data)
        response = await client.infer(InferRequest(model_name="colours", infer_inputs=[tensor]))
        output = response.outputs[0]
        scores = " ".join(f"{score:.3f}" for score in output.as_numpy()[0])
        print(response.model_name, output.name, scores)
    await client.close()


asyncio.run(main(sys.argv[1]))
