"""What all browser tests share: one chromium, and blank pages that hold the page's modules.

    def test_something(browser: Browser) -> None:      # the fixture in conftest.py
        page = open_modules(browser, "engine.js", "weights.js")
        page.evaluate("(n) => engine.windowStart(n, 8)", 9)

The modules come from the disk, whatever the address, and nothing else is answered. No browser is
ever downloaded: an installed one is used, or the tests skip and say so.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

PAGE = Path(__file__).resolve().parents[1] / "src/babypoet/page"
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
PLACES = (
    "/usr/bin/chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NO_CHANCE = "Math.random = () => { throw new Error('the page must not ask for chance'); };"


def find_chromium() -> str | None:
    """The browser that CHROMIUM names, or one that is installed."""
    candidates = (os.environ.get("CHROMIUM"), *PLACES, *map(shutil.which, NAMES))
    return next((path for path in candidates if path and Path(path).exists()), None)


@contextmanager
def chromium() -> Iterator["Browser"]:
    """A running browser. Where there is none the test skips; under CI it fails."""
    give_up = pytest.fail if "CI" in os.environ else pytest.skip
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        give_up("playwright is not installed: pip install playwright")
    path = find_chromium()
    if path is None:
        give_up("there is no chromium; install it, or name one in the variable CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


def open_modules(browser: "Browser", *names: str) -> "Page":
    """A blank page with modules of src/babypoet/page as globals: engine.js is `engine`.

    A module that does not load is an error, and so is Math.random.
    """
    globals_ = "".join(
        f'import * as {name.removesuffix(".js")}_ from "./{name}";'
        f"window.{name.removesuffix('.js')} = {name.removesuffix('.js')}_;"
        for name in names
    )
    blank = f"<!doctype html><script type=module>{globals_}window.ready = true;</script>"

    def answer(route: "Route") -> None:
        name = route.request.url.rpartition("/")[2]
        if not name:
            route.fulfill(body=blank, content_type="text/html; charset=utf-8")
        elif (PAGE / name).is_file():
            text = (PAGE / name).read_text(encoding="utf-8")
            route.fulfill(body=text, content_type="text/javascript; charset=utf-8")
        else:
            route.abort()

    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.add_init_script(NO_CHANCE)
    page.route("**/*", answer)
    page.goto("http://modules.test/")
    try:
        page.wait_for_function("window.ready", timeout=10_000)
    except Exception as error:
        raise AssertionError(errors or names) from error
    return page
