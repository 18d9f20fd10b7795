"""The wheel, as somebody gets it who installs it: what is in it, and that it works anywhere."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

POEMS = "ad4bc93cfbcc41e8e644c36ed2d9feb4498138018412f07f5b3aeab2a42127bf"
TINY = ["--steps=5", "--n-layer=1", "--n-embd=16", "--n-head=2", "--block-size=16", "--snapshots=2"]


def sh(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command without what this process could lend it; its output, or a failure with it."""
    lent = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    clean = {name: value for name, value in os.environ.items() if name not in lent}
    ran = subprocess.run(
        [str(part) for part in command],
        cwd=cwd, env=clean | {"PYTHONUTF8": "1"}, capture_output=True, text=True,
        encoding="utf-8", check=False,
    )  # fmt: skip
    assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
    return ran


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by the build system that pyproject.toml names, in isolation."""
    out = tmp_path_factory.mktemp("wheel")
    sh(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", out, ROOT, cwd=out)
    (built,) = out.glob("babypoet-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder with the programs of a fresh environment that has the wheel and what it needs."""
    folder = tmp_path_factory.mktemp("fresh")
    sh(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    programs = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    constraints = ROOT / "constraints.txt"
    sh(programs / "python", "-m", "pip", "install", "-q", "-c", constraints, wheel, cwd=folder)
    yield programs
    shutil.rmtree(folder / "venv", ignore_errors=True)  # a gigabyte


def test_what_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        poems = archive.read("babypoet/poems.txt")
        metadata = next(name for name in names if name.endswith("METADATA"))
        needs = archive.read(metadata).decode()
    assert hashlib.sha256(poems).hexdigest() == POEMS, "the poems were changed"
    source = ROOT / "src"
    files = (path for path in (source / "babypoet").rglob("*.*") if path.suffix != ".pyc")
    parts = {path.relative_to(source).as_posix() for path in files}
    page = {
        f"babypoet/page/{name}" for name in ("page.html", "style.css", "strings.json", "app.js")
    }
    assert {"babypoet/py.typed", "babypoet/exporting/page.py"} | page <= parts <= set(names)
    licences = {name.rsplit("/", 1)[-1] for name in names if "/licenses/" in name}
    assert licences == {"LICENSE", "LICENSE-poems"}
    folders = {name.split("/")[0] for name in names}
    assert folders == {"babypoet", metadata.split("/")[0]}, "something else came along"
    assert not any("test" in name for name in names)
    assert "Requires-Dist: torch>=" in needs and "Requires-Python: >=3.11" in needs


@pytest.mark.timeout(600)
def test_it_works_where_nothing_else_is(installed: Path, tmp_path: Path) -> None:
    """From another folder, without this repository and without what only developers need."""
    babypoet = installed / "babypoet"
    listed = sh(installed / "python", "-m", "pip", "list", "--format=json", cwd=tmp_path).stdout
    packages = {package["name"].lower(): package["version"] for package in json.loads(listed)}
    assert not {"pytest", "ruff", "mypy", "hypothesis"} & set(packages)
    assert packages["torch"].startswith("2.13.0")
    assert sh(babypoet, "--version", cwd=tmp_path).stdout.strip() == packages["babypoet"]
    trained = sh(babypoet, "train", *TINY, cwd=tmp_path)
    assert "before the first update it wrote" in trained.stdout
    assert "Traceback" not in trained.stderr and "Warning" not in trained.stderr, trained.stderr
    run = tmp_path / "runs/poems-modern"
    assert (run / "loss.png").is_file()
    written = sh(babypoet, "generate", "--prompt", "love this", "--length", "40", cwd=tmp_path)
    assert written.stdout.startswith("love this") and len(written.stdout) == 9 + 40 + 1
    found = json.loads(sh(babypoet, "evaluate", "--json", cwd=tmp_path).stdout)
    assert found["held_out"]["characters"] == 22_350
    sharing = sh(babypoet, "share", "-o", "poet.html", cwd=tmp_path).stdout
    assert sharing.startswith("poet.html\n") and "Traceback" not in sharing
    shared = (tmp_path / "poet.html").read_text(encoding="utf-8")
    assert 'id="weights-end"' in shared and "{{say:" not in shared and len(shared) < 5_000_000
    where = "import babypoet; print(babypoet.__file__)"
    assert str(installed.parent) in sh(installed / "python", "-c", where, cwd=tmp_path).stdout
    poem = 'import babypoet; print(babypoet.load().write("love", length=5))'
    assert sh(installed / "python", "-c", poem, cwd=tmp_path).stdout.startswith("love")
