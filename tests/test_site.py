"""The documentation as a site: it builds without a warning, asks nobody for anything, leads nowhere
that is not there; and every block of code in it is run, or listed here with what it shows."""

import ast
import doctest
import itertools
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest
from conftest import ROOT
from test_docs import DOCUMENTS, LESSONS, README, blocks, name_of

import babypoet
from babypoet.course import lessons, telling
from babypoet.course.folder import start

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAGES = [*DOCUMENTS, *LESSONS]
each_page = pytest.mark.parametrize("path", PAGES, ids=name_of)
PICTURES = {  # each picture that is shown, the script that makes it, and what in it says so
    "docs/ladder.png": ("scripts/reproduce", '"ladder"'),
    "docs/page-guess.png": ("scripts/screenshots", '"guess"'),
    "docs/page-looking.png": ("scripts/screenshots", '"looking"'),
}
KINDS = {  # every kind of block there may be, and what becomes of it
    "sh": "its babypoet commands parse (test_docs.py); CI runs the others",
    "powershell": "CI runs it (test_docs.py)",
    "python": "executed below",
    "text": "a drawing in a lesson; elsewhere in OUTPUT",
    "": "in OUTPUT",
}
OUTPUT = {  # every block that only shows something, by how its first line begins, and what it shows
    ("README.md", "╭───────────"): "babypoet train, while it trains",
    ("README.md", "before the first update"): "babypoet train, in the end",
    ("README.md", "love this ear"): "babypoet generate",
    ("README.md", "                     0 l"): "babypoet look",
    ("README.md", "causal_attention: Two"): "babypoet learn check, compared below",
    ("run-folder.md", "runs/poems-modern/"): "a drawing, compared with a run in test_docs.py",
    ("speed.md", "one text: 100 M"): "bench/encode.py",
    ("speed.md", "compile_seconds"): "bench/compile.py",
    ("speed.md", "parameters                                    "): "bench/generate.py",
    ("speed.md", "parameters                           7"): "bench/page.py",
    ("tour.md", "corpus -> tokenizer"): "a drawing",
}


# --- the site -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    place = tmp_path_factory.mktemp("site")
    done = build(ROOT, str(place))
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def build(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run scripts/docs in a checkout."""
    command = [sys.executable, root / "scripts/docs", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")


class Reader(HTMLParser):
    """What a page links to, what it loads, and the places in it that one can link to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.ids: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("id", "name"):
                self.ids.add(value or "")
            elif tag == "a" and name == "href":
                self.links.append(value or "")
            elif name in ("src", "srcset", "href", "poster", "data", "style"):
                self.loads.append(value or "")


def outside(text: str) -> list[str]:
    """The addresses on another host that an HTML page or a style sheet would load from."""
    loads = Reader(text).loads if "<" in text else []
    styled = re.findall(r"(?:url\(|@import)\s*['\"]?\s*((?:https?:)?//[^)'\"\s]+)", text)
    return [one for one in loads if re.match(r"\s*(https?:)?//", one)] + styled


def test_the_site_has_every_page(site: Path) -> None:
    for page in PAGES:
        name = page.relative_to(ROOT).with_suffix(".html")
        assert (site / ("index.html" if name.name == "README.html" else name)).is_file(), name
    lesson = (site / "src/babypoet/course/lessons/08_head/lesson.html").read_text("utf-8")
    assert "8 · One attention head" in lesson
    assert "<em>110 minutes</em>" in lesson
    assert not (ROOT / "docs/index.md").exists()  # the README is the one home page


def test_the_site_loads_nothing_from_anywhere_else(site: Path) -> None:
    for file in (*site.rglob("*.html"), *site.rglob("*.css")):
        assert outside(file.read_text(encoding="utf-8")) == [], file.name


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.test/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.test/css">',
        '<img src="http://pictures.test/1.png">',
        '<p style="background: url(https://pictures.test/1.png)">',
        "@import 'https://fonts.test/css';",
    ],
)
def test_a_request_to_another_host_would_be_noticed(text: str) -> None:
    assert outside(text)
    assert not outside('<a href="https://elsewhere.test/">a link is none</a>')


