"""The tab in a real browser, without any network: what a visitor can do, on a desktop and on a phone."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browsing import DESKTOP, PATIENCE, PHONE, Visit, changed, expect, playwright, source, warned
from PIL import Image
from tiny_weights import BROKEN, COLOURS, MODEL


def link(page: playwright.Page) -> str:
    return urlsplit(page.locator(".keep .link input").input_value()).query


def draw(page: playwright.Page, *points: tuple[float, float]) -> None:
    """A stroke over the canvas, in parts of its side."""
    page.locator(".paper canvas").scroll_into_view_if_needed()
    box = page.locator(".paper canvas").bounding_box()
    assert box
    for i, (x, y) in enumerate(points):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
        if i == 0:
            page.mouse.down()
    page.mouse.up()


REDRAWN, STRAIGHT, LEFT = ".redrawn img", ".straight img", ".left img"


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_opens_with_something_to_see_and_can_be_drawn_on_and_steered(
    visit: Visit, size: tuple[int, int]
) -> None:
    page = visit(size=size)
    assert all(source(page, s).startswith("data:image/png") for s in (REDRAWN, STRAIGHT, LEFT))
    box = page.locator(STRAIGHT).bounding_box()
    assert box
    assert box["y"] + box["height"] / 2 < size[1]  # whoever draws sees what becomes of it
    page.wait_for_selector(".walk .grid img[src]")
    expect(page.locator(".price")).to_contain_text("nats")
    page.locator(".film img").first.wait_for()
    page.locator("#shapes2d-turning .scatterlayer .trace").first.wait_for(state="attached")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]

    before = source(page, STRAIGHT)
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(STRAIGHT)).to_be_hidden()
    page.locator(".bench .nothing").get_by_text("Nothing to look at yet").wait_for()
    draw(page, (0.3, 0.2), (0.7, 0.2), (0.4, 0.8))
    before = (changed(page, STRAIGHT, before), source(page, REDRAWN))[1]
    assert "start=drawing" in link(page)

    page.locator(".slider input").first.focus()
    page.keyboard.press("End")
    changed(page, REDRAWN, before)
    page.wait_for_function("document.querySelector('.keep .link input').value.includes('z=')")


def test_at_1280_the_answer_is_visible_without_scrolling(visit: Visit) -> None:
    page = visit()
    for selector in (".paper canvas", STRAIGHT, ".dial", REDRAWN, LEFT, ".slider"):
        box = page.locator(selector).first.bounding_box()
        assert box
        assert box["y"] + box["height"] <= DESKTOP[1]


def test_buttons(visit: Visit) -> None:
    page = visit()
    now = source(page, REDRAWN)
    for name in ("Random shape", "Random orientation"):
        page.get_by_role("button", name=name).click()
        now = changed(page, REDRAWN, now)
    expect(page.locator(".seed input")).to_have_value("2")
    page.get_by_role("button", name="Straighten").click()
    now = changed(page, REDRAWN, now)
    expect(page.locator(".degrees")).to_have_text("0°")
    page.locator(".seed input").fill("5")
    page.locator(".seed input").press("Enter")
    changed(page, REDRAWN, now)
    pinned = source(page, ".pinned img")
    page.get_by_role("button", name="Pin", exact=True).click()
    changed(page, ".pinned img", pinned)
    page.get_by_role("button", name="Unpin").click()
    page.get_by_text("Pin a picture first").wait_for()
    page.get_by_role("button", name="Random orientation").click()
    page.wait_for_function("document.querySelector('.degrees').textContent !== '0°'")
    page.get_by_role("button", name="Reset", exact=True).click()
    expect(page.locator(".degrees")).to_have_text("0°")


def test_dial_turns_with_the_keyboard_and_a_thumbnail_sets_its_number(visit: Visit) -> None:
    page = visit()
    now = source(page, REDRAWN)
    page.locator(".dial").focus()
    page.keyboard.press("PageUp")
    now = changed(page, REDRAWN, now)
    page.locator(".strip").first.click(position={"x": 3, "y": 8})
    changed(page, REDRAWN, now)
    expect(page.locator(".slider output").first).to_have_text("−3.00")


def test_map_decodes_where_it_is_clicked(visit: Visit) -> None:
    page = visit()
    page.locator("#shapes2d-turning .js-plotly-plot").wait_for()  # nothing moves the map any more
    page.locator(".legend span").first.wait_for()
    now = source(page, REDRAWN)
    page.locator(".map canvas").click(position={"x": 120, "y": 90})
    changed(page, REDRAWN, now)
    page.locator(".map canvas").hover(position={"x": 60, "y": 50})
    page.locator(".map .lens").wait_for()
    expect(page.locator(".legend span")).to_have_count(10)


def test_map_is_reached_by_keyboard(visit: Visit) -> None:
    page = visit()
    page.locator("#shapes2d-turning .js-plotly-plot").wait_for()
    now = source(page, REDRAWN)
    page.locator(".map canvas").focus()
    for _ in range(3):
        page.keyboard.press("Shift+ArrowLeft")
    page.locator(".map .lens").wait_for()
    expect(page.locator(".map .cross")).to_be_visible()
    page.keyboard.press("Enter")
    changed(page, REDRAWN, now)


def test_link_restores_exactly_what_was_shown(visit: Visit) -> None:
    page = visit()
    before = source(page, STRAIGHT)
    page.get_by_role("button", name="Clear").click()
    draw(page, (0.3, 0.2), (0.5, 0.5), (0.4, 0.8))
    changed(page, STRAIGHT, before)
    now = source(page, REDRAWN)
    page.get_by_role("button", name="Random shape").click()
    changed(page, REDRAWN, now)
    page.wait_for_function("document.querySelector('.keep .link input').value.includes('seed=1&')")
    page.get_by_role("button", name="Random orientation").click()
    page.wait_for_function("document.querySelector('.keep .link input').value.includes('seed=2&')")
    query = link(page)
    again = visit(f"?{query}")
    again.wait_for_selector(".walk .grid img[src]")
    selectors = (REDRAWN, STRAIGHT, LEFT, ".pinned img", ".walk .grid img")
    deadline = time.monotonic() + PATIENCE / 1000  # the walk follows a moment after the rest, on both pages
    while [source(again, s) for s in selectors] != [source(page, s) for s in selectors]:
        assert time.monotonic() < deadline
        page.wait_for_timeout(100)
    assert link(again) == query


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("model=no-such-model", "no-such-model"),
        (f"model={MODEL}&z=nan,0,0,0", "z must be"),
        (f"model={MODEL}&z=1,2", "z must be"),
        (f"model={MODEL}&start=drawing&draw=%3Cscript%3E", "drawing in the link"),
        (f"model={BROKEN}&start=sample", "damaged or incomplete"),
    ],
)
def test_a_bad_link_says_so_and_the_page_opens(visit: Visit, query: str, words: str) -> None:
    page = visit(f"?{query}")
    warned(page, words)
    assert source(page, REDRAWN).startswith("data:image/png")


def test_bad_pictures_get_a_sentence_and_the_page_keeps_what_it_shows(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    text, dot, blank = tmp_path / "text.png", tmp_path / "dot.png", tmp_path / "blank.png"
    text.write_text("this is not a picture")
    Image.new("L", (1, 1)).save(dot)
    Image.new("L", (64, 64), 200).save(blank)
    huge = tmp_path / "huge.png"
    Image.new("1", (10_000, 10_000)).save(huge)
    shown = source(page, REDRAWN), source(page, STRAIGHT)
    for file, words in ((text, "not a picture"), (dot, "1 x 1"), (blank, "one colour"), (huge, "too large")):
        page.locator(".paper input[type=file]").set_input_files(file)
        warned(page, words)
    assert (source(page, REDRAWN), source(page, STRAIGHT)) == shown


def test_an_upload_a_sample_and_an_example_are_encoded(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    paper = Image.new("RGB", (300, 200), "white")
    paper.paste((20, 20, 60), (120, 40, 150, 170))
    paper.save(tmp_path / "photo.jpg")
    before = source(page, STRAIGHT)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload a picture").first.press("Enter")
    chooser.value.set_files(tmp_path / "photo.jpg")
    before = changed(page, STRAIGHT, before)
    page.get_by_role("button", name="Random", exact=True).click()
    before = changed(page, STRAIGHT, before)
    page.locator(".examples button").nth(2).click()
    changed(page, STRAIGHT, before)


def test_models_of_users_appear_and_half_a_checkpoint_is_refused(visit: Visit) -> None:
    page = visit()
    shown = source(page, REDRAWN)
    page.locator("#shapes2d-model input").click()
    expect(page.get_by_role("option")).to_have_count(3)
    page.get_by_role("option", name=BROKEN).click()
    warned(page, "damaged or incomplete")
    assert source(page, REDRAWN) == shown
    page.locator(".toast-close").first.click()  # it lies over the picker
    page.locator("#shapes2d-model input").click()
    page.get_by_role("option", name=COLOURS).click()
    changed(page, REDRAWN, shown)
    page.get_by_text("stretch").wait_for()
    page.get_by_text("There is no map for this model yet").wait_for()
