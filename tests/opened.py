"""A shared page as its reader opens it: a file, double-clicked, with no network.

    with opened(browser, path) as page:     # nothing asked for, nothing complained about: asserted
        page.click("#dice .main")

`small_ladder` trains what most browser tests look at: all five rungs, in seconds.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from browser import NO_CHANCE

import babypoet
from babypoet.poet import Poet

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

SMALL = {
    "steps": 60, "n_layer": 2, "n_head": 4, "n_kv_head": 2, "n_embd": 32, "block_size": 48,
    "batch_size": 16, "evaluate_every": 20, "snapshots": 3,
}  # fmt: skip


@functools.cache
def small_ladder(folder: Path) -> dict[str, Poet]:
    """The five rungs on the beginning of the poems, trained once for all tests: rung -> poet.

    `folder`: that of all temporary files, `tmp_path_factory.getbasetemp()`."""
    text = (Path(babypoet.__file__).parent / "poems.txt").read_text(encoding="utf-8")[:60_000]
    climbed = babypoet.compare(text=text, out=folder / "small-ladder", **SMALL)
    return {result.rung: babypoet.load(result.run) for result in climbed.results}


@contextmanager
def opened(
    browser: "Browser", path: Path, ready: bool = True, start: str = NO_CHANCE, **settings: Any
) -> "Iterator[Page]":
    """The file in a context of its own, offline, where Math.random is an error.

    At the end: not one request but for the file itself, no error, not even a warning. `ready`: wait
    until the page's program has run. `start`: what runs before it. `settings`: the context's."""
    wrong: list[str] = []
    address = path.as_uri()

    def heard(message: "ConsoleMessage") -> None:
        if message.type in ("error", "warning", "assert"):
            wrong.append(f"{message.type}: {message.text}")

    context = browser.new_context(offline=True, **settings)
    context.set_default_timeout(20_000)
    if start:
        context.add_init_script(start)
    page = context.new_page()
    context.on(
        "request", lambda asked: asked.url == address or wrong.append(f"request: {asked.url}")
    )
    page.on("console", heard)
    page.on("pageerror", lambda error: wrong.append(f"page error: {error}"))
    page.on("dialog", lambda dialog: (wrong.append("a dialog"), dialog.dismiss()))
    page.goto(address)
    if ready:
        page.wait_for_selector("html[data-ready]", state="attached")
    yield page
    context.close()
    assert not wrong, "\n".join(wrong)


def seen(page: "Page", section: str) -> None:
    """Scroll to a section and wait until what it computes when it is first seen is there."""
    page.locator(f"#{section}").scroll_into_view_if_needed()
    page.evaluate(
        """async (id) => {
            const section = document.getElementById(id);
            const turn = () => new Promise((go) => requestAnimationFrame(() => setTimeout(go, 0)));
            section.scrollIntoView();
            for (let i = 0; i < 4; i++) await turn();
            section.lastElementChild.scrollIntoView({ block: "end" });
            for (let i = 0; i < 4; i++) await turn();
        }""",
        section,
    )
