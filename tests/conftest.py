"""What every test shares: one quiet thread, and the same random numbers each time."""

import os
import random
import sys

# Before torch or numpy start their threads: spinning ones slow tests of several processes a hundredfold.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np  # noqa: E402
import pytest  # noqa: E402

SEED = 20_240_607


@pytest.fixture(autouse=True)
def _same_random_numbers_for_every_test() -> None:
    """Seed each global generator; torch only where a test has loaded it, since it takes seconds to import."""
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002 - libraries still draw from it
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(SEED)
        torch.set_num_threads(1)
