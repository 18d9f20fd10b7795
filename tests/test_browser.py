"""A shared page in a real browser, a file with no network: that all of it works, for everyone.

What its numbers are is tested in test_numbers.py, and the file itself in test_page.py.
"""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browser import NO_CHANCE
from conftest import ROOT
from opened import SMALL, opened, seen, small_ladder
from test_numbers import SECTIONS, Explained, Walk, ask, problems, report

import babypoet
from babypoet.poet import Poet
from babypoet.runs import RunFolder

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

HOSTILE = [
    "</script><script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "<!-- ]]> --> <![CDATA[ {{script}} {n} &lt;b&gt; &amp;",
    "\u202eright to left שלום\u202c\u2028\u2029\x00\x07 👩‍👩‍👧 \ufeff end",
    "</style></title></textarea><svg onload=window.hacked=1>",
    "constructor __proto__ toString \\u003c ${window.hacked=1} %s",
]


@pytest.fixture(scope="module")
def poets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Poet]:
    return small_ladder(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def path(poets: dict[str, Poet], folder: Path) -> Path:
    """The page of the last rung, with the weights of all others in it."""
    poets["modern"].share(folder / "poet.html")
    return folder / "poet.html"


def everywhere(page: "Page", path: Path) -> Walk:
    """Scroll through all scenes, open every card, and check the numbers that are there."""
    for section in SECTIONS:
        seen(page, section)
    for card in page.locator("#room .card:not([hidden]) > summary").all():
        card.click()
    found = Walk()
    found.add(ask(page, "here"))
    wrong = problems(found, Explained(path))
    assert wrong == [], report(wrong)
    assert page.locator(".live > .warning:visible, section > .warning:visible").count() == 0
    for section in SECTIONS:
        live = page.locator(f"#{section} .live")
        assert live.is_visible() and live.inner_text().strip(), section
        assert not page.locator(f"#{section} .still").is_visible()
    return found


# --- by keyboard alone ----------------------------------------------------------------------------


def tab_to(page: "Page", selector: str, key: str = "Tab") -> "Locator":
    """Press Tab until an element has the focus."""
    for _ in range(400):
        page.keyboard.press(key)
        if page.evaluate("(selector) => document.activeElement?.matches(selector)", selector):
            return page.locator(":focus")
    raise AssertionError(f"{selector} is not reached with {key}")


def test_the_focus_goes_everywhere_and_is_seen(path: Path, browser: "Browser") -> None:
    """Tab goes forward through the page to its end, Shift+Tab back, and each stop is outlined."""
    with opened(browser, path, viewport={"width": 1000, "height": 700}) as page:
        for section in SECTIONS:
            seen(page, section)
        page.evaluate("() => scrollTo(0, 0)")
        stops = []
        for _ in range(400):
            page.keyboard.press("Tab")
            stop = ask(page, "focused")
            if stop is None or stop["id"] < len(stops):
                break
            stops.append(stop)
        assert stop is None or stop["id"] == 0, "Tab is trapped before the end"
        assert [one["what"] for one in stops if not one["drawn"]] == []
        assert [one["what"] for one in stops if not one["inside"]] == []
        assert [one["what"] for one in stops if not one["after"]] == []
        assert ask(page, "visited") == ["top", *SECTIONS[:5], "room"]
        page.locator("#room .card summary").last.focus()
        back = [ask(page, "focused")["id"]]
        for _ in range(20):
            page.keyboard.press("Shift+Tab")
            back.append(ask(page, "focused")["id"])
        assert back == sorted(back, reverse=True) and len(set(back)) == 21


def test_all_of_it_by_keyboard(path: Path, browser: "Browser") -> None:
    """Guess, drag the training back, throw, look, check for copies, open the room, read a table."""
    with opened(browser, path) as page:
        # 1: a letter typed, and one chosen in the case
        tab_to(page, "#guess .stick")
        page.keyboard.press("e")
        page.keyboard.press("t")
        page.keyboard.press("q")
        page.locator("#guess [data-name='play.letters']").first.wait_for()
        tab_to(page, "#guess .sort")
        reached = []
        for key in ("ArrowRight", "ArrowDown", "ArrowRight"):
            page.keyboard.press(key)
            reached.append(page.locator(":focus").get_attribute("data-id"))
        assert len(set(reached)) == 3
        chosen = page.locator(f"#guess .sort[data-id='{reached[-1]}']")
        page.keyboard.press("Enter")
        assert chosen.get_attribute("data-mark") in ("wrong", "right", "actual")
        # 2: back to gibberish, step by step and at once
        tab_to(page, "#training input[type=range]")
        samples = page.locator("#training .stages .verse")
        assert "now" in (samples.last.get_attribute("class") or "")
        page.keyboard.press("ArrowLeft")
        assert "now" in (samples.nth(samples.count() - 2).get_attribute("class") or "")
        page.keyboard.press("Home")
        assert "now" in (samples.first.get_attribute("class") or "")
        assert "before" in page.locator("#training .scrub").inner_text().lower()
        # 3: own words, a throw, a hotter one
        field = tab_to(page, "#dice input[type=text]")
        page.keyboard.press("End")
        page.keyboard.type(" is")
        begun = page.locator("#dice .written").inner_text()
        assert field.input_value() == "love this is"
        tab_to(page, "#dice button.main")
        page.keyboard.press("Space")
        page.keyboard.press("Enter")
        assert len(page.locator("#dice .written .new").text_content() or "") == 2, begun
        tab_to(page, "#dice input[type=range]")
        before = page.locator("#dice [data-name='draw.torn_between']").get_attribute("value")
        page.keyboard.press("ArrowRight")
        assert (
            page.locator("#dice [data-name='draw.torn_between']").get_attribute("value") != before
        )
        # 4: another line, the stages, another letter, the map, its table
        tab_to(page, "#looking input.line")
        page.keyboard.press("Control+A")
        page.keyboard.type("the sea and the")
        page.keyboard.press("Enter")
        assert page.locator("#looking .tile").count() == 15
        tab_to(page, "#looking .tile input")
        page.keyboard.press("ArrowLeft")
        assert "looks" in (page.locator("#looking .tile").nth(13).get_attribute("class") or "")
        tab_to(page, "#looking .stage-list button")
        for stage in range(2, 5):
            page.keyboard.press("ArrowRight")
            assert page.locator("#looking [aria-current=step]").count() == 1
            assert (
                page.locator("#looking .stage-list button")
                .nth(stage - 1)
                .get_attribute("aria-current")
            )
        grid = tab_to(page, "#looking .grid")
        live = page.locator("#looking .cell-label")
        said = [live.inner_text()]
        for key in ("ArrowDown", "ArrowDown", "ArrowRight", "End", "Control+Home"):
            grid.press(key)
            said.append(live.inner_text())
        assert len(set(said)) >= 5 and live.get_attribute("aria-live") == "polite"
        named = page.locator(f"#{grid.get_attribute('aria-activedescendant')}")
        assert (live.locator("data").text_content() or "?") in (
            named.get_attribute("aria-label") or ""
        )
        tab_to(page, "#looking details.show-table summary")
        page.keyboard.press("Enter")
        page.locator("#looking .as-table table").wait_for()
        # 5: what it writes, and a text of one's own
        tab_to(page, "#copying button.main")
        page.keyboard.press("Space")
        page.locator("#copying .copies-verdict p:not(.note)").first.wait_for()
        assert len(page.locator("#copying .copies-written").inner_text()) >= 300
        tab_to(page, "#copying .own-text summary")
        page.keyboard.press("Space")
        tab_to(page, "#copying textarea")
        page.keyboard.type("nothing of this was there before")
        page.locator("#copying .own-text .copies-verdict p").wait_for()
        # the engine room: a card, a value, a model
        tab_to(page, "#room form select")
        page.keyboard.press("ArrowDown")
        card = "[data-card=room-names]"
        tab_to(page, f"{card} > summary")
        page.keyboard.press("Enter")
        page.locator(f"{card} .stepper").wait_for()
        tab_to(page, f"{card} .stepper select")
        first = page.locator(f"{card} h4").inner_text()
        page.keyboard.press("ArrowDown")
        second = page.locator(f"{card} h4").inner_text()
        tab_to(page, f"{card} .stepper .pair button:last-child")
        page.keyboard.press("Enter")
        assert len({first, second, page.locator(f"{card} h4").inner_text()}) == 3


IN_VIEW = """() => {
    const box = document.querySelector(".spoken-of").getBoundingClientRect();
    return box.top < innerHeight && box.bottom > 0;
}"""


def test_the_guided_path_by_keyboard(path: Path, browser: "Browser") -> None:
    """Space and the arrow keys go through all cards and back, and the end gives the focus back."""
    with opened(browser, path, reduced_motion="reduce") as page:
        tab_to(page, ".path-open")
        page.keyboard.press("Enter")
        bar = page.locator(".path")
        of = int((bar.locator(".count").inner_text()).split()[-1])
        said = [bar.locator("p").inner_text()]
        for k in range(1, of):
            page.keyboard.press("ArrowRight" if k % 2 else "Space")
            said.append(bar.locator("p").inner_text())
            assert page.locator(".spoken-of").count() == 1
            page.wait_for_function(IN_VIEW)  # what is above may still be growing
        assert len(set(said)) == of >= 17
        assert all(len(card.split()) <= 50 for card in said), max(said, key=len)
        page.keyboard.press("ArrowLeft")
        assert bar.locator("p").inner_text() == said[-2]
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Space")
        assert not bar.is_visible()
        assert page.evaluate("() => document.activeElement.matches('.path-open')")
        # while a control of the page has the focus, its keys are its own
        page.keyboard.press("Enter")
        slider = tab_to(page, "#training input[type=range]", "Shift+Tab")
        before = bar.locator("p").inner_text(), slider.input_value()
        page.keyboard.press("ArrowLeft")
        assert bar.locator("p").inner_text() == before[0] and slider.input_value() != before[1]


def test_nothing_moves_by_itself(path: Path, browser: "Browser") -> None:
    watch = """
        window.moved = [];
        for (const name of ["setInterval", "requestAnimationFrame"]) {
            const own = window[name];
            window[name] = (...given) => { window.moved.push(name); return own(...given); };
        }
    """
    with opened(browser, path, start=NO_CHANCE + watch) as page:
        for section in SECTIONS:
            seen(page, section)
        page.wait_for_timeout(500)
        assert ask(page, "moved") == []


# --- for everyone ---------------------------------------------------------------------------------


def axe() -> str:
    """The source of axe-core, which `npm install` puts into the folder of the project."""
    source = ROOT / "node_modules/axe-core/axe.min.js"
    if not source.exists():
        why = "axe-core is not installed: npm ci"
        pytest.fail(why) if "CI" in os.environ else pytest.skip(why)
    return source.read_text(encoding="utf-8")


def violations(page: "Page", source: str) -> list[str]:
    """What axe finds, but for what it calls minor or moderate."""
    page.evaluate(source)
    found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{one['impact']} {one['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"][:4]
    ]


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe(scheme: Any, width: int, path: Path, browser: "Browser") -> None:
    """No serious finding, also with tables and cards open and the guided path begun."""
    source = axe()  # which uses Math.random itself
    size: Any = {"width": width, "height": 800}
    with opened(
        browser, path, color_scheme=scheme, viewport=size, reduced_motion="reduce", start=""
    ) as page:
        for section in SECTIONS:
            seen(page, section)
        assert violations(page, source) == []
        page.locator("#guess .stick").press("e")
        page.locator("#guess .row button").first.click()
        page.locator("#dice button.main").click()
        page.locator("#looking .stage-list button").nth(3).click()
        tables, cards = ask(page, "open")
        assert tables >= 5 and cards >= 10
        page.locator(".path-open").click()
        page.locator(".path button.main").click()
        assert violations(page, source) == []


@pytest.mark.parametrize(("width", "scale"), [(360, 3), (640, 2)], ids=["phone", "zoomed"])
def test_the_page_never_scrolls_sideways(
    width: int, scale: int, path: Path, browser: "Browser"
) -> None:
    size: Any = {"width": width, "height": 700}
    with opened(
        browser, path, viewport=size, device_scale_factor=scale, has_touch=True, is_mobile=True
    ) as page:
        for section in SECTIONS:
            seen(page, section)
        assert ask(page, "wide") == []
        page.locator("#guess .row button").first.click()
        page.locator("#dice button.main").click()
        page.locator("#copying button.main").click()
        tables, cards = ask(page, "open")
        assert tables >= 5 and cards >= 10
        page.locator(".path-open").click()
        for stage in page.locator("#looking .stage-list button").all():
            stage.click()
            assert ask(page, "wide") == []
        assert ask(page, "small") == [], "too small for a finger"


def test_reduced_motion(path: Path, browser: "Browser") -> None:
    """No transition and no animation is even declared, and none runs."""
    with opened(browser, path, reduced_motion="reduce") as page:
        for section in SECTIONS:
            seen(page, section)
        page.locator("#dice button.main").click()
        page.locator("#training input[type=range]").fill("0")
        page.locator(".path-open").click()
        assert page.evaluate("() => document.getAnimations().length") == 0
        assert ask(page, "moving") == []


def test_forced_colours(path: Path, browser: "Browser") -> None:
    """In the reader's own colours everything is there, and what has the focus is still outlined."""
    with opened(browser, path, forced_colors="active") as page:
        everywhere(page, path)
        for selector in ("#guess .sort", "#dice button.main", "#looking .stage-list button"):
            tab_to(page, selector)
            assert ask(page, "focused")["drawn"], selector
        assert ask(page, "edgeless") == []


# --- texts that mean harm -------------------------------------------------------------------------


def test_hostile_texts(folder: Path, browser: "Browser", tmp_path: Path) -> None:
    """A text, a run's name, and whatever a reader pastes: all of it stays text."""
    text = "\n".join(HOSTILE * 60)
    name = "<b>\"&'{n}"
    settings = {**SMALL, "steps": 4, "n_layer": 1}
    poet = babypoet.train(text=text, out=tmp_path / name, **settings)
    poet.share(folder / "hostile.html", with_text=True)
    with opened(browser, folder / "hostile.html") as page:
        assert name in page.title()
        everywhere(page, folder / "hostile.html")
        assert (
            page.locator("img, main b:not(li > b), iframe, object, embed, link, base").count() == 0
        )
        for at in range(ask(page, "fields")):
            for attack in (*HOSTILE, "".join(HOSTILE), "\ud83d", "q" * 2000):
                ask(page, "paste", [at, attack])
        page.locator("#copying .own-text summary").click()
        own = page.locator("#copying textarea")
        for line in HOSTILE:
            own.fill(line + "\n" + line)
        page.locator("#copying button.main").click()
        page.locator("#dice input[type=text]").fill(HOSTILE[0])
        assert HOSTILE[0] in (page.locator("#dice .written").text_content() or "")
        page.locator("#dice button.main").click()
        page.locator("#looking input.line").fill(HOSTILE[1])
        page.locator("#looking input.line").press("Enter")
        tiles = page.locator("#looking .tile-letter").all_text_contents()
        assert "".join(tiles).replace("␣", " ") == HOSTILE[1][: len(tiles)] and len(tiles) > 20
        for section in SECTIONS:
            seen(page, section)
        assert page.evaluate("() => window.hacked") is None
        assert page.locator("section > .warning").count() == 0
        models = len(Explained(folder / "hostile.html").data["models"])
        assert page.locator("script").count() == 5 + models  # data, strings, filter, text, program


# --- other languages, other models ----------------------------------------------------------------


def test_thousands_of_characters(folder: Path, browser: "Browser", tmp_path: Path) -> None:
    """Three hundred lines with 2,600 different characters: all works, and all of them are shown."""
    known = [chr(0x4E00 + i) for i in range(2600)]
    shuffled = np.random.default_rng(0).permutation(known * 3)
    text = "\n".join("".join(shuffled[i * 26 : (i + 1) * 26]) for i in range(300))
    settings = {**SMALL, "steps": 3, "n_layer": 2, "evaluate_every": 3, "snapshots": 2}
    poet = babypoet.train(text=text, out=tmp_path / "chinese", **settings)
    path = folder / "chinese.html"
    assert poet.share(path).bytes <= 5_000_000
    explained = Explained(path)
    count = len(explained.data["characters"])
    assert count > 2500 and text.count("\n") == 299
    with opened(browser, path) as page:
        everywhere(page, path)
        # the game is played by typing
        at = next(
            i for i, one in enumerate(explained.data["game"]["lines"]) if len(one["context"]) > 20
        )
        line = explained.data["game"]["lines"][at]["ids"]
        field = page.locator("#guess .letter-field")
        for n, id in enumerate(line[:3], start=1):
            field.focus()
            page.keyboard.insert_text(explained.data["characters"][id])
            hits = page.locator("#guess [data-name='play.hits'][data-index='you']").first
            assert hits.get_attribute("value") == str(n)
        finder = page.locator("#guess .finder input")
        compartments = page.locator("#guess .sort").count()
        assert f"{compartments:,}" in page.locator("#guess .finder").inner_text()
        finder.fill(explained.data["characters"][line[3]])
        assert page.locator("#guess .sort:visible").count() == 1
        finder.press("Enter")
        assert hits.get_attribute("value") == "4"
        # every character has its compartment and its row in the table
        assert page.locator("#dice .sort").count() == count
        page.locator("#dice details.show-table").first.evaluate(
            "(details) => (details.open = true)"
        )
        page.locator("#dice .as-table td").first.wait_for()
        shares = ask(page, "shares")
        assert len({index for index, _ in shares}) == count
        assert sum(share for _, share in shares) == pytest.approx(1, abs=1e-9)
        page.locator("#dice button.main").click()
        page.locator("#copying button.main").click()
        page.locator("#copying .copies-verdict p:not(.note)").first.wait_for()


@pytest.mark.parametrize("rung", ["bigram", "attention", "multihead", "transformer"])
def test_each_rung(rung: str, poets: dict[str, Poet], folder: Path, browser: "Browser") -> None:
    """A page of its own; what a model does not have is said."""
    path = folder / f"{rung}.html"
    poets[rung].share(path)
    with opened(browser, path) as page:
        everywhere(page, path)
        looking = page.locator("#looking .live").inner_text()
        assert ("no attention" in looking) == (rung == "bigram")
        assert page.locator("#looking .stage-list button").count() == (0 if rung == "bigram" else 5)
        cards = page.locator("#room .card:not([hidden])").evaluate_all(
            "(all) => all.map((one) => one.dataset.card.slice(5))"
        )
        assert ("attention" in cards) == (rung != "bigram") and ("row" in cards) == (
            rung == "bigram"
        )
        assert ("mlp" in cards) == (rung == "transformer")
        page.locator(".path-open").click()
        page.keyboard.press("Escape")


def without(poet: Poet, folder: Path, *names: str, **record: Any) -> Poet:
    """A copy of a run that lacks some of its folders or has another record."""
    shutil.copytree(poet.run.path, folder)
    for name in names:
        for one in (folder / name).iterdir():
            shutil.rmtree(one)
    run = RunFolder.open(folder)
    run.save_run({**run.load_run(), **record})
    return babypoet.load(folder)


@pytest.mark.parametrize("kind", ["no history", "no verdict", "fp16", "fp32"])
def test_other_files(
    kind: str, poets: dict[str, Poet], folder: Path, browser: "Browser", tmp_path: Path
) -> None:
    path, poet = folder / f"{kind}.html", poets["modern"]
    if kind == "no history":
        without(poet, tmp_path / "bare", "history").share(path)
    elif kind == "no verdict":
        without(poet, tmp_path / "unjudged", verdict=None).share(path)
    else:
        poet.share(path, weights=kind)  # type: ignore[arg-type]
    with opened(browser, path) as page:
        everywhere(page, path)


def test_where_a_copied_line_stands(
    poets: dict[str, Poet], path: Path, folder: Path, browser: "Browser"
) -> None:
    """With the text in the file, the line; without it, only that there is one."""
    train = poets["modern"].training_text()
    line = next(one for one in train.split("\n")[40:] if len(one) > 40)
    whole = folder / "with-text.html"
    poets["modern"].share(whole, with_text=True)
    for file, shown in (path, False), (whole, True):
        with opened(browser, file) as page:
            seen(page, "copying")
            page.locator("#copying .own-text summary").click()
            page.locator("#copying textarea").fill("zq " * 9 + line + " qz" * 9)
            own = page.locator("#copying .own-text .copies-verdict")
            own.locator("[data-name='copies.longest']").first.wait_for()
            number = own.locator("[data-name='copies.line']")
            assert number.count() == shown
            if shown:
                assert number.get_attribute("value") == str(train.split("\n").index(line) + 1)
                assert line in own.inner_text()


def test_without_javascript(path: Path, browser: "Browser") -> None:
    """What a phone's mail preview shows: samples, pictures, the story; no dead controls."""
    data = Explained(path).data
    with opened(browser, path, ready=False, start="", java_script_enabled=False) as page:
        text = page.locator("body").inner_text()
        ends = [moment["sample"] for moment in data["history"] if moment["model"]]
        assert len(ends) >= 2
        for sample in ends:
            first = max(sample.split("\n")[:6], key=len).strip()
            assert first and first in text
        for words in ("torn between", "Where it looks", "Did it copy?"):
            assert words.lower() in text.lower(), words
        story = page.locator("#story").inner_text()
        assert len(story.split()) > 250
        pictures = [one for one in page.locator("svg").all() if one.is_visible()]
        assert len(pictures) >= 3
        assert (
            page.locator("#looking svg rect").count() > 50
            and page.locator("#training svg path").count() >= 1
        )
        assert all(not live.is_visible() for live in page.locator(".live").all())
        assert all(still.is_visible() for still in page.locator(".still").all())
        assert page.locator("button, input, select, textarea").count() == 0
