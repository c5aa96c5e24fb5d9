"""The tab "Your own" in a real browser: commands for what a visitor has, and models from elsewhere in their tabs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from browsing import DESKTOP, PHONE, Visit, expect, playwright
from tiny_weights import MODEL, TINY_CNN, TINY_TEXT

READY = "document.querySelector('#yourown-train li') && document.querySelector('#yourown-open dl')"
CODE = "#yourown-train pre"


def code(page: playwright.Page, words: str) -> str:
    """All commands, once they hold these words."""
    page.locator(CODE).filter(has_text=words).first.wait_for()
    return "\n".join(page.locator(CODE).all_text_contents())


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_it_opens_by_link_with_commands_and_models_and_fits(visit: Visit, size: tuple[int, int]) -> None:
    page = visit("?tab=yourown", size=size, ready=READY)
    assert "python -m affinevae.train" in code(page, "affinevae.train")
    names = page.locator("#yourown-open .entries button").evaluate_all("all => all.map((e) => e.title)")
    assert {MODEL, TINY_CNN, TINY_TEXT} <= set(names)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    expect(page.locator(".toast-body")).to_have_count(0)


def test_commands_follow_what_is_chosen_and_typed_and_are_copied(visit: Visit) -> None:
    page = visit("?tab=yourown", ready=READY, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("radio", name="Labelled texts").check()
    code(page, "textclf.fit")
    page.get_by_label("Where they are").fill("my reviews' $HOME.csv")
    page.get_by_label("Milliseconds a text may take").fill("20")
    page.get_by_label("Minutes it may take").fill("30")
    written = code(page, "--budget-ms 20")
    assert """--data 'my reviews'"'"' $HOME.csv' --minutes 30 --budget-ms 20""" in written
    page.get_by_role("button", name="Copy: Train").click()
    page.get_by_role("button", name="Copy: Train").get_by_text("Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("python -m textclf.fit --data ")
    page.get_by_role("radio", name="3D meshes").check()
    assert "reviews" not in code(page, "--dropout 0.5")
    page.get_by_role("radio", name="Labelled texts").check()
    assert "my reviews" in code(page, "textclf.fit")


def test_what_no_command_can_hold_is_said_and_the_last_commands_stay(visit: Visit) -> None:
    page = visit("?tab=yourown", ready=READY)
    page.get_by_label("Epochs").fill("0")
    page.locator("#yourown-train .refused").get_by_text("Epochs").wait_for()
    expect(page.locator(CODE).nth(3)).to_be_visible()
    page.get_by_label("Epochs").fill("7")
    assert "--epochs 7 " in code(page, "--epochs 7 ")
    expect(page.locator("#yourown-train .refused")).to_be_hidden()


def test_a_model_of_ones_own_opens_in_its_tab(visit: Visit, weights_dir: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(weights_dir / TINY_CNN, tmp_path / "my 'nets' é" / "my-cnn")
    page = visit("?tab=yourown", ready=READY)
    page.get_by_label("Another one").fill(str(folder))
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="my-cnn").wait_for()
    card = page.locator("#yourown-open dl").inner_text()
    assert "right in 50.0 % of 100 test pictures" in card
    assert str(folder) in card
    assert "none stated" in card
    link = page.get_by_role("link", name="Open in “Classify an image”").get_attribute("href")
    # Another window: one that is left while it still loads complains of that.
    page = visit(link, ready="document.querySelector('#classify-answers .words')?.innerText")
    expect(page.get_by_label("Model").locator("visible=true")).to_have_value("my-cnn")
    expect(page.locator("#classify-python")).to_contain_text(str(folder))


def test_what_cannot_be_opened_is_said(visit: Visit) -> None:
    page = visit("?tab=yourown", ready=READY)
    for asked, words in (
        ("/no/such/folder", "There is no folder"),
        ("/etc", "holds no config.json"),
        ("nobody/nothing", "cannot be reached"),
        ("--help", "takes what begins with -"),
    ):
        page.get_by_label("Another one").fill(asked)
        page.get_by_role("button", name="Open", exact=True).click()
        page.locator("#yourown-open .refused").get_by_text(words).wait_for()
        expect(page.get_by_role("button", name="Open", exact=True)).to_be_enabled()


def test_a_card_is_told_for_every_model_by_keyboard(visit: Visit) -> None:
    page = visit("?tab=yourown", ready=READY)
    for name, words in ((TINY_TEXT, "texts of up to 64 tokens"), (MODEL, "4 numbers for the shape")):
        page.locator(f"#yourown-open .entries button[title='{name}']").focus()
        page.keyboard.press("Enter")
        page.locator("#yourown-open dl").get_by_text(words).wait_for()
    expect(page.locator("#yourown-open .entries [aria-pressed=true]")).to_have_attribute("title", MODEL)
