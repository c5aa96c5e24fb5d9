"""The tab "Classify text" in a real browser, without any network."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browsing import DESKTOP, PHONE, Visit, expect, playwright, warned
from tiny_weights import TINY_TEXT, UNSEARCHED

TAB = "?tab=text"
READY = "document.querySelectorAll('.word').length && document.querySelector('.cell[tabindex]')"
MARKUP = "<img src=x onerror=alert(1)> <b>good</b> word1"


def look(visit: Visit, query: str = TAB, **how: object) -> playwright.Page:
    return visit(query, ready=READY, **how)


def fill(page: playwright.Page, text: str) -> None:
    page.get_by_label("Your text", exact=True).fill(text)


def query_of(page: playwright.Page) -> str:
    return urlsplit(page.locator("#text-keep .link input").input_value()).query


def until_linked(page: playwright.Page, words: str) -> None:
    """The answer to the last act is on screen."""
    link = "document.querySelector('#text-keep .link input').value"
    page.wait_for_function(f"w => {link}.includes(w)", arg=words)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_opens_with_an_answer_and_reads_what_is_typed(visit: Visit, size: tuple[int, int]) -> None:
    page = look(visit, size=size)
    expect(page.locator("#text-answers .net")).to_have_count(2)
    expect(page.locator("#text-answers .sees")).to_be_hidden()
    page.wait_for_function("document.querySelector('#text-costs tbody').innerText.includes(' ms')")
    expect(page.locator(".beside")).to_contain_text("TF-IDF")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    expect(page.locator("#text-front .axis")).to_be_hidden()
    fill(page, MARKUP)
    until_linked(page, "onerror")
    page.wait_for_function("document.querySelector('.flow .text').innerText.includes('onerror=alert(1)')")
    expect(page.locator(".flow .text img")).to_have_count(0)
    fill(page, "   ")
    page.get_by_text("Paste or type a text, or pick").wait_for()
    expect(page.locator(".flow")).to_be_hidden()
    expect(page.locator("#text-answers .net")).to_have_count(0)


def test_the_slider_switches_plans(visit: Visit) -> None:
    page = look(visit)
    page.locator(".plans input").focus()
    page.keyboard.press("End")
    expect(page.locator(".plans .about b")).to_have_text("fastest")
    until_linked(page, "plan=fastest")
    page.wait_for_function("document.querySelector('#text-answers .net small').textContent === 'fastest'")
    page.locator("#text-front summary").click()
    page.wait_for_function("document.querySelector('#text-front .name').textContent === 'fastest'")
    expect(page.locator(".layer").nth(3).locator(".cell:not(.saved)")).to_have_count(0)
    page.locator(".plans input").focus()
    page.keyboard.press("Home")
    page.wait_for_function("document.querySelectorAll('#text-answers .net').length === 1")


def test_a_slot_shows_its_words_and_a_word_its_slots(visit: Visit) -> None:
    page = look(visit)
    said = page.locator(".flow .said")
    page.locator(".layer").nth(2).locator(".cell").nth(1).hover()
    expect(said).to_have_text(re.compile(r"^Layer 3, slot 2 of "))
    expect(page.locator(".word.in").first).to_be_visible()
    page.locator(".word").nth(1).hover()
    expect(said).to_contain_text("In the last layer it is in slot")
    expect(page.locator(".cell.in").first).to_be_visible()
    page.keyboard.press("Tab")
    page.locator(".word").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".word").nth(1)).to_have_class(re.compile(r"\bnow\b"))
    page.keyboard.press("Escape")
    expect(page.locator(".in")).to_have_count(0)


def test_an_example_and_its_link(visit: Visit) -> None:
    page = look(visit)
    page.get_by_role("button", name="Emoji").click()
    until_linked(page, "example-6")
    again = look(visit, f"?{query_of(page)}")
    text = again.get_by_label("Your text", exact=True).input_value()
    assert text == page.get_by_label("Your text", exact=True).input_value()
    assert "🎬" in text
    expect(page.locator("#text-answers .words")).to_have_text(
        again.locator("#text-answers .words").inner_text(), use_inner_text=True
    )


def test_another_model_that_nobody_searched(visit: Visit) -> None:
    page = look(visit, f"{TAB}&model={UNSEARCHED}")
    expect(page.locator(".slide")).to_be_hidden()
    expect(page.locator(".plans .about")).to_contain_text("textclf.search")
    expect(page.locator("#text-front .front")).to_be_hidden()


@pytest.mark.parametrize(
    ("query", "words"),
    [("model=no-such-model", "no-such-model"), (f"model={TINY_TEXT}&plan=none", "plan must be one of")],
)
def test_a_bad_link_says_so_and_the_tab_opens(visit: Visit, query: str, words: str) -> None:
    page = look(visit, f"{TAB}&{query}")
    warned(page, words)
    expect(page.locator("#text-answers .net")).to_have_count(2)


def test_a_table_is_classified_and_a_bad_one_refused(visit: Visit, tmp_path: Path) -> None:
    page = look(visit)
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("text\n" + "good word1\n<b>awful</b> word2\n\n" * 100)
    bad.write_text("title,stars\nx,1\n")
    upload = page.locator("#text-panel-table input[type=file]")
    upload.set_input_files(bad)
    page.get_by_text("first row must name the columns").wait_for()
    upload.set_input_files(good)
    page.get_by_text("200 rows in").wait_for()
    expect(page.locator(".rows tbody tr")).to_have_count(8)
    expect(page.locator(".rows")).to_contain_text("<b>awful</b> word2")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the table").click()
    download.value.save_as(tmp_path / "found.csv")
    with (tmp_path / "found.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 200
    assert set(rows[0]) == {"text", "label", "probability"}


def test_a_large_table_can_be_cancelled(visit: Visit, tmp_path: Path) -> None:
    page = look(visit)
    path = tmp_path / "large.csv"
    path.write_text("text\n" + ("word1 good " * 14 + "\n") * 100_000)
    page.locator("#text-panel-table input[type=file]").set_input_files(path)
    page.wait_for_function("document.querySelector('.doing').textContent.includes('of 100,000 texts')")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".doing")).to_have_text("Cancelled: nothing was kept.")
    expect(page.locator(".going")).to_be_hidden()
    page.wait_for_timeout(1500)
    expect(page.locator(".doing")).to_have_text("Cancelled: nothing was kept.")
