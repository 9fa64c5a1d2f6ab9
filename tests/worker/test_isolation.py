"""The worker's environment has no torch and no codec: nothing that it imports may want them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Importing a forbidden package fails the way it does where the package is not installed.
PROGRAM = """
import sys

class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "manypath", "manypath_lab", "compressai", "onnx"):
            raise ModuleNotFoundError(f"{name} is not installed here", name=name)

sys.meta_path.insert(0, Forbid())
import manypath_services.worker.__main__
import manypath_services.inference.client
from manypath_services.worker.model import load_repository
models = load_repository(__import__("pathlib").Path(sys.argv[1]))
print(sorted(models), "torch" in sys.modules)
"""


def test_the_worker_runs_where_torch_and_the_codec_are_not_installed(repository: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(repository)],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["['colours',", "'prepared']", "False"]
