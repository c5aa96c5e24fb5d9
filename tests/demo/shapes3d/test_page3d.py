"""The 3D tab in a real browser, without any network and without a graphics card."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import trimesh
from browsing import DESKTOP, PHONE, Visit, expect, playwright, warned
from tiny_weights import QUARTERS, SOLID

READY = "document.querySelector('.solids .strip')?.src.startsWith('data:')"
CAME, STRAIGHT, REDRAWN, LEFT, PINNED = (
    f".solids canvas[data-solid={name}]" for name in ("came", "straight", "redrawn", "left", "pinned")
)
COMPASS = ".solids .compass"
LINK = "#shapes3d-keep .link input"
# Opaque pixels of a canvas, and a number that changes with its picture.
PIXELS = """selector => {
  const canvas = document.querySelector(selector);
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let full = 0, hash = 0;
  for (let i = 3; i < data.length; i += 4) {
    full += data[i] > 200;
    hash = (hash * 31 + data[i] + data[i - 1] + data[i - 3]) | 0;
  }
  return [full / (data.length / 4), hash];
}"""


def drawn(page: playwright.Page, selector: str) -> int:
    """The picture's number, once there is an object in it."""
    page.wait_for_function(f"selector => ({PIXELS})(selector)[0] > 0.002", arg=selector)
    return int(page.evaluate(PIXELS, selector)[1])


def redrawn(page: playwright.Page, selector: str, before: int) -> int:
    """The picture's number, once it is another one."""
    page.wait_for_function(f"([s, b]) => ({PIXELS})(s)[1] !== b", arg=[selector, before])
    return int(page.evaluate(PIXELS, selector)[1])


def link(page: playwright.Page) -> dict[str, str]:
    """The values of the link, which follows what is drawn."""
    page.wait_for_function("s => document.querySelector(s)?.value.includes('z=')", arg=LINK)
    query = parse_qs(urlsplit(page.locator(LINK).input_value()).query)
    return {name: values[0] for name, values in query.items()}


def linked(page: playwright.Page, name: str, before: str) -> str:
    """A value of the link, once it is another one."""
    page.wait_for_function(
        "([s, n, b]) => new URL(document.querySelector(s).value).searchParams.get(n) !== b",
        arg=[LINK, name, before],
    )
    return link(page)[name]


def look_around(page: playwright.Page, selector: str, x: float, y: float) -> str:
    """Drag, and wait for the link to tell of its end, not of a view on the way; the view."""
    azimuth, elevation, zoom = link(page)["view"].split(",")
    drag(page, selector, x, y)
    view = f"{float(azimuth) - 180 * x:g},{float(elevation) + 180 * y:g},{zoom}"  # a side is half a turn
    page.wait_for_function(
        "([s, v]) => new URL(document.querySelector(s).value).searchParams.get('view') === v",
        arg=[LINK, view],
    )
    return view


def drag(page: playwright.Page, selector: str, x: float, y: float) -> None:
    """From the middle of a canvas by parts of its side."""
    page.locator(selector).first.scroll_into_view_if_needed()
    box = page.locator(selector).first.bounding_box()
    assert box
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + x * box["width"], middle[1] + y * box["height"], steps=4)
    page.mouse.up()


@pytest.fixture
def page(visit: Visit) -> playwright.Page:
    """The tab, opened by a link."""
    return visit("?tab=shapes3d", ready=READY)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_tab_opens_with_something_to_see(visit: Visit, size: tuple[int, int]) -> None:
    page = visit(size=size)
    page.get_by_role("tab", name="Shapes in 3D").click()
    for selector in (CAME, STRAIGHT, REDRAWN, COMPASS):
        drawn(page, selector)
    page.wait_for_selector("#shapes3d-walk .grid img[src]")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    expect(page.locator(".solids .facts")).to_contain_text("overlap")
    assert page.locator(".solids .examples button").count() > 5


def test_at_1280_the_answer_is_visible_without_scrolling(page: playwright.Page) -> None:
    for selector in (CAME, STRAIGHT, COMPASS, REDRAWN, LEFT, ".solids .slider"):
        box = page.locator(selector).first.bounding_box()
        assert box
        assert box["y"] + box["height"] <= DESKTOP[1]


