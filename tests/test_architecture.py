"""How the modules stand on each other, what an import may cost, and how files are opened."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src/babypoet"

# A module imports what stands before it, and never what stands after. A folder is one entry.
ORDER = (
    *("errors", "config", "tokenizer", "diagnosis", "corpus", "batches", "ladder", "reference"),
    *(
        "heads",
        "values",
        "gradients",
        "backpropagation",
        "sampling",
        "trace",
        "counting",
        "evaluation",
        "runs",
        "planning",
    ),
    *(
        "training",
        "pictures",
        "exporting",
        "poet",
        "terminal",
        "looking",
        "wayback",
        "report",
        "comparison",
    ),
    *("course", "page", "cli", "__init__", "__main__"),
)
NEVER = {"utils", "util", "common", "base", "helpers", "misc"}
LIGHT = {
    "": ("torch", "numpy", "matplotlib"),
    "cli": ("torch", "numpy", "matplotlib"),
    "errors": ("torch", "numpy", "matplotlib"),
    "config": ("torch", "numpy", "matplotlib"),
    "tokenizer": ("torch", "matplotlib"),
    "corpus": ("torch", "matplotlib"),
    "batches": ("torch", "matplotlib"),
    "reference": ("torch", "matplotlib"),
    "heads": ("torch", "matplotlib"),
    "values": ("torch", "matplotlib"),
    "gradients": ("torch", "matplotlib"),
    "backpropagation": ("torch", "matplotlib"),
    "sampling": ("torch", "matplotlib"),
    "trace": ("torch", "matplotlib"),
    "counting": ("torch", "matplotlib"),
    "evaluation": ("torch", "matplotlib"),
    "runs": ("torch", "matplotlib"),
    "planning": ("torch", "matplotlib"),
    "exporting.page": ("torch", "matplotlib"),
    "poet": ("torch", "matplotlib"),
    "looking": ("torch", "matplotlib"),
}


def modules(package: Path) -> dict[str, str]:
    """The source of every module, under its path in the package: {"exporting/page": "..."}."""
    return {
        path.relative_to(package).with_suffix("").as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(package.rglob("*.py"))
    }


def entry(module: str) -> str:
    """The entry of ORDER a module belongs to: "exporting/page" -> "exporting"."""
    return module.split("/")[0]


THERE = {"", *map(entry, modules(PACKAGE))}


def imports(source: str, module: str = "") -> Iterator[str]:
    """The entries of ORDER that a module imports, at the top or anywhere within."""
    here = ["babypoet", *module.split("/")[:-1]]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):  # what is taken from a bare `import babypoet` comes below
            yield from (_entry_of(a.name.split(".")) for a in node.names if a.name != "babypoet")
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "babypoet":
            yield _entry_of(["babypoet", node.attr])
        elif isinstance(node, ast.ImportFrom):
            stem = here[: len(here) - node.level + 1] if node.level else []
            stem = stem + (node.module.split(".") if node.module else [])
            yield from (_entry_of([*stem, alias.name]) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (_entry_of(str(ast.literal_eval(a)).split(".")) for a in _constants(node))


def _entry_of(path: list[str]) -> str:
    """["babypoet", "config", "ModelConfig"] -> "config"; "" where the order does not matter."""
    if path[0] != "babypoet" or path[1:] == ["__version__"]:  # a constant, there before all else
        return ""
    is_module = len(path) > 1 and path[1][0].islower()
    is_module = is_module and (len(path) > 2 or path[1] in ORDER or path[1] in THERE)
    return path[1] if is_module else "__init__"


def _constants(call: ast.Call) -> list[ast.expr]:
    return [argument for argument in call.args[:1] if isinstance(argument, ast.Constant)]


def misplaced(sources: dict[str, str]) -> list[str]:
    """Every arrow that points back, and every module that has no place in the order."""
    found = [f"{module} has no place in ORDER" for module in sources if entry(module) not in ORDER]
    for module, source in sources.items():
        for target in imports(source, module):
            if not target or target == entry(module) or entry(module) not in ORDER:
                continue
            if target not in ORDER or ORDER.index(target) > ORDER.index(entry(module)):
                found.append(f"{module} -> {target}")
    return found


def test_imports_point_one_way() -> None:
    assert misplaced(modules(PACKAGE)) == []


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ({"config": "from babypoet.ladder import build"}, "config -> ladder"),
        ({"config": "from babypoet import ladder"}, "config -> ladder"),
        ({"config": "import babypoet.ladder as l"}, "config -> ladder"),
        ({"config": "from .ladder import build"}, "config -> ladder"),
        ({"config": "from . import ladder"}, "config -> ladder"),
        ({"config": "def f():\n    from babypoet.cli import main"}, "config -> cli"),
        ({"config": "import importlib\nimportlib.import_module('babypoet.cli')"}, "config -> cli"),
        ({"exporting/page": "from ..cli import main"}, "exporting/page -> cli"),
        ({"config": "import babypoet\nbabypoet.train()"}, "config -> __init__"),
        ({"config": "from babypoet import train"}, "config -> __init__"),
        ({"config": "from babypoet.gone import x"}, "config -> gone"),
        ({"novelty": ""}, "novelty has no place in ORDER"),
        (
            {
                "runs": "from babypoet.training import train",
                "training": "from babypoet.runs import Run",
            },
            "runs -> training",
        ),
    ],
    ids=str,
)
def test_an_arrow_back_is_seen(sources: dict[str, str], expected: str) -> None:
    assert misplaced(sources) == [expected]


def test_an_arrow_forth_is_let_through() -> None:
    source = "import torch, numpy.linalg, babypoet\nfrom babypoet import __version__, config\n"
    source += "print(babypoet.__version__)\n"
    assert misplaced({"ladder": source + "from babypoet.errors import SettingError"}) == []
    assert misplaced({"exporting/page": "from . import onnx\nfrom .onnx import f"}) == []


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    assert [name for name in modules(PACKAGE) if NEVER & set(name.split("/"))] == []


def loaded(module: str) -> set[str]:
    """The modules there are in a fresh Python once `module` is imported."""
    code = f"import {module}, sys; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


@pytest.mark.parametrize(
    "module", [module for module in LIGHT if entry(module.replace(".", "/")) in THERE]
)
def test_an_import_is_light(module: str) -> None:
    """`--help` and the first letters of a poem must not wait for PyTorch."""
    assert not loaded(f"babypoet.{module}".rstrip(".")) & set(LIGHT[module])


def test_a_heavy_import_is_seen() -> None:
    assert "numpy" in loaded("babypoet.tokenizer")


def test_the_light_modules_have_a_place_in_the_order() -> None:
    assert {entry(module.replace(".", "/")) for module in LIGHT} - {""} <= set(ORDER)


# `open` of these, or of a class, is not a file opened as text
OTHER_OPENERS = {"os", "webbrowser", "tarfile", "zipfile"}
CLASS = re.compile(r"([\w.]+\.)?[A-Z]\w*[a-z]\w*")


def unencoded(source: str) -> list[str]:
    """The calls that read or write text in whatever encoding the machine happens to prefer."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [f"line {call.lineno}: {ast.unparse(call)}" for call in calls if _is_unencoded(call)]


