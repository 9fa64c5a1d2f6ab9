"""The house keeps its own rules: import contracts, locked versions, a worker without torch, a clean tree."""

import graphlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import grimp
import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import manypath

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
LONGEST_MODULE, LONGEST_TEST = 400, 500  # lines
LARGEST_FILE_BYTES = 25_000_000  # the limit of shipped weights

# What users and services may import; a name that goes or comes is a release note.
PUBLIC = {
    *("BitstreamError", "BudgetError", "CheckpointError", "ConfigError", "CorruptError", "DesyncError", "EffortError"),
    *("FormatError", "ImageError", "LimitError", "ManypathError", "ModelMismatchError", "PathError", "QualityError"),
    *("RequestError", "TruncatedError", "Codec", "DecodePath", "Image", "Rate", "Reconstruction", "ScoreMap"),
    *("StageTimings", "StreamInfo", "inspect", "keep_memory"),
}

# Spelt so that this file does not contain what it looks for.
LOCAL_PATHS = re.compile(r"/(?:Users|work|root|home)/(?!manypath\b)\w")
CONFLICT = re.compile(r"^(?:<{7} |>{7} )", re.MULTILINE)


def tracked_files() -> list[Path]:
    """Return the files of the repository; skips outside of one, as in a source distribution."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def tracked_texts() -> Iterator[tuple[str, str]]:
    for path in tracked_files():
        try:
            yield str(path.relative_to(ROOT)), path.read_text()
        except UnicodeDecodeError:
            continue  # a picture or weights


def locked() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def applies(requirement: Requirement, python: str, extra: str = "") -> bool:
    environment = {
        **default_environment(),
        "python_version": python,
        "python_full_version": f"{python}.0",
        "extra": extra,
    }
    return requirement.marker is None or requirement.marker.evaluate(environment)


def installed_closure(names: set[str]) -> set[str]:
    """Return everything that installed packages pull in, by their own metadata."""
    seen: set[str] = set()
    waiting = {canonicalize_name(name) for name in names}
    while waiting:
        name = waiting.pop()
        seen.add(name)
        try:
            wanted = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        for text in wanted:
            requirement = Requirement(text)
            if applies(requirement, "3.11"):
                waiting |= {canonicalize_name(requirement.name)} - seen
    return seen


def test_every_import_keeps_to_its_floor() -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    result = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("package", ["manypath", "manypath_cli", "manypath_lab", "manypath_services"])
def test_no_module_imports_itself_in_a_circle(package: str) -> None:
    graph = grimp.build_graph(package, exclude_type_checking_imports=True)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    graphlib.TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    long = {}
    for path in tracked_files():
        name = str(path.relative_to(ROOT))
        if path.suffix == ".py" and not name.startswith("src/manypath_api/"):
            lines = len(path.read_text().splitlines())
            if lines > (LONGEST_TEST if name.startswith("tests/") else LONGEST_MODULE):
                long[name] = lines
    assert not long


def test_the_public_names_of_the_codec_are_these() -> None:
    assert set(manypath.__all__) == PUBLIC
    assert set(dir(manypath)) >= PUBLIC
    for name in PUBLIC:
        assert getattr(manypath, name) is not None


def test_what_needs_no_network_needs_no_torch() -> None:
    """The command line starts in a tenth of a second because of it."""
    code = (
        "import sys, manypath; manypath.inspect, manypath.RequestError, manypath.Rate; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("python", ["3.11", "3.12"])
def test_the_lock_holds_one_version_of_each_direct_dependency_within_its_range(python: str) -> None:
    versions: dict[str, str] = {}
    for requirement in locked():
        if applies(requirement, python):
            name = canonicalize_name(requirement.name)
            assert name not in versions, f"constraints.txt locks {name} twice for Python {python}"
            versions[name] = str(requirement.specifier).removeprefix("==")
    groups = {**EXTRAS, "": PROJECT["project"]["dependencies"]}
    for group, texts in groups.items():
        for requirement in map(Requirement, texts):
            name = canonicalize_name(requirement.name)
            if name in {"manypath", "natten"}:  # natten is built against the torch that is there
                continue
            assert name in versions, f"{name} of [{group}] is not locked; run 'make lock'"
            assert requirement.specifier.contains(versions[name]), f"{requirement} is locked at {versions[name]}"


def test_the_lock_names_no_package_index() -> None:
    assert "://" not in (ROOT / "constraints.txt").read_text()


@pytest.mark.parametrize("extra", ["worker", "worker-gpu"])
def test_a_worker_is_installed_without_torch(extra: str) -> None:
    texts = [*PROJECT["project"]["dependencies"], *EXTRAS[extra], *EXTRAS["rpc"]]
    names = {requirement.name for requirement in map(Requirement, texts)} - {"manypath"}
    assert EXTRAS[extra][0] == "manypath[rpc]"
    assert installed_closure(names).isdisjoint({"torch", "torchvision", "compressai"})


def test_every_extra_that_extends_others_names_ones_that_exist() -> None:
    for texts in EXTRAS.values():
        for requirement in map(Requirement, texts):
            if requirement.name == "manypath":
                assert requirement.extras <= set(EXTRAS)


def test_every_extra_that_a_message_names_exists() -> None:
    named = {
        match[1]
        for name, text in tracked_texts()
        if name.startswith(("src/", "services/"))
        for match in re.finditer(r"install the extra '([a-z-]+)'", text)
    }
    assert named
    assert named <= set(EXTRAS)


def test_codec_and_services_ask_malloc_for_the_same() -> None:
    """The worker may not import the codec, so the numbers stand twice."""
    files = ("src/manypath/allocation.py", "services/manypath_services/common/process.py")
    told = [dict(re.findall(r"mallopt\((_M_\w+), (.+)\)", (ROOT / file).read_text())) for file in files]
    assert told[0]
    assert told[1] == {**told[0], "_M_ARENA_MAX": "1"}


def test_no_tracked_file_mentions_a_path_of_one_machine() -> None:
    found = [f"{name}: {match.group()}" for name, text in tracked_texts() for match in LOCAL_PATHS.finditer(text)]
    assert not found


def test_no_tracked_file_holds_a_conflict_marker() -> None:
    assert not [name for name, text in tracked_texts() if CONFLICT.search(text)]


def test_no_tracked_file_is_larger_than_the_limit_of_weights() -> None:
    assert not [str(path) for path in tracked_files() if path.stat().st_size > LARGEST_FILE_BYTES]


def test_every_command_of_the_makefile_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", (ROOT / "README.md").read_text()))
    assert named <= targets


def test_every_relative_link_of_a_page_leads_somewhere() -> None:
    for name, text in tracked_texts():
        if not name.endswith(".md"):
            continue
        for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", text):
            assert ((ROOT / name).parent / target).exists(), f"{name} links to {target}"


def test_each_decision_has_a_number_of_its_own_and_says_it() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [page.name.partition("-")[0] for page in pages]
    assert [number for number in set(numbers) if numbers.count(number) > 1] == []
    wrong = [page.name for page, number in zip(pages, numbers, strict=True) if f"# {number}:" not in page.read_text()]
    assert wrong == []
