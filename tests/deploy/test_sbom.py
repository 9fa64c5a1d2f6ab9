"""The bill of materials: every part with its name for scanners, and a summary that tells what is not known."""

from __future__ import annotations

from tools.sbom import bill, images, summary

PYTHON = [["Pillow", "13.0.0", "MIT-CMU"], ["typing_extensions", "4.16.0", ""]]
DEBIAN = ["libc6 2.36-9+deb12u13 amd64"]


def test_every_part_has_a_name_that_scanners_know():
    content = bill("manypath/decoder:0.1.0", PYTHON, DEBIAN)
    assert [one["purl"] for one in content["components"]] == [
        "pkg:pypi/pillow@13.0.0",
        "pkg:pypi/typing-extensions@4.16.0",
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u13?arch=amd64",
    ]
    assert content["metadata"]["component"] == {"type": "container", "name": "manypath/decoder", "version": "0.1.0"}
    assert content["components"][0]["licenses"] == [{"license": {"name": "MIT-CMU"}}]
    assert "licenses" not in content["components"][1]


def test_the_summary_counts_licences_and_what_is_not_told():
    told = summary("a:1", bill("a:1", PYTHON, DEBIAN))
    assert told == "a:1: 2 from PyPI, 1 from Debian; 1 MIT-CMU, 1 not told"


def test_every_image_of_ours_is_looked_into():
    assert [one.split(":")[0] for one in images()] == [
        f"manypath/{name}" for name in ("encoder", "decoder", "worker", "camera", "console")
    ]
