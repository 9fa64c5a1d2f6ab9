"""Makes the environment of a camera and a proxy by others: `python tests/camera/peers/install.py [FOLDER]`.

Half a minute and 500 MB; without it the tests that need it are skipped.
"""

import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEFAULT_FOLDER = HERE.parents[2] / ".venv-camera-peers"


def main(folder: Path) -> None:
    """Creates the virtual environment, or completes one that was left half made."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    # the list is whole; by its own word it would bring an OpenCV that needs a desktop's libraries
    pip = [python, "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps", "-r", HERE / "requirements.txt"]
    subprocess.run(pip, check=True)
    subprocess.run([python, "-c", "import ipycam, imageio_ffmpeg"], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_FOLDER)
