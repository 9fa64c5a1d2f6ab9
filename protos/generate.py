"""Generates ``src/manypath_api`` from the ``.proto`` files here, with one pinned compiler.

    python protos/generate.py            rewrite the generated code
    python protos/generate.py --check    exit 1 and say which file differs; write nothing

The compiler is the grpcio-tools that the development extra pins, which is also the floor of grpcio's range:
its code loads on that version and on every newer one, and refuses to load on anything older.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

PROTOS = Path(__file__).resolve().parent
SOURCES = PROTOS.parent / "src"


def generate(output: Path) -> list[Path]:
    """Write the code for every ``.proto`` under ``output``; return the files, relative to it."""
    names = sorted(path.relative_to(PROTOS).as_posix() for path in PROTOS.rglob("*.proto"))
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}"]
    outputs = [f"--{kind}_out={output}" for kind in ("python", "pyi", "grpc_python")]
    subprocess.run([*protoc, *outputs, *names], check=True)
    return sorted(path.relative_to(output) for path in output.rglob("*_pb2*.py*"))


def differences() -> list[str]:
    """Return the committed files that are not what the ``.proto`` files give now."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generated = set(generate(fresh))
        committed = {
            path.relative_to(SOURCES)
            for path in (SOURCES / "manypath_api").rglob("*_pb2*.py*")
            if "__pycache__" not in path.parts
        }
        same = {path for path in generated & committed if (fresh / path).read_bytes() == (SOURCES / path).read_bytes()}
        return sorted(path.as_posix() for path in (generated | committed) - same)


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="generate src/manypath_api from the .proto files")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 where files differ")
    if not parser.parse_args().check:
        generate(SOURCES)
        return 0
    differing = differences()
    for name in differing:
        print(f"src/{name} is not what the .proto files give; run: python protos/generate.py", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
