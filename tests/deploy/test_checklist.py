"""What a platform team is pointed to is there."""

from __future__ import annotations

import importlib.util
import re

import pytest

from tests.deploy.manifests import ROOT

PAGES = [ROOT / "docs" / name for name in ("operations.md", "kubernetes.md", "runbook.md", "services.md")]
PATH = re.compile(r"`((?:tests|deploy|docker|docs|services|src|benchmarks|tools)/[\w./-]+|\.ci/run|constraints\.txt)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_targets_and_modules_that_a_page_names_exist(page):
    text = page.read_text()
    for path in PATH.findall(text):
        assert (ROOT / path).exists(), path
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets
    for module in re.findall(r"`python -m ([\w.]+)", text):
        assert importlib.util.find_spec(module), module


def test_every_line_of_the_checklist_has_an_answer_and_a_place():
    text = (ROOT / "docs" / "operations.md").read_text()
    checklist = text[text.index("## The checklist") : text.index("## Not run here")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in checklist.splitlines() if line[:1] == "|"]
    asked = [row for row in rows[2:] if not row[0].startswith("**")]
    assert len(asked) > 30
    assert all(len(row) == 3 and all(row) for row in asked)
