"""What the console answers, without a browser."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx
import numpy as np
import pytest
from PIL import Image

from manypath.codec import Codec
from manypath_pictures.reader import read_picture
from manypath_services.console import choices as console_choices
from manypath_services.console import pages
from tests.console.conftest import MODEL
from tests.pictures.files import orientation_entry, saved, scene, segment, tiff, with_segments
from tests.services.serving import Running, photo

PHOTO = "photo-cat"
PATHS = ["perceptual", "mse", "classification", "segmentation"]


def file_of(image: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def pixels_of(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def upload(http: httpx.Client, content: bytes, name: str = "a.png", **fields: str) -> httpx.Response:
    return http.post("/pictures", files={"file": (name, content)}, data=fields)


def upload_id(http: httpx.Client, content: bytes, **fields: str) -> str:
    answer = upload(http, content, **fields)
    assert answer.status_code == 303, answer.text
    match = re.search(r"picture=([\w-]+)", answer.headers["location"])
    assert match is not None
    return match[1]


@pytest.mark.parametrize("path", PATHS)
def test_the_picture_is_what_the_codec_decodes_from_the_stream_that_can_be_downloaded(
    http: httpx.Client, path: str
) -> None:
    picture = upload_id(http, file_of(photo()))
    query = {"rate": "quality", "quality": "3.25", "path": path, "share": "0.4"}
    stream = http.get(f"/pictures/{picture}/stream.mpa", params=query)
    shown = http.get(f"/pictures/{picture}/rendition.png", params=query)
    expected = Codec.load(MODEL).decode(stream.content, path=path, task_share=0.4)
    assert stream.headers["content-disposition"] == 'attachment; filename="a.mpa"'
    np.testing.assert_array_equal(pixels_of(shown.content), expected)


def test_the_figures_of_the_view_are_those_of_stream_and_picture(http: httpx.Client) -> None:
    image = photo()
    picture = upload_id(http, file_of(image))
    sizes = [len(http.get(f"/pictures/{picture}/stream.mpa", params={"quality": one}).content) for one in ("1", "8")]
    query = {"picture": picture, "rate": "bytes", "bytes": str(sum(sizes) // 2), "path": "mse"}
    view = http.get("/view", params=query).text
    stream = http.get(f"/pictures/{picture}/stream.mpa", params=query).content
    shown = pixels_of(http.get(f"/pictures/{picture}/rendition.png", params=query).content)
    error = np.mean((image.astype(float) - shown) ** 2)
    assert len(stream) <= sum(sizes) // 2
    assert f'id="fact-bytes">{len(stream):,} bytes<' in view
    assert f'id="fact-bpp">{8 * len(stream) / (96 * 130):.3f}<' in view
    assert f'id="fact-psnr">{10 * np.log10(255**2 / error):.2f} dB<' in view


def test_another_path_or_share_is_a_decode_alone_and_the_same_again_nothing_at_all(site, http: httpx.Client) -> None:
    query = {"picture": upload_id(http, file_of(photo(80, 100))), "rate": "quality", "quality": "2"}
    http.get("/view", params=query | {"path": "mse", "share": "1"})
    encoded, decoded = site.calls("Encode"), site.calls("Decode")
    http.get("/view", params=query | {"path": "mse", "share": "0.5"})
    http.get("/view", params=query | {"path": "segmentation", "share": "0.5"})
    assert (site.calls("Encode"), site.calls("Decode")) == (encoded, decoded + 2)
    http.get("/view", params=query | {"path": "mse", "share": "1"})
    assert (site.calls("Encode"), site.calls("Decode")) == (encoded, decoded + 2)


def test_ten_who_ask_at_once_for_one_picture_cost_one_encode_and_one_decode(site, http: httpx.Client) -> None:
    query = {"picture": upload_id(http, file_of(photo(90, 110))), "rate": "quality", "quality": "5"}
    encoded, decoded = site.calls("Encode"), site.calls("Decode")
    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(lambda _: httpx.get(f"{site.url}/view", params=query, timeout=60), range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert (site.calls("Encode"), site.calls("Decode")) == (encoded + 1, decoded + 1)


@pytest.mark.parametrize("codec", ["jpeg", "webp", "avif"])
def test_another_format_takes_the_best_quality_that_has_no_more_bytes(http: httpx.Client, codec: str) -> None:
    image = photo(160, 160)
    query = {"picture": upload_id(http, file_of(image)), "rate": "bytes", "bytes": "6000"}
    stream = http.get(f"/pictures/{query['picture']}/stream.mpa", params=query).content
    file = http.get(f"/pictures/{query['picture']}/beside/{codec}", params=query)
    assert file.headers["content-type"] == f"image/{codec}"
    assert Image.open(io.BytesIO(file.content)).size == (160, 160)
    table = http.get("/beside", params=query).text
    if len(file.content) > len(stream):
        assert "cannot be smaller" in table
    else:
        row = re.search(rf'data-left="{codec}".*?quality (\d+)', table, re.DOTALL)
        assert row is not None
        from manypath_services.console.baselines import write

        assert len(write(image, codec, int(row[1])).file) == len(file.content)
        assert len(write(image, codec, int(row[1]) + 1).file) > len(stream)


@pytest.mark.parametrize("layer", ["bits", "mask", "score-1"])
def test_a_layer_has_the_size_of_its_picture(http: httpx.Client, layer: str) -> None:
    query = {"rate": "quality", "quality": "2", "path": "mse", "layer": layer}
    picture = upload_id(http, file_of(photo(75, 118)))
    file = http.get(f"/pictures/{picture}/layer", params=query)
    assert file.status_code == 200, file.text
    assert Image.open(io.BytesIO(file.content)).size == (118, 75)


def test_a_mask_lies_over_the_picture_in_the_colours_of_its_legend(http: httpx.Client) -> None:
    image = np.full((64, 96, 3), 250, np.uint8)
    query = {"picture": upload_id(http, file_of(image)), "rate": "quality", "quality": "4"}
    legend = http.get("/answers", params=query).text
    assert "segmentation" in legend
    layer = Image.open(
        io.BytesIO(http.get(f"/pictures/{query['picture']}/layer", params=query | {"layer": "mask"}).content)
    )
    colours = {int(colour, 16) for colour in re.findall(r'fill="#([0-9a-f]{6})"', legend)}
    seen = np.unique(np.asarray(layer.convert("RGBA")).reshape(-1, 4), axis=0)
    assert {int.from_bytes(bytes(colour[:3].tolist())) for colour in seen} <= colours


def test_boxes_are_drawn_in_the_picture_s_pixels_with_class_and_score(http: httpx.Client) -> None:
    query = {"picture": upload_id(http, file_of(np.full((64, 100, 3), 200, np.uint8))), "quality": "8"}
    told = http.get("/answers", params=query).text
    assert "Show the boxes" in told
    layer = http.get(f"/pictures/{query['picture']}/layer", params=query | {"layer": "boxes"})
    assert layer.headers["content-type"] == "image/svg+xml"
    drawing = ET.fromstring(layer.text)  # noqa: S314  (we wrote it)
    assert drawing.get("viewBox") == "0 0 100 64"
    boxes = drawing.findall("{*}rect")
    words = [one.text or "" for one in drawing.findall("{*}text")]
    assert boxes
    assert len(words) == len(boxes)
    assert all(float(one.get("x", "-1")) >= 0 and float(one.get("width", "0")) <= 100 for one in boxes)
    assert {word.split()[0] for word in words} <= {"all", "square", "strip"}


def test_a_turned_photo_is_shown_as_the_encoder_reads_it(http: httpx.Client) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = upload_id(http, file_of(photo(60, 90), "JPEG", quality=95, exif=exif))
    shown = http.get(f"/pictures/{picture}/original")
    assert shown.headers["content-type"] == "image/png"
    assert pixels_of(shown.content).shape == (90, 60, 3)
    assert "60 × 90" in http.get("/view", params={"picture": picture}).text


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"GIF89a, or not", 415, "not a picture"),
        (file_of(photo(), "JPEG")[:900], 415, "not a picture"),
        (b"", 415, "empty"),
    ],
    ids=["no picture", "half a picture", "nothing"],
)
def test_a_bad_upload_is_told_in_words_and_harms_nothing(
    http: httpx.Client, content: bytes, status: int, words: str
) -> None:
    answer = upload(http, content)
    assert answer.status_code == status
    assert words in answer.text
    assert "<h1>" in answer.text  # a page, where no script asks
    assert http.get("/view", params={"picture": PHOTO}).status_code == 200


def test_too_large_a_file_and_too_many_pixels_are_refused_before_they_are_decoded(console) -> None:
    small = console(max_upload_bytes=2**16, max_pixels=10_000)
    with httpx.Client(base_url=small.url, timeout=60) as http:
        answer = upload(http, bytes(2**18))
        assert answer.status_code == 413
        assert "131,072" in answer.text  # and what a form may have around its file
        answer = upload(http, file_of(np.zeros((100, 101, 3), np.uint8)))
        assert answer.status_code == 413
        assert "100" in answer.text
        assert "10,000" in answer.text
        unannounced = iter(
            [b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n', *[bytes(2**16)] * 8]
        )
        answer = http.post(
            "/pictures", content=unannounced, headers={"content-type": "multipart/form-data; boundary=x"}
        )
        assert answer.status_code == 413
        assert "MANYPATH_CONSOLE_MAX_UPLOAD_BYTES" in answer.text


def test_what_is_no_form_is_refused(http: httpx.Client) -> None:
    answer = http.post("/pictures", content=b"--y", headers={"content-type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 400
    assert "<h1>" in answer.text
    assert http.post("/view").status_code == 405


def test_a_picture_of_other_samples_than_the_encoder_takes_is_refused_in_its_words(http: httpx.Client) -> None:
    clear = np.zeros((32, 32, 4), np.uint8)
    answer = upload(http, file_of(clear))
    assert answer.status_code == 415
    assert "transparent" in answer.text


def test_what_the_encoder_reads_the_console_reads(http: httpx.Client) -> None:
    """A JPEG whose resolution is a text, turned, without its end marker; and a file that no browser shows."""
    odd = tiff([(0x011A, 2, 4, b"odd\0"), orientation_entry(6)])
    turned = with_segments(saved(scene(), "JPEG"), segment(0xE1, b"Exif\0\0" + odd))[:-2]
    for file in (turned, saved(scene(), "PPM")):
        picture = upload_id(http, file)
        shown = http.get(f"/pictures/{picture}/original")
        assert shown.headers["content-type"] == "image/png"
        np.testing.assert_array_equal(pixels_of(shown.content), read_picture(file))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"quality": "9"}, "1..8"),
        ({"quality": "nan"}, "1..8"),
        ({"rate": "bpp", "bpp": "0"}, "0.001..24"),
        ({"share": "1.5"}, "0..1"),
        ({"rate": "colour"}, "quality, bytes, bpp"),
        ({"path": "../../etc"}, "no path"),
        ({"layer": "<b>"}, "no layer"),
        ({"left": "gif"}, "original, jpeg, webp, avif"),
        ({"picture": "a b"}, "no picture"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(http: httpx.Client, query: dict[str, str], words: str) -> None:
    answer = http.get("/view", params={"picture": PHOTO} | query)
    assert answer.status_code == 400
    assert words in answer.text
    assert "<b>" not in answer.text


def test_choices_come_back_from_their_own_permalink() -> None:
    for rate in (("quality", 4.25), ("bytes", 12_345.0), ("bpp", 0.375)):
        chosen = console_choices.Choices("photo-cat", console_choices.Rate(*rate), "mse", 0.35, "webp", "score-2")
        again = console_choices.read_choices(dict(httpx.QueryParams(chosen.query)))
        assert again == chosen


def test_a_picture_that_was_let_go_is_told_with_what_to_do(http: httpx.Client) -> None:
    answer = http.get("/view", params={"picture": "never-was-here"}, headers={"hx-request": "true"})
    assert answer.status_code == 404
    assert "Send it again" in answer.text
    assert "<html" not in answer.text  # a part, where htmx asks


def test_pictures_that_nobody_looks_at_go_first_when_memory_is_full(console) -> None:
    small = console(kept_bytes=2**24)
    noise = np.random.default_rng(5).integers(0, 256, (800, 1200, 3), np.uint8)  # 5.8 MB kept, no stream yet
    with httpx.Client(base_url=small.url, timeout=60) as http:
        ids = [upload_id(http, file_of(noise)) for _ in range(4)]
        there = [http.get(f"/pictures/{picture}/original").status_code for picture in ids]
    assert there[-1] == 200
    assert there[0] == 404


@pytest.mark.parametrize("page", ["/", "/compare", "/system", "/nowhere", "/static/console.css"])
def test_every_answer_carries_the_policy_that_browsers_enforce(http: httpx.Client, page: str) -> None:
    headers = http.get(page).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["style-src"] == "'self'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_no_template_has_script_or_style_of_its_own() -> None:
    for file in (pages.FOLDER / "templates").iterdir():
        text = file.read_text()
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*\ssrc=\"/static/)", text), file


def test_vendored_files_come_with_their_licences() -> None:
    for folder in (pages.FOLDER / "static" / "vendor").iterdir():
        assert (folder / "LICENSE").read_text().strip()


@pytest.mark.parametrize("name", ["evil.example", "evil.example:8080", "[::2]:8080", ""])
def test_a_name_that_is_not_ours_is_not_answered_to(http: httpx.Client, name: str) -> None:
    assert http.get("/", headers={"host": name}).status_code == 421


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1:1", "[::1]:8080", "LOCALHOST:80"])
def test_this_machine_s_names_are(http: httpx.Client, name: str) -> None:
    assert http.get("/healthz", headers={"host": name}).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "https://evil.example"}]
)
def test_another_site_s_page_cannot_change_anything(http: httpx.Client, headers: dict[str, str]) -> None:
    answer = http.post("/pictures", files={"file": ("a.png", file_of(photo()))}, headers=headers)
    assert answer.status_code == 403


def test_without_services_the_page_stands_and_says_what_to_start(console) -> None:
    alone = console(encoder="127.0.0.1:9", decoder="127.0.0.1:9", timeout_seconds=20)
    with httpx.Client(base_url=alone.url, timeout=60) as http:
        assert http.get("/").status_code == 200
        view = http.get("/view", params={"picture": PHOTO}, headers={"hx-request": "true"})
        assert view.status_code == 503
        assert "manypath serve encoder" in view.text
        assert 'hx-trigger="every' in view.text  # it looks again by itself
        assert "not reachable" in http.get("/system").text


def test_encoder_and_decoder_with_different_models_are_told_apart(loop, console) -> None:
    other = Running("decoder", loop)
    try:
        mixed = console(decoder=other.target)
        with httpx.Client(base_url=mixed.url, timeout=60) as http:
            assert "have different models" in http.get("/system").text
            view = http.get("/view", params={"picture": PHOTO})
            assert view.status_code == 409
            assert "System page" in view.text
    finally:
        other.close()


def test_the_copied_python_does_what_it_says(http: httpx.Client, tmp_path: Path) -> None:
    import html

    (tmp_path / "a.png").write_bytes(file_of(photo()))
    picture = upload_id(http, file_of(photo()))
    query = {"picture": picture, "rate": "quality", "quality": "2.5", "path": "mse", "share": "0.5"}
    code = re.findall(r"<code>(import asyncio.*?)</code>", http.get("/view", params=query).text, re.DOTALL)[0]
    done = subprocess.run(
        [sys.executable, "-c", html.unescape(code)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shown = http.get(f"/pictures/{picture}/rendition.png", params=query).content
    np.testing.assert_array_equal(pixels_of((tmp_path / "again.png").read_bytes()), pixels_of(shown))


def test_the_console_never_imports_what_computes() -> None:
    code = (
        "import sys, manypath_services.console.server, manypath_services.console.__main__;"
        "print([name for name in ('torch', 'manypath', 'compressai', 'onnxruntime') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