def test_every_link_in_the_site_leads_somewhere(site: Path) -> None:
    pages = {file.resolve(): Reader(file.read_text("utf-8")) for file in site.rglob("*.html")}
    followed = 0
    for file, page in pages.items():
        if file.name == "404.html":  # it may stand at any address
            continue
        for link in map(urlsplit, page.links):
            if link.scheme:
                continue
            target = (file.parent / unquote(link.path)).resolve() if link.path else file
            assert target.is_file() or (target / "index.html").is_file(), (file.name, link.path)
            if link.fragment and target in pages:
                assert unquote(link.fragment) in pages[target].ids, (file.name, link)
                followed += 1
    assert followed > 100


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("docs/speed.md", "# Speed", "# [Speed](sped.md)", "sped.md"),
        ("mkdocs.yml", "  - The tour of the code: docs/tour.md\n", "", "tour.md"),
    ],
    ids=["broken link", "page left out"],
)
def test_a_mistake_stops_the_site(file: str, old: str, new: str, said: str, tmp_path: Path) -> None:
    for name in ("docs", "tests", "scripts", "src/babypoet"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (*ROOT.glob("*.md"), *ROOT.glob("LICENSE*"), ROOT / "mkdocs.yml"):
        shutil.copy(path, tmp_path)
    changed = (tmp_path / file).read_text(encoding="utf-8").replace(old, new, 1)
    (tmp_path / file).write_text(changed, encoding="utf-8")
    done = build(tmp_path, "--check")
    assert done.returncode != 0
    assert said in done.stderr
    assert not (tmp_path / "site").exists()


def test_the_site_works_from_the_disk(site: Path, browser: "Browser") -> None:
    """Pages and the search, opened as files: no error, no request but for files."""
    page = browser.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request", lambda r: None if r.url.startswith(("file:", "data:")) else wrong.append(r.url)
    )
    for name in ("index", "docs/course", "src/babypoet/ladder.py", "docs/tour"):
        page.goto((site / f"{name}.html").as_uri(), wait_until="networkidle")
    page.locator(".md-search__input").click()
    page.keyboard.type("Kneser", delay=20)
    page.locator(".md-search-result__item").first.wait_for()
    assert "Kneser" in page.locator(".md-search-result__item").first.inner_text()
    assert wrong == []
    page.close()


# --- what the pages say ---------------------------------------------------------------------------


def symbols(text: str) -> Iterator[tuple[str, str]]:
    """Every link of the kind [`file:symbol`](path): the path and the symbol."""
    for _, symbol, target in re.findall(r"\[`([\w.]+):([\w.]+)`\]\(([^)]+)\)", text):
        yield target, symbol