def test_looking_around_turns_every_view_and_stays_when_a_slider_moves(page: playwright.Page) -> None:
    before, pose = [drawn(page, s) for s in (CAME, STRAIGHT, REDRAWN)], link(page)["yaw"]
    view = look_around(page, CAME, 0.2, 0.1)
    for selector, number in zip((CAME, STRAIGHT, REDRAWN), before, strict=True):
        redrawn(page, selector, number)
    still, now = drawn(page, CAME), drawn(page, REDRAWN)
    page.locator(".solids .slider input").nth(3).focus()
    page.keyboard.press("End")
    redrawn(page, REDRAWN, now)
    page.wait_for_function(f"document.querySelector('{LINK}').value.includes('z=')")
    assert drawn(page, CAME) == still
    assert (link(page)["view"], link(page)["yaw"]) == (view, pose)


def test_the_keyboard_looks_around_and_turns(page: playwright.Page) -> None:
    number = drawn(page, STRAIGHT)
    page.locator(STRAIGHT).focus()
    for key in ("ArrowLeft", "ArrowUp", "+"):
        page.keyboard.press(key)
        number = redrawn(page, STRAIGHT, number)
    number, yaw = drawn(page, REDRAWN), link(page)["yaw"]
    page.locator(COMPASS).focus()
    page.keyboard.press("ArrowRight")
    redrawn(page, REDRAWN, number)
    linked(page, "yaw", yaw)


def test_the_compass_turns_the_object_and_sliders_follow(page: playwright.Page) -> None:
    number, still, roll = drawn(page, REDRAWN), drawn(page, CAME), link(page)["roll"]
    drag(page, COMPASS, 0.15, 0.2)
    redrawn(page, REDRAWN, number)
    linked(page, "roll", roll)
    page.wait_for_function(
        """selector => {
          const pose = new URL(document.querySelector(selector).value).searchParams;
          const shown = [...document.querySelectorAll(".solids .slider output")].map((output) => output.textContent);
          return ["yaw", "pitch", "roll"].every(
            (name, i) => shown[i] === `${Math.round(pose.get(name))}°`.replace("-", "−"));
        }""",
        arg=LINK,
    )
    assert drawn(page, CAME) == still  # the object as it came stands still


def test_surface_blocks_and_level_are_drawn_without_the_server(page: playwright.Page) -> None:
    number = drawn(page, REDRAWN)
    held: list[playwright.Route] | None = []  # the server does not hear of it yet
    page.route("**/gradio_api/**", lambda route: route.continue_() if held is None else held.append(route))
    with page.expect_request("**/gradio_api/queue/join*"):
        page.get_by_label("blocks").check()
        number = redrawn(page, REDRAWN, number)
    page.get_by_label("level of the surface").focus()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    redrawn(page, REDRAWN, number)
    page.wait_for_timeout(800)  # what came last has to wait behind what is held, and must not be lost
    held, waiting = None, held
    for route in waiting:
        route.continue_()
    page.wait_for_function(f"document.querySelector('{LINK}').value.includes('level=0.3&style=blocks')")


def test_buttons(page: playwright.Page) -> None:
    number = drawn(page, REDRAWN)
    for name in ("Random shape", "Random orientation"):
        page.get_by_role("button", name=name).click()
        number = redrawn(page, REDRAWN, number)
    expect(page.locator(".solids .seed input")).to_have_value("2")
    page.get_by_role("button", name="Straighten").click()
    number = redrawn(page, REDRAWN, number)
    page.locator(".solids .seed input").fill("5")
    page.locator(".solids .seed input").press("Enter")  # another shape, turned as the one before
    number = redrawn(page, REDRAWN, number)
    pinned = drawn(page, PINNED)
    page.get_by_role("button", name="Pin", exact=True).click()
    redrawn(page, PINNED, pinned)
    page.get_by_role("button", name="Unpin").click()
    page.get_by_text("Pin a shape first").wait_for()
    angle = "document.querySelector('.solids .slider output').textContent"
    page.get_by_role("button", name="Random orientation").click()
    redrawn(page, REDRAWN, number)
    page.wait_for_function(f"{angle} !== '0°'")
    page.get_by_role("button", name="Reset", exact=True).click()
    page.wait_for_function(f"{angle} === '0°'")


