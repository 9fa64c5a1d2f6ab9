"""Makes the environment of the independent inference server: `python tests/oip_peer/install.py [FOLDER]`.

About a minute and 450 MB; without it the tests that need it are skipped.
"""

import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEFAULT_FOLDER = HERE.parents[1] / ".venv-oip-peer"


def main(folder: Path) -> None:
    """Creates the virtual environment, or completes one that was left half made."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--no-compile", "-r", HERE / "requirements.txt"]
    subprocess.run(pip, check=True)
    subprocess.run([python, "-c", "import kserve"], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_FOLDER)