def defines(path: Path, symbol: str) -> bool:
    """Whether a Python or JavaScript file defines a function or a class of that name."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".js":
        pattern = rf"^(?:export )?(?:class|function) {symbol}\b"
        return bool(re.search(pattern, text, flags=re.MULTILINE))
    inside: list[ast.stmt] = ast.parse(text).body
    for name in symbol.split("."):
        found = [
            node
            for node in inside
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name
        ]
        if not found:
            return False
        inside = found[0].body
    return True


@each_page
def test_every_symbol_that_is_named_exists(path: Path) -> None:
    for target, symbol in symbols(path.read_text(encoding="utf-8")):
        assert defines(path.parent / target, symbol), (target, symbol)


def test_a_symbol_that_is_gone_would_be_noticed() -> None:
    tour = (ROOT / "docs/tour.md").read_text(encoding="utf-8")
    assert len(list(symbols(tour))) > 40
    assert defines(ROOT / "src/babypoet/training.py", "Trainer.update")
    assert not defines(ROOT / "src/babypoet/training.py", "Trainer.upgrade")
    assert not defines(ROOT / "src/babypoet/page/engine.js", "Motor")


def test_the_tour_is_linked_to_the_line(site: Path) -> None:
    tour = (site / "docs/tour.html").read_text(encoding="utf-8")
    source = (ROOT / "src/babypoet/ladder.py").read_text(encoding="utf-8").splitlines()
    line = source.index("class Modern(Rung):") + 1
    assert f'href="../src/babypoet/ladder.py.html#__codelineno-0-{line}"' in tour


def test_the_course_page_lists_the_lessons() -> None:
    course = (ROOT / "docs/course.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\d+) (.+)\]\((.+)\) \| (\d+) \| (.+) \|$", course, re.MULTILINE)
    assert len(rows) == len(lessons.LESSONS) == 17
    assert "seventeen lessons" in README
    assert "fifteen and a half hours in all" in README
    assert 15.4 < sum(lesson.minutes for lesson in lessons.LESSONS) / 60 < 15.6
    for row, lesson in zip(rows, lessons.LESSONS, strict=True):
        path = f"../src/babypoet/course/lessons/{lesson.folder.name}/lesson.md"
        assert row[:4] == (str(lesson.number), lesson.title, path, str(lesson.minutes))
        if not lesson.in_words:
            body = ast.parse(lesson.start.read_text(encoding="utf-8")).body
            names = [n.name for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
            assert re.findall(r"`(\w+)`", row[4]) == names, lesson.title


def test_pictures_are_there_and_a_named_script_makes_them() -> None:
    shown = {
        (path.parent / target).resolve().relative_to(ROOT).as_posix()
        for path in PAGES
        for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", path.read_text(encoding="utf-8"))
    }
    assert shown == set(PICTURES)
    named = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for picture, (script, says) in PICTURES.items():
        assert (ROOT / picture).read_bytes().startswith(b"\x89PNG"), picture
        assert says in (ROOT / script).read_text(encoding="utf-8")
        assert script in named


# --- what the pages show is run -------------------------------------------------------------------


def fences(text: str) -> list[tuple[str, str]]:
    """Every fenced block: its kind, and what is in it."""
    return re.findall(r"^ *```(.*)\n((?:.*\n)*?) *```$", text, flags=re.MULTILINE)


def untested(name: str, text: str, lesson: bool = False) -> list[str]:
    """How the blocks of a page begin of which nothing above says what tests them."""
    found = []
    for kind, block in fences(text):
        listed = any(page == name and block.startswith(first) for page, first in OUTPUT)
        shows_only = kind == "" or (kind == "text" and not lesson)
        if kind not in KINDS or (shows_only and not listed):
            found.append(f"{kind}: {block[:60]}")
    return found


@each_page
def test_every_block_is_of_a_kind_that_is_tested(path: Path) -> None:
    assert untested(path.name, path.read_text(encoding="utf-8"), path in LESSONS) == []


def test_a_block_that_nothing_tests_would_be_noticed() -> None:
    assert untested("README.md", "```yaml\na: 1\n```\n") == ["yaml: a: 1\n"]
    assert untested("README.md", "```\nsome output\n```\n") == [": some output\n"]
    assert untested("tour.md", "```text\na drawing\n```\n") == ["text: a drawing\n"]
    assert untested("README.md", "```sh\nbabypoet runs\n```\n") == []


def test_every_block_that_is_listed_is_there() -> None:
    """Red when the list of what only shows something has an entry that nothing needs."""
    for name, first in OUTPUT:
        path = next(path for path in DOCUMENTS if path.name == name)
        found = [block for _, block in fences(path.read_text("utf-8")) if block.startswith(first)]
        assert len(found) == 1, (name, first)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text of one's own, and a tiny run that stands for the built-in poems'."""
    place = tmp_path_factory.mktemp("python")
    text = "".join(f"love this, and it goes on\nand on, {i} times\n\n" for i in range(60))
    (place / "my.txt").write_text(text, encoding="utf-8")
    babypoet.train(
        text=text, out=place / "runs/poems-modern",
        steps=2, n_layer=1, n_head=2, n_embd=16, block_size=16, batch_size=4,
    )  # fmt: skip
    return place


def run_block(block: str) -> None:
    """Execute a block as it stands, only that two updates are enough for a training in it."""
    exec(compile(re.sub(r"\bsteps=\d+", "steps=2", block), "block", "exec"), {})


@each_page
def test_python_blocks_run(path: Path, request: pytest.FixtureRequest) -> None:
    text = path.read_text(encoding="utf-8")
    for block in blocks(text, "python"):
        monkeypatch = request.getfixturevalue("monkeypatch")
        monkeypatch.chdir(request.getfixturevalue("workplace"))
        run_block(block)