def test_an_upload_a_sample_and_an_example_are_encoded(page: playwright.Page, tmp_path: Path) -> None:
    trimesh.creation.cone(0.4, 1).export(tmp_path / "cone.stl")
    number = drawn(page, CAME)
    page.locator(".solids input[type=file]").set_input_files(tmp_path / "cone.stl")
    page.locator(".wait").get_by_text("Looking at it").wait_for(state="attached")
    number = redrawn(page, CAME, number)
    assert linked(page, "start", "example-1") == "code"
    page.locator(".solids .random").click()
    number = redrawn(page, CAME, number)
    page.locator(".solids .examples button").nth(2).click()
    redrawn(page, CAME, number)
    page.wait_for_function("document.querySelector('.wait').textContent === ''")


def test_bad_files_get_a_sentence_and_the_page_keeps_what_it_shows(
    page: playwright.Page, tmp_path: Path
) -> None:
    number = drawn(page, CAME)
    (tmp_path / "text.stl").write_text("this is not a shape")
    (tmp_path / "letter.docx").write_text("nor is this")
    (tmp_path / "huge.obj").write_bytes(b"#" * 9_000_000)
    for name, words in (("text.stl", "STL"), ("letter.docx", "mesh must be"), ("huge.obj", "too large")):
        page.locator(".solids input[type=file]").set_input_files(tmp_path / name)
        warned(page, words)
        page.wait_for_function("document.querySelector('.wait').textContent === ''")
        page.locator(".toast-close").first.click()
    assert drawn(page, CAME) == number


def test_a_link_restores_exactly_what_was_shown(page: playwright.Page, visit: Visit) -> None:
    number = drawn(page, REDRAWN)
    page.get_by_label("blocks").check()
    look_around(page, STRAIGHT, -0.2, 0.1)
    redrawn(page, REDRAWN, number)
    assert link(page)["style"] == "blocks"
    number = drawn(page, REDRAWN)
    page.get_by_role("button", name="Random shape").click()
    redrawn(page, REDRAWN, number)
    linked(page, "seed", "0")
    page.evaluate(
        "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )  # it is painted
    shown = {selector: drawn(page, selector) for selector in (CAME, STRAIGHT, REDRAWN, PINNED, COMPASS)}
    query = urlsplit(page.locator(LINK).input_value()).query
    again = visit(f"?{query}", ready=READY)
    expect(again.locator("[role=tab][aria-selected=true]")).to_have_text("Shapes in 3D")
    assert {selector: drawn(again, selector) for selector in shown} == shown
    assert urlsplit(again.locator(LINK).input_value()).query == query


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("model=no-such-model", "no-such-model"),
        (f"model={SOLID}&z=nan,0,0,0", "z must be"),
        (f"model={SOLID}&start=example-1&view=up", "view must be"),
    ],
)
def test_a_bad_link_says_so_and_the_tab_opens(visit: Visit, query: str, words: str) -> None:
    page = visit(f"?tab=shapes3d&{query}", ready=READY)
    warned(page, words)
    drawn(page, REDRAWN)


@pytest.mark.parametrize("kind", ["GLB", "STL", "OBJ"])
def test_files_can_be_taken_away(page: playwright.Page, tmp_path: Path, kind: str) -> None:
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Redrawn ({kind})").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.suffix == f".{kind.lower()}"
    assert len(trimesh.load(path, force="mesh").faces) > 50


def test_another_model_has_its_own_sliders(page: playwright.Page) -> None:
    page.locator("#shapes3d-model input").click()
    page.get_by_role("option", name=QUARTERS).click()
    for name in ("shift z", "size"):
        page.locator(".solids .slider span").get_by_text(name, exact=True).wait_for()
    drawn(page, REDRAWN)


def test_without_webgl_the_server_draws_and_the_page_says_so(visit: Visit) -> None:
    no_webgl = """const old = HTMLCanvasElement.prototype.getContext;
    HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
      return kind === "webgl2" ? null : old.call(this, kind, ...more);
    };"""
    page = visit("?tab=shapes3d", ready=READY, script=no_webgl)
    page.get_by_text("WebGL is off").wait_for()
    number = drawn(page, REDRAWN)
    drawn(page, CAME)
    page.locator(".solids .slider input").nth(3).focus()
    page.keyboard.press("End")
    redrawn(page, REDRAWN, number)
