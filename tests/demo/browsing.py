"""Looking at the page in a real browser: what the tests of every tab need."""

from __future__ import annotations

from collections.abc import Callable

import pytest

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect  # waits for what it expects: answers come when they come
# Software drawing of 3D: neither CI nor a server has a graphics card.
FLAGS = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
DESKTOP, PHONE = (1280, 900), (390, 844)
PATIENCE = 90_000  # milliseconds
expect.set_options(timeout=PATIENCE)

Visit = Callable[..., "playwright.Page"]


def source(page: playwright.Page, selector: str) -> str:
    return str(page.locator(selector).first.get_attribute("src"))


def changed(page: playwright.Page, selector: str, before: str) -> str:
    """The picture's source, once it is another one."""
    page.wait_for_function("([s, b]) => document.querySelector(s).src !== b", arg=[selector, before])
    return source(page, selector)


# Keeps what toasts say: one that has gone by the time a busy machine looks for it was there all the same.
LISTEN = """
window.told = [];
new MutationObserver(() => {
  const text = document.querySelector('.toast-wrap')?.textContent;
  if (text && text !== told.at(-1)) told.push(text);
}).observe(document, {childList: true, subtree: true, characterData: true});
"""


def warned(page: playwright.Page, words: str) -> None:
    """Wait until a toast has said so since the last one that was waited for."""
    page.wait_for_function(
        """words => {
          const at = told.findIndex(text => text.includes(words));
          return at >= 0 && told.splice(0, at + 1).length > 0;
        }""",
        arg=words,
    )