def test_a_wrong_block_would_be_noticed() -> None:
    assert blocks(README, "python")
    with pytest.raises(AttributeError):
        run_block("import babypoet\nbabypoet.no_such_call(steps=500)\n")


def failed_examples(text: str) -> int:
    """How many of the `>>>` examples in a text show what is not so."""
    unfenced = re.sub(r"^ *```.*$", "", text, flags=re.MULTILINE)
    examples = doctest.DocTestParser().get_doctest(unfenced, {}, "page", None, 0)
    return doctest.DocTestRunner(verbose=False).run(examples, out=lambda _: None).failed


@each_page
def test_examples_with_a_prompt_are_true(path: Path) -> None:
    assert failed_examples(path.read_text(encoding="utf-8")) == 0


def test_an_untrue_example_would_be_noticed() -> None:
    assert failed_examples("```python\n>>> 1 + 1\n3\n```\n") == 1
    assert failed_examples("```python\n>>> 1 + 1\n2\n```\n") == 0


def test_the_readme_shows_what_a_check_says(tmp_path: Path) -> None:
    """The division by sqrt(D) is left out of our own answer to lesson 8."""
    folder, _ = start(tmp_path / "my-llm")
    lesson = lessons.find("8")
    answer = lesson.solution.read_text(encoding="utf-8")
    assert " / math.sqrt(D)" in answer
    wrong = answer.replace(" / math.sqrt(D)", "")
    folder.file(lesson).write_text(wrong, encoding="utf-8")
    told = telling.told(folder, telling.check(folder, lesson))
    shown = next(block for _, block in fences(README) if block.startswith("causal_attention: "))
    assert shown in told


def equations(text: str) -> Iterator[tuple[str, str]]:
    """The sums that a page works out with numbers alone: what stands before a =, and after it.

    >>> list(equations("so 0.9 * 0 + 0.1 * 0.5 = 0.05, and ln 79 = 4.369"))
    [('0.9 * 0 + 0.1 * 0.5', '0.05'), ('log(79)', '4.369')]
    """
    for line in re.sub(r"\bln (\d+(?:\.\d+)?)", r"log(\1)", text).splitlines():
        sides = line.replace("`", "").split(" = ")
        for left, right in itertools.pairwise(sides):
            before = r"(?:(?<=[:,;.>|] )|(?<=  )|^|(?<=[a-z] ))"  # not what a name or ) is part of
            sum_ = re.search(rf"{before}\s*((?:e\^|log2?\(|sqrt\(|[-\d.()+*/^ ])+)$", left)
            result = re.match(r"\s*(-?\d+(?:\.\d+)?)(?!\.?\d| *[-+*/^(])", right)
            worked_out = sum_[1].strip() if sum_ else ""
            several = re.search(
                r"[\d)] +[\d(]", worked_out
            )  # a row of numbers, one beside the other
            if result and not several and re.search(r"[-+*/^(]", worked_out[1:]):
                yield worked_out, result[1]


def is_true(left: str, right: str) -> bool:
    """Whether a sum has the result that is printed: a whole number exactly, any other but for
    two and a half of its last digit, because what goes into it is rounded as well."""
    python = left.replace("e^", f"{math.e}**").replace("^", "**")
    known = {"log": math.log, "log2": math.log2, "sqrt": math.sqrt}
    decimals = len(right.partition(".")[2])
    tolerance = 2.5 * 10**-decimals if decimals else 1e-9
    return abs(eval(python, known) - float(right)) <= tolerance


@each_page
def test_what_is_worked_out_is_true(path: Path) -> None:
    for left, right in equations(path.read_text(encoding="utf-8")):
        assert is_true(left, right), f"{left} = {right}"


def test_a_sum_that_is_wrong_would_be_noticed() -> None:
    assert len([sum_ for path in LESSONS for sum_ in equations(path.read_text("utf-8"))]) > 25
    assert not any(itertools.starmap(is_true, equations("so 16 / 3 = 5.37, (1 + 2) / 3 = 2")))
    assert len(list(equations("so 16 / 3 = 5.37, (1 + 2) / 3 = 2"))) == 2
