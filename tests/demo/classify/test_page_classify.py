"""The tab "Classify an image" in a real browser, without any network."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browsing import DESKTOP, PHONE, Visit, changed, expect, playwright, source, warned
from PIL import Image
from tiny_weights import CLOTHES, TINY_CNN

from demo.classify import examples as photos

TAB = "?tab=classify"
SEES, PHOTO = ".sees img", ".photo .frame img"
READY = "document.querySelector('#classify-python')?.textContent.includes('CompactCNN')"
NO_CAMERA = "navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error('none'))"
# A camera that films a red wall, and a clipboard that holds a picture of a blue one.
CAMERA = """
const wall = (colour) => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 48 });
  setInterval(() => { const c = canvas.getContext("2d"); c.fillStyle = colour; c.fillRect(0, 0, 64, 48); }, 50);
  return canvas;
};
navigator.mediaDevices.getUserMedia = async () => wall("#c00000").captureStream(20);
navigator.clipboard.read = async () => {
  const blob = new Promise((done) => setTimeout(() => wall("#0000c0").toBlob(done), 0));
  return [{ types: ["image/png"], getType: () => blob }];
};
"""


def look(visit: Visit, query: str = TAB, **how: object) -> playwright.Page:
    return visit(query, ready=READY, **how)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_opens_with_two_answers_and_looks_at_an_upload(
    visit: Visit, size: tuple[int, int], tmp_path: Path
) -> None:
    page = look(visit, size=size)
    expect(page.locator(".net")).to_have_count(2)
    expect(page.locator(".net:first-child .top li")).to_have_count(5)
    page.get_by_text("measuring").first.wait_for(state="detached")
    expect(page.locator(".costs tbody tr").first).to_contain_text("ms")
    expect(page.locator(".costs")).to_contain_text("fewer")
    for panel in (".kernels", ".parts", ".front"):
        expect(page.locator(panel)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]

    Image.effect_noise((300, 200), 90).convert("RGB").save(tmp_path / "photo.jpg")
    before = source(page, SEES)
    page.locator(".photo input[type=file]").set_input_files(tmp_path / "photo.jpg")
    before = changed(page, SEES, before)
    assert source(page, PHOTO).startswith("data:image/jpeg")
    page.locator(".photo .cut").focus()
    page.keyboard.press("End")  # the square moves along the photo
    changed(page, SEES, before)
    page.wait_for_function("!document.querySelector('#classify-keep .link input').value.includes('start=')")


def test_at_1280_the_answer_is_visible_without_scrolling(visit: Visit) -> None:
    page = look(visit)
    for selector in (PHOTO, SEES, ".words", ".net:last-child .top", ".costs"):
        box = page.locator(selector).first.bounding_box()
        assert box
        assert box["y"] + box["height"] <= DESKTOP[1]


def test_an_example_and_its_link(visit: Visit) -> None:
    page = look(visit)
    before = source(page, SEES)
    page.locator(".photo .examples button").nth(4).click()
    seen = changed(page, SEES, before)
    page.wait_for_function("document.querySelector('#classify-keep .link input').value.includes('example-5')")
    query = urlsplit(page.locator("#classify-keep .link input").input_value()).query
    again = look(visit, f"?{query}")
    assert source(again, SEES) == seen
    expect(page.locator(".words")).to_have_text(again.locator(".words").inner_text(), use_inner_text=True)


def test_another_model_alone_and_back(visit: Visit) -> None:
    page = look(visit)
    before = source(page, SEES)
    page.locator("#classify-model input").click()
    page.get_by_role("option", name="Clothes").click()
    before = changed(page, SEES, before)
    page.locator(".net").nth(1).wait_for(state="detached")
    expect(page.locator(".net h3")).to_have_text("The network")
    expect(page.locator(".front")).to_be_hidden()
    expect(page.locator(".kernels .dense")).to_be_hidden()
    expect(page.locator(".maps figure")).to_have_count(1)
    page.locator("#classify-model input").click()
    page.get_by_role("option", name="Animals").click()
    changed(page, SEES, before)
    page.locator(".net").nth(1).wait_for()
    expect(page.locator(".front")).to_be_visible()


def test_a_link_opens_a_model(visit: Visit) -> None:
    page = look(visit, f"{TAB}&model={CLOTHES}")
    expect(page.locator("#classify-model input")).to_have_value("Clothes, grey")
    expect(page.locator(".examples button").last).to_have_attribute("title", "Example: clock")


def test_the_layer_whose_kernels_are_drawn_can_be_picked(visit: Visit) -> None:
    page = look(visit)
    before = source(page, ".kernels .tied img")
    page.locator(".kernels select").select_option(index=0)
    changed(page, ".kernels .tied img", before)
    expect(page.locator(".numbers")).to_contain_text("in place of")


def test_points_of_the_front_and_layers_name_themselves(visit: Visit) -> None:
    page = look(visit)
    page.locator(".front summary").click()
    said = page.locator(".front .said")
    page.locator(".front .point").last.hover()
    expect(said).to_have_text(re.compile(r"^ResNet-20: 90\.0 %"))
    page.locator(".front .point").first.focus()
    expect(said).to_have_text(re.compile(r"^resnet20@0\.25:blueprint: 80\.0 % ± 0\.2 over 3 runs"))
    page.keyboard.press("ArrowRight")
    expect(said).to_have_text(re.compile(r"^resnet20@0\.25: 81\.0 %"))
    page.locator(".axis input[value=latency_ms]").check()
    expect(page.locator(".front .point")).to_have_count(2)  # nobody timed the published one
    page.locator(".maps .part.tied").first.hover()
    expect(page.locator(".maps .said").first).to_contain_text("tied by blueprint-1")


def test_refused_files_keep_what_is_shown(visit: Visit, tmp_path: Path) -> None:
    page = look(visit)
    shown = source(page, SEES), source(page, PHOTO), page.locator(".words").inner_text()
    text, dot, half = tmp_path / "text.png", tmp_path / "dot.png", tmp_path / "half.png"
    text.write_text("this is not a picture")
    Image.new("L", (1, 1)).save(dot)
    photos.example("drawn", 0).save(half)
    half.write_bytes(half.read_bytes()[:2000])
    huge = tmp_path / "huge.png"
    Image.new("1", (10_000, 10_000)).save(huge)
    for file, words in ((text, "not a picture"), (dot, "1 x 1"), (half, "damaged"), (huge, "too large")):
        page.locator(".photo input[type=file]").set_input_files(file)
        warned(page, words)
    assert (source(page, SEES), source(page, PHOTO), page.locator(".words").inner_text()) == shown


def test_several_photos_become_a_table_and_where_it_looked_is_shown(visit: Visit, tmp_path: Path) -> None:
    page = look(visit)
    expect(page.locator(".looked canvas")).to_have_count(2)
    for i in range(3):
        photos.example("drawn", i).save(tmp_path / f"{i}.png")
    (tmp_path / "x.png").write_text("no picture")
    page.locator(".photo input[type=file]").set_input_files(sorted(tmp_path.glob("*.png")))
    expect(page.locator(".photos .doing")).to_have_text(re.compile(r"^4 photos in "))
    expect(page.locator(".photos tbody tr")).to_have_count(3)
    with page.expect_download() as download:
        page.locator(".photos a").click()
    rows = download.value.path().read_text().splitlines()
    assert rows[0] == "file,label,probability"
    assert [row.split(",")[0] for row in rows[1:]] == ["0.png", "1.png", "2.png", "x.png"]


def test_webcam_and_paste(visit: Visit) -> None:
    page = look(visit, script=CAMERA)
    before = source(page, SEES)
    page.get_by_role("button", name="Webcam").click()
    expect(page.locator(".photo .pace")).to_have_text(re.compile(r"^Live: \d+\.\d pictures a second\.$"))
    page.get_by_role("button", name="Take the picture").click()
    before = changed(page, SEES, before)
    expect(page.locator(".photo .choose")).to_be_visible()
    page.get_by_role("button", name="Paste").click()
    changed(page, SEES, before)


def test_without_a_camera_it_says_so(visit: Visit) -> None:
    page = look(visit, script=NO_CAMERA)
    page.get_by_role("button", name="Webcam").click()
    page.get_by_text("No camera can be used here").wait_for()


@pytest.mark.parametrize(
    ("query", "words"),
    [("model=no-such-model", "no-such-model"), (f"model={TINY_CNN}&start=example-77", "whole number")],
)
def test_a_bad_link_says_so_and_the_tab_opens(visit: Visit, query: str, words: str) -> None:
    page = look(visit, f"{TAB}&{query}")
    warned(page, words)
    assert source(page, SEES).startswith("data:image/png")
