"""The tab "Evidence" in a real browser: claims by link, mouse and keyboard, and numbers as the files have them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from browsing import DESKTOP, PHONE, Visit, expect, playwright, warned

from benchmarks.claims import RESULTS
from demo.evidence import tab as evidence

DRAWN = "document.querySelectorAll('.evidence .point').length > 1"
OPENED = "document.querySelectorAll('.evidence .mark').length > 1"
SEARCH = "?tab=evidence&claim=pose_search_mnist"


def results(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def told(page: playwright.Page) -> dict[str, str]:
    """The numbers beside the mark that tells them."""
    tip = page.locator(".told")
    tip.wait_for()
    titles, texts = (tip.locator(tag).all_inner_texts() for tag in ("dt", "dd"))
    return dict(zip(titles, texts, strict=True))


def mark(page: playwright.Page, name: str) -> playwright.Locator:
    return page.locator(f'.evidence .point[aria-label^="{name}"]')


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_link_opens_its_claim_and_nothing_sticks_out(visit: Visit, size: tuple[int, int]) -> None:
    page = visit(SEARCH, size=size, ready=DRAWN)
    rows = results("pose_search_mnist")["rows"]
    expect(page.locator(".evidence tbody tr")).to_have_count(len(rows))
    expect(page.locator(".evidence .point")).to_have_count(len(rows))
    fast = page.locator(".evidence tbody tr", has_text="ours, fast").locator("td").all_inner_texts()
    assert fast[0] == f"{rows['ours, fast']['nats']:.2f}"
    expect(page.locator(".sentence")).to_contain_text("times faster")
    expect(page.locator(".limits span")).not_to_be_empty()
    expect(page.locator(".behind")).to_contain_text(f"{results('pose_search_mnist')['n']} test pictures")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    expect(page.locator(".toast-body")).to_have_count(0)


def test_marks_tell_the_files_numbers_to_mouse_keyboard_and_finger(visit: Visit) -> None:
    page = visit(SEARCH, ready=DRAWN, has_touch=True)
    rows = results("pose_search_mnist")["rows"]
    mark(page, "grid of 64").hover()
    assert told(page)["median error, degrees"] == f"{rows['grid of 64']['median_degrees']:.2f}"
    page.locator(".evidence .hint").hover()
    expect(page.locator(".told")).to_have_count(0)

    page.locator(".evidence .axis input").first.focus()
    page.keyboard.press("Tab")
    assert told(page)["CPU ms"] == f"{rows['ours, fast']['cpu_ms']:.2f}"  # ours first, from left to right
    page.keyboard.press("ArrowRight")
    assert told(page)["nats"] == f"{rows['ours, best']['nats']:.2f}"
    page.keyboard.press("Escape")
    expect(page.locator(".told")).to_have_count(0)

    mark(page, "grid of 16:").or_(mark(page, "grid of 16,")).first.tap()
    assert told(page)["within 15 degrees"] == f"{rows['grid of 16']['within_15']:.1%}"


def test_claims_and_plots_are_chosen_by_keyboard(visit: Visit, in_weights: Path) -> None:
    page = visit("?tab=evidence", ready=OPENED)
    expect(page.locator(".evidence .first section")).to_have_count(len(evidence.claims()["first"]))
    page.locator(".evidence summary").click()
    current = page.locator(".evidence nav [aria-current]")
    expect(current).to_have_count(1)
    link = page.locator(".evidence nav a", has_text="Many visitors")
    link.focus()
    page.keyboard.press("Enter")
    expect(current).to_have_text("Many visitors")
    expect(page.locator(".evidence .system")).to_have_text("The page")
    visitors = results("load")["visitors"]
    expect(page.locator(".evidence .point")).to_have_count(3 * len(visitors))
    page.locator(".evidence .axis input").first.focus()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    mark(page, "8 visitors: steer, median").focus()
    assert told(page)["p95, s"] == f"{visitors['8']['actions']['steer']['p95']:.2f}"
    expect(link).to_have_attribute("href", "?tab=evidence&claim=load")


def test_on_a_phone_claims_are_chosen_from_a_menu_and_tables_scroll_in_their_box(visit: Visit) -> None:
    page = visit("?tab=evidence", size=PHONE, ready=OPENED)
    page.locator(".evidence summary").click()
    expect(page.locator(".evidence nav")).to_be_hidden()
    page.locator(".evidence select").select_option(label="Shapes in any orientation: ModelNet10")
    box = page.locator(".evidence .scroll")
    expect(box.locator("tbody tr")).to_have_count(len(results("voxel_orientation")["rows"]))
    assert box.evaluate("box => box.scrollWidth > box.clientWidth")
    page.locator(".evidence .point").last.click()
    tip = page.locator(".told").bounding_box()
    assert tip is not None
    assert 0 <= tip["x"] <= tip["x"] + tip["width"] <= PHONE[0]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]


def test_command_link_and_numbers_can_be_taken_away(visit: Visit) -> None:
    page = visit(SEARCH, ready=DRAWN, permissions=["clipboard-read", "clipboard-write"])
    page.locator(".command button").click()
    expect(page.locator(".command button")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert (
        copied
        == page.locator(".command code").inner_text()
        == "python -m benchmarks.pose_search --data mnist"
    )
    expect(page.locator(".command button")).to_have_text("Copy")
    assert page.locator(".evidence .link input").input_value().endswith(f"/{SEARCH}")
    with page.expect_download() as download:
        page.locator(".evidence .downloads a").click()
    assert download.value.suggested_filename == "pose_search_mnist.json"
    assert json.loads(Path(download.value.path()).read_text()) == results("pose_search_mnist")


def test_an_unknown_claim_says_so_and_opens_all_the_same(visit: Visit) -> None:
    page = visit("?tab=evidence&claim=pose_search_minst", ready=OPENED)
    warned(page, "did you mean 'pose_search_mnist'?")
    expect(page.locator(".evidence .first h3").first).to_be_visible()


def test_leaving_the_tab_and_coming_back_keeps_the_claim(visit: Visit) -> None:
    page = visit(SEARCH, ready=DRAWN)
    page.get_by_role("tab", name="Start").click()
    page.get_by_role("tab", name="Evidence").click()
    page.locator(".evidence .point").first.wait_for()
    page.wait_for_timeout(500)
    expect(page.locator(".evidence nav [aria-current]")).to_have_attribute("data-claim", "pose_search_mnist")


def test_the_tab_opens_with_questions_that_its_claims_answer() -> None:
    shown = evidence.claims()
    first, names = shown["first"], [claim["name"] for claim in shown["claims"]]  # type: ignore[index, union-attr]
    assert 5 <= len(first) <= 7  # type: ignore[arg-type]
    assert all(asked["question"].endswith("?") and asked["name"] in names for asked in first)  # type: ignore[index, union-attr]


def test_a_broken_file_is_named_and_the_others_are_shown(tmp_path: Path, in_weights: Path) -> None:
    (tmp_path / "load.json").write_text("{")
    (tmp_path / "robustness_mnist.json").write_text((RESULTS / "robustness_mnist.json").read_text())
    value = evidence.claims(tmp_path)
    assert [claim["name"] for claim in value["claims"]] == ["robustness_mnist"]
    assert "load.json is not readable JSON." in value["refused"]
    assert all(re.match(r"\S+\.json .*\.$", sentence) for sentence in value["refused"])
    json.dumps(value, allow_nan=False)


def test_without_any_result_the_tab_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIGHTS_DIR", str(tmp_path))
    value = evidence.claims(tmp_path)
    assert value["claims"] == []
    assert value["refused"] == [evidence.NOTHING]


def test_a_mark_names_what_it_hides(visit: Visit) -> None:
    page = visit("?tab=evidence&claim=robustness_mnist", ready=DRAWN)
    expect(page.locator(".evidence .axis")).to_be_hidden()  # there is one plot
    page.locator(".evidence .point").first.focus()
    expect(page.locator(".told p")).to_have_text(re.compile(r"^Almost in the same place: .+ VAE, trained .+"))