def _is_unencoded(call: ast.Call) -> bool:
    owner, _, name = ast.unparse(call.func).rpartition(".")
    position = {"open": 0 if owner else 1, "fdopen": 1, "read_text": 0, "write_text": 1}.get(name)
    if position is None or (name == "open" and (owner in OTHER_OPENERS or CLASS.fullmatch(owner))):
        return False
    if any(keyword.arg == "encoding" for keyword in call.keywords):
        return False
    if name.endswith("_text"):  # the encoding may stand without its name
        return len(call.args) <= position
    if owner in ("io", "codecs", "gzip", "builtins"):
        position = 1
    modes = call.args[position : position + 1]
    modes += [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    return not any(isinstance(mode, ast.Constant) and "b" in str(mode.value) for mode in modes)


@pytest.mark.parametrize("module", modules(PACKAGE))
def test_every_text_file_is_opened_with_its_encoding(module: str) -> None:
    assert unencoded(modules(PACKAGE)[module]) == []


@pytest.mark.parametrize(
    "call",
    [
        *("open(p)", "open(p, 'w')", "open('b')", "open(p, mode='w')", "io.open(p)", "p.open()"),
        *("p.open('w')", "p.read_text()", "p.write_text(text)", "os.fdopen(f, 'w')"),
        *("(a / b).read_text()", "open(p, mode)", "POEMS.open()", "Path(p).open()"),
    ],
)
def test_a_text_file_without_its_encoding_is_seen(call: str) -> None:
    assert unencoded(f"x = [{call}]") == [f"line 1: {call}"]


@pytest.mark.parametrize(
    "call",
    [
        *("open(p, 'rb')", "open(p, encoding='utf-8')", "p.open('wb')", "p.open(mode='rb')"),
        *("io.open(p, 'rb')", "p.read_text('utf-8')", "p.write_text(text, encoding='utf-8')"),
        *(
            "os.open(p, os.O_RDONLY)",
            "runs.RunFolder.open(p)",
            "p.read_bytes()",
            "os.fdopen(f, 'wb')",
        ),
    ],
)
def test_a_binary_file_or_a_named_encoding_is_let_through(call: str) -> None:
    assert unencoded(call) == []
