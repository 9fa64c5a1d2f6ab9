"""The pages as people use them: with mouse, with keys, on a phone, in ten tabs, and when something is missing."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from tests.console.conftest import Console, opened
from tests.console.test_http import file_of
from tests.services.serving import Running, photo

PAGES = ["/?picture=photo-cat", "/compare?picture=photo-cat", "/cameras", "/system", "/nowhere"]


def settled(page: Page, bytes_before: str = "") -> dict[str, str]:
    """The figures, once the picture and everything around it are there."""
    expect(page.locator("#right")).to_be_visible()
    if bytes_before:
        expect(page.locator("#fact-bytes")).not_to_have_text(bytes_before)
    expect(page.locator("#stage.htmx-request, #controls.htmx-request, #upload.htmx-request")).to_have_count(0)
    for number in range(page.locator("#frames img").count()):
        expect(page.locator("#frames img").nth(number)).to_have_js_property("complete", True)
    return {name: page.locator(f"#fact-{name}").inner_text() for name in ("bytes", "bpp", "psnr", "share")}


def number_in(text: str) -> int:
    return int(re.sub(r"\D", "", text))


def pixels_shown(page: Page, image: str = "#right") -> bytes:
    """The picture that the tab shows, as the browser decoded it."""
    return bytes(
        page.evaluate(
            """async (name) => {
                const image = document.querySelector(name);
                await image.decode();
                const canvas = document.createElement("canvas");
                canvas.width = image.naturalWidth;
                canvas.height = image.naturalHeight;
                const context = canvas.getContext("2d");
                context.drawImage(image, 0, 0);
                return [...context.getImageData(0, 0, 64, 64).data];
            }""",
            image,
        )
    )


def slide(page: Page, control: str, value: float) -> None:
    """Move a slider as a hand does: its value changes, then the page is told."""
    page.locator(control).evaluate(
        "(element, value) => { element.value = value; element.dispatchEvent(new Event('input', {bubbles: true})); }",
        str(value),
    )


def drop(page: Page, kind: str, content: bytes, name: str) -> None:
    """Let go of a file over the page, or paste it."""
    page.evaluate(
        """([kind, content, name]) => {
            const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name, { type: "image/png" }));
            const told = kind === "drop"
                ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true })
                : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true });
            document.body.dispatchEvent(told);
        }""",
        [kind, base64.b64encode(content).decode(), name],
    )


def test_the_first_page_shows_a_photo_what_it_costs_and_what_machines_see(tab) -> None:
    page = tab("/")
    figures = settled(page)
    assert re.fullmatch(r"[\d,]+ bytes", figures["bytes"])
    assert figures["psnr"].endswith("dB")
    assert figures["share"].endswith("%")
    expect(page.locator(".task[aria-label=classification] li").first).to_be_visible()
    expect(page.locator(".task[aria-label=segmentation] li").first).to_be_visible()
    expect(page.locator("#beside tr")).to_have_count(5)
    assert "picture=photo-pagoda" in page.url


def test_quality_changes_what_it_costs_and_what_is_seen(tab) -> None:
    page = tab("/?picture=photo-cat&quality=4")
    before, shown = settled(page), pixels_shown(page)
    slide(page, "#quality", 1)
    low = settled(page, before["bytes"])
    assert float(low["bpp"]) < float(before["bpp"])
    assert pixels_shown(page) != shown
    slide(page, "#quality", 8)
    high = settled(page, low["bytes"])
    assert float(high["bpp"]) > float(before["bpp"])
    assert "quality=8" in page.url
    expect(page.locator("output[for=quality]")).to_have_text("8")


def test_a_budget_in_bytes_and_one_in_bits_per_pixel_are_kept(tab) -> None:
    page = tab("/?picture=photo-cat&quality=1")
    least = settled(page)
    slide(page, "#quality", 8)
    most = settled(page, least["bytes"])
    wanted = (number_in(least["bytes"]) + number_in(most["bytes"])) // 2
    page.get_by_text("Bytes", exact=True).click()
    page.locator("#bytes").fill(str(wanted))
    expect(page).to_have_url(re.compile(f"bytes={wanted}"))
    figures = settled(page)
    assert number_in(least["bytes"]) <= number_in(figures["bytes"]) <= wanted
    wanted_bpp = round((float(least["bpp"]) + float(figures["bpp"])) / 2, 3)
    page.get_by_text("Bits/pixel", exact=True).click()
    page.locator("#bpp").fill(str(wanted_bpp))
    expect(page).to_have_url(re.compile(f"bpp={wanted_bpp}"))
    figures = settled(page)
    assert float(least["bpp"]) <= float(figures["bpp"]) <= wanted_bpp + 0.0005  # it is shown with three digits


def test_path_and_share_change_the_picture_but_not_the_bytes(tab) -> None:
    page = tab("/?picture=photo-cat&quality=2")
    before, main = settled(page), pixels_shown(page)
    expect(page.locator("#share")).to_be_disabled()
    page.get_by_label(re.compile("segmentation for a segmenter")).check()
    expect(page.locator("#tag-right")).to_have_text("segmentation")
    after, side = settled(page), pixels_shown(page)
    assert after["bytes"] == before["bytes"]
    assert side != main
    slide(page, "#share", 0)
    expect(page).to_have_url(re.compile(r"share=0(&|$)"))
    settled(page)
    assert pixels_shown(page) == main  # a side path without tokens is the main path


def test_another_format_of_as_many_bytes_stands_left_of_the_divider(tab) -> None:
    page = tab("/?picture=photo-cat&quality=3")
    settled(page)
    original = pixels_shown(page, "#left-picture")
    page.locator("#beside [data-left=webp]").click()
    expect(page.locator("#tag-left")).to_have_text("WebP")
    settled(page)
    assert pixels_shown(page, "#left-picture") != original
    assert "left=webp" in page.url
    page.get_by_label("Left of the divider").select_option("original")
    expect(page.locator("#tag-left")).to_have_text("original")
    settled(page)
    assert pixels_shown(page, "#left-picture") == original


@pytest.mark.parametrize("layer", ["bits", "mask", "score-1"])
def test_a_layer_lies_over_the_picture_and_goes_again(tab, layer: str) -> None:
    page = tab("/?picture=photo-cat&quality=3&path=mse")
    settled(page)
    page.get_by_label("Layer").select_option(layer)
    expect(page.locator("#layer-picture")).to_be_visible()
    settled(page)
    page.get_by_label("Layer").select_option("")
    expect(page.locator("#layer-picture")).to_have_count(0)


def test_a_layer_that_the_path_does_not_have_goes_with_the_path(tab) -> None:
    page = tab("/?picture=photo-cat&path=mse&layer=score-1")
    settled(page)
    expect(page.locator("#layer-picture")).to_be_visible()
    page.get_by_label(re.compile("perceptual for people")).check()
    expect(page.locator("#layer-picture")).to_have_count(0)
    settled(page)


def test_the_divider_follows_keys_and_mouse(tab) -> None:
    page = tab("/?picture=photo-cat")
    settled(page)
    frames = page.locator("#frames").bounding_box()
    assert frames is not None

    def place() -> float:
        return (
            float(page.evaluate("parseFloat(getComputedStyle(document.querySelector('#divider')).left)"))
            / frames["width"]
        )

    assert abs(place() - 0.5) < 0.01
    page.locator("#split").focus()
    page.keyboard.press("Home")
    assert abs(place()) < 0.01
    page.keyboard.press("End")
    assert abs(place() - 1) < 0.01
    page.mouse.click(frames["x"] + 0.25 * frames["width"], frames["y"] + 0.5 * frames["height"])
    assert abs(place() - 0.25) < 0.02
    slide(page, "#quality", 2)
    expect(page).to_have_url(re.compile(r"quality=2"))
    settled(page)
    assert abs(place() - 0.25) < 0.02  # the next picture leaves it where it is


def test_pictures_can_be_seen_pixel_by_pixel(tab) -> None:
    page = tab("/?picture=photo-cat")
    settled(page)
    page.get_by_role("button", name="2:1").click()
    box = page.locator("#right").bounding_box()
    assert box is not None
    assert round(box["width"]) == 2 * 451
    expect(page.get_by_role("button", name="2:1")).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize("way", ["choose", "drop", "paste"])
def test_a_picture_of_one_s_own_comes_in(tab, way: str, tmp_path: Path) -> None:
    page = tab("/?picture=photo-cat&path=mse&quality=3")
    before = settled(page)
    content = file_of(photo(120, 200))
    if way == "choose":
        (tmp_path / "own.png").write_bytes(content)
        page.locator("#file").set_input_files(tmp_path / "own.png")
    else:
        drop(page, way, content, "own.png")
    settled(page, before["bytes"])
    expect(page.locator("#facts")).to_contain_text("own.png, 200 × 120")
    expect(page.locator("#tag-right")).to_have_text("mse")  # the controls hold
    assert "picture=photo-cat" not in page.url
    slide(page, "#quality", 5)
    expect(page).to_have_url(re.compile(r"quality=5"))
    settled(page)
    expect(page.locator("#facts")).to_contain_text("own.png")
    page.reload()
    settled(page)
    expect(page.locator("#facts")).to_contain_text("own.png")


def test_the_browser_s_camera_gives_a_picture(tab) -> None:
    page = tab("/?picture=photo-cat", permissions=["camera"])
    before = settled(page)
    page.get_by_role("button", name="Use the camera").click()
    expect(page.locator("#camera-words")).to_have_text("")
    expect(page.locator("video")).not_to_have_js_property("videoWidth", 0)
    page.get_by_role("button", name="Take it").click()
    settled(page, before["bytes"])
    expect(page.locator("#facts")).to_contain_text("camera.png")
    assert page.evaluate("document.querySelector('video').srcObject") is None  # the camera's light goes out


def test_a_bad_upload_is_told_and_the_next_good_one_shown(tab) -> None:
    page = tab("/?picture=photo-cat", expect_errors=True)
    settled(page)
    drop(page, "drop", b"no picture at all", "a.png")
    expect(page.get_by_role("alert")).to_contain_text("not a picture")
    expect(page.get_by_role("alert")).to_contain_text("Send a JPEG, PNG, WebP")
    drop(page, "drop", file_of(photo(100, 140)), "good.png")
    expect(page.locator("#facts")).to_contain_text("good.png")
    settled(page)


def test_too_large_a_file_is_refused_before_it_is_sent(browser, console) -> None:
    small: Console = console(max_upload_bytes=2**16)
    with opened(browser, small.url) as open_tab:
        page = open_tab("/?picture=photo-cat")
        settled(page)
        noise = np.random.default_rng(3).integers(0, 256, (200, 200, 3), np.uint8)
        drop(page, "drop", file_of(noise), "large.png")
        expect(page.get_by_role("alert")).to_contain_text("at most 65,536 bytes", ignore_case=True)


def test_a_permalink_shows_what_it_was_copied_from(tab) -> None:
    page = tab("/?picture=photo-coffee&rate=bpp&bpp=0.4&path=segmentation&share=0.6&left=jpeg&layer=bits")
    figures, shown = settled(page), pixels_shown(page)
    page.get_by_role("button", name="Copy the link").click()
    link = page.evaluate("navigator.clipboard.readText()")
    again = tab(link)
    assert settled(again) == figures
    assert pixels_shown(again) == shown
    expect(again.locator("#layer")).to_have_value("bits")
    expect(again.locator("#left")).to_have_value("jpeg")


def test_services_that_go_and_come_back_are_told_and_the_page_goes_on_by_itself(browser, loop, own_site) -> None:
    with opened(browser, own_site.url) as open_tab:
        page = open_tab("/?picture=photo-cat&quality=3", expect_errors=True)
        before = settled(page)
        system = open_tab("/system", expect_errors=True)
        port = own_site.encoder.server.port
        own_site.encoder.close()
        slide(page, "#quality", 4)
        expect(page.get_by_role("alert")).to_contain_text("The encoder at")
        expect(page.get_by_role("alert")).to_contain_text("manypath serve encoder")
        expect(system.locator(".service[aria-label=encoder] .state")).to_contain_text("not reachable")
        slide(page, "#quality", 3)  # kept: needs no encoder
        expect(page.get_by_role("alert")).to_have_count(0)
        slide(page, "#quality", 5)
        expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
        own_site.encoder = Running("encoder", loop, port=port, model=own_site.encoder.settings.model)
        settled(page, before["bytes"])
        expect(page.get_by_role("alert")).to_have_count(0)
        expect(system.locator(".service[aria-label=encoder] .state")).to_contain_text("serving")


def test_ten_tabs_each_with_choices_of_its_own_get_each_its_own_picture(tab) -> None:
    pages = [tab(f"/?picture=photo-cat&quality={1 + number % 5}&path=mse") for number in range(10)]
    figures = [settled(page) for page in pages]
    for number in range(5):
        assert figures[number] == figures[number + 5]
    sizes = [number_in(one["bytes"]) for one in figures[:5]]
    assert sizes == sorted(set(sizes))


def test_a_curve_grows_can_be_cancelled_and_can_be_measured_to_its_end(tab) -> None:
    page = tab("/compare?picture=photo-cat")
    page.get_by_role("button", name="Measure this picture").click()
    expect(page.locator("progress")).not_to_have_js_property("value", 0)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".words")).to_contain_text("cancelled")
    page.get_by_role("button", name="Measure this picture").click()
    expect(page.locator(".words")).to_contain_text("56 of 56 points, done")
    expect(page.locator(".chart canvas")).to_be_visible()
    page.get_by_text("The numbers").click()
    rows = [row.split("\t") for row in page.locator(".curve details tbody tr").all_inner_texts()]
    assert len(rows) == 56  # four paths at eight qualities, three formats at eight
    curves = {"perceptual", "mse", "classification", "segmentation", "JPEG", "WebP", "AVIF"}
    assert {row[0] for row in rows} == curves
    jpeg = [(float(row[3]), float(row[4])) for row in rows if row[0] == "JPEG"]
    assert jpeg == sorted(jpeg)  # more bits, less error


def test_everything_can_be_reached_by_keys_alone(tab) -> None:
    page = tab("/?picture=photo-cat&quality=4")
    before = settled(page)
    seen: set[str] = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(
            page.evaluate("(({id, name, textContent}) => (id || name || textContent).trim())(document.activeElement)")
        )
        if page.evaluate("document.activeElement.id") == "quality":
            page.keyboard.press("ArrowLeft")
    settled(page, before["bytes"])
    assert {"file", "camera-open", "split", "left", "layer", "rate", "quality", "path", "As Python"} <= seen
    assert {"Try", "Compare", "System", "Skip to the page"} <= seen


def test_a_new_picture_is_told_to_those_who_do_not_see(tab) -> None:
    page = tab("/?picture=photo-cat&quality=4&path=mse")
    figures = settled(page)
    expect(page.get_by_role("status").filter(has_text="bits per pixel")).to_contain_text(figures["bytes"])
    expect(page.locator("#split")).to_have_attribute("aria-valuetext", "50 percent from the left")


def test_a_picture_that_is_there_before_the_script_is_told_too(tab) -> None:
    page = tab("about:blank")
    held: list[Route] = []
    page.route("**/console.js", lambda route: held.append(route))  # noqa: PLW0108
    page.goto("/?picture=photo-cat&quality=4&path=mse", wait_until="commit")
    figures = settled(page)
    held.pop().continue_()
    expect(page.get_by_role("status").filter(has_text="bits per pixel")).to_contain_text(figures["bytes"])
    expect(page.locator("#split")).to_have_attribute("aria-valuetext", "50 percent from the left")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_no_page_has_a_serious_fault_of_accessibility(tab, path: str, scheme: str) -> None:
    page = tab(path, color_scheme=scheme, expect_errors=path == "/nowhere", bypass_csp=True)
    if path.startswith("/?"):
        settled(page)
        expect(page.locator(".tasks")).to_be_visible()
        expect(page.locator("#beside table")).to_be_visible()
        for summary in page.locator("summary").all():
            summary.click()
    found = Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in {"serious", "critical"}]
    assert [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in serious] == []


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_shows_every_page_without_scrolling_sideways(tab, path: str) -> None:
    page = tab(path, viewport={"width": 360, "height": 740}, expect_errors=path == "/nowhere")
    if path.startswith("/?"):
        settled(page)
        expect(page.locator(".tasks")).to_be_visible()
        order = [page.locator(name).bounding_box()["y"] for name in (".seeing", ".panel", "#answers")]
        assert order == sorted(order)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
