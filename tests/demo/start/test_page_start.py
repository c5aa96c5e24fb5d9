"""What a first-time visitor sees, in a real browser: the cards, filled by the models, and where they lead."""

from __future__ import annotations

import re

import pytest
from browsing import DESKTOP, PHONE, Visit, expect, playwright

FILLED = "document.querySelectorAll('.card.filled').length === 4"
SELECTED = "button[role=tab][aria-selected=true]"


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_system_shows_what_its_model_made(visit: Visit, size: tuple[int, int]) -> None:
    page = visit("", size=size, ready=FILLED)
    expect(page.locator(SELECTED)).to_have_text("Start")
    sources = page.locator(".card .pairs img").evaluate_all("images => images.map((image) => image.src)")
    assert len(set(sources)) == len(sources) == 8
    assert all(source.startswith("data:image/png") for source in sources)
    dense, shared = page.locator(".card .squares figcaption").all_inner_texts()
    assert int(re.sub(r"\D", "", dense)) > int(re.sub(r"\D", "", shared))
    expect(page.locator(".card .funnel div")).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    expect(page.locator(".toast-body")).to_have_count(0)


def test_a_card_leads_to_its_tab_by_mouse_keyboard_and_link(visit: Visit) -> None:
    page = visit("", ready=FILLED)
    page.locator(".card[data-tab=classify]").click()
    expect(page.locator(SELECTED)).to_have_text("Classify an image")
    page.locator(".answers .words").get_by_text(re.compile(r"\w")).wait_for()
    page.get_by_role("tab", name="Start").click()
    page.locator(".card[data-tab=shapes2d]").focus()
    page.keyboard.press("Enter")
    page.locator(".strip[src^=data]").first.wait_for()
    expect(page.locator(".card[data-tab=text]")).to_have_attribute("href", "?tab=text")


def test_on_a_phone_every_tab_is_in_sight_and_a_card_leads_to_its_own(visit: Visit) -> None:
    page: playwright.Page = visit("", size=PHONE, ready=FILLED)
    for tab in page.get_by_role("tab").all():
        expect(tab).to_be_visible()
        box = tab.bounding_box()
        assert box
        assert 0 <= box["x"] <= box["x"] + box["width"] <= PHONE[0]
    expect(page.get_by_role("tab")).to_have_count(7)
    page.locator(".card[data-tab=text]").click()
    page.locator(".passage textarea").wait_for()


def test_a_link_from_before_there_were_tabs_opens_its_picture(visit: Visit) -> None:
    page = visit("?model=affinevae-mnist&start=example-2")
    expect(page.locator(SELECTED)).to_have_text("Shapes in 2D")
