"""Every lesson: its parts, our answer, its empty file, and the wrong answers people give."""

import ast
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

from babypoet.course import checking, guard, telling
from babypoet.course.checking import Problem, load_checks, load_solution, run_checks
from babypoet.course.folder import Folder, start
from babypoet.course.lessons import LESSONS, Lesson

TINY = ["--steps=4", "--n-layer=1", "--n-embd=16", "--n-head=2", "--block-size=16", "--snapshots=2"]
IDS = [lesson.module for lesson in LESSONS]
WRITTEN = [lesson for lesson in LESSONS if not lesson.in_words]
each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=IDS)
each_file = pytest.mark.parametrize("lesson", WRITTEN, ids=[x.module for x in WRITTEN])


def wrong_of(lesson: Lesson) -> list[tuple[str, str, str]]:
    """(old, new, fragment): a replacement in the solution, and what the message must hold."""
    found: list[tuple[str, str, str]] = importlib.import_module(
        f"course.wrong_{lesson.number:02}"
    ).WRONG
    return found


def all_wrong() -> Iterator[object]:
    for lesson in LESSONS:
        if (ROOT / f"tests/course/wrong_{lesson.number:02}.py").exists():
            for number, (old, new, fragment) in enumerate(wrong_of(lesson)):
                name = f"{lesson.number:02}-{number}"
                yield pytest.param(lesson, old, new, fragment, id=name)


def written(folder: Path, lesson: Lesson, text: str) -> Path:
    path = folder / lesson.file
    path.write_text(text, encoding="utf-8")
    return path


def problems(lesson: Lesson, path: Path) -> list[Problem]:
    """What is wrong with a file, in this process; earlier lessons are the solutions."""
    return [o.problem for o in run_checks(lesson, path) if o.problem]


def test_all_seventeen_lessons_are_there() -> None:
    assert [lesson.number for lesson in LESSONS] == list(range(1, 18))
    assert LESSONS[-1].file == "explain.md"


@each_lesson
def test_a_lesson_has_all_its_parts(lesson: Lesson) -> None:
    assert lesson.title != lesson.name and 5 <= lesson.minutes <= 120
    assert 250 <= len(lesson.text.split()) <= 900, len(lesson.text.split())
    assert len(lesson.hints) >= 3 and all(lesson.hints)
    assert lesson.in_our_code
    assert load_checks(lesson).CHECKS and callable(load_checks(lesson).reward)


def test_the_course_takes_a_weekend() -> None:
    assert 10 <= sum(lesson.minutes for lesson in LESSONS) / 60 <= 17


@each_file
def test_start_has_signatures_and_no_bodies(lesson: Lesson) -> None:
    tree = ast.parse(lesson.start.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert functions
    for function in functions:
        body = function.body[1:] if ast.get_docstring(function) else function.body
        assert [ast.unparse(line) for line in body] == ["raise NotImplementedError"], function.name
        assert function.returns is not None, function.name


@each_file
def test_start_asks_for_what_the_solution_has(lesson: Lesson) -> None:
    asked = checking.asked_of(lesson.start)
    assert asked
    solution = load_solution(lesson)
    for one in asked:
        assert checking.missing_or_changed(solution, one) is None, one.name


@each_file
def test_every_function_of_start_is_not_written_yet(lesson: Lesson, tmp_path: Path) -> None:
    path = written(tmp_path, lesson, lesson.start.read_text(encoding="utf-8"))
    outcomes = run_checks(lesson, path)
    assert {o.function for o in outcomes} == {a.name for a in checking.asked_of(lesson.start)}
    for outcome in outcomes:
        assert outcome.problem and outcome.problem.kind == "unwritten", outcome


@each_lesson
def test_the_solution_passes(lesson: Lesson) -> None:
    for outcome in run_checks(lesson, lesson.solution):
        assert outcome.problem is None, outcome


@each_lesson
def test_a_mistake_gives_something_else_than_the_solution(lesson: Lesson) -> None:
    assert checking.blunt_mistakes(lesson) == []


@each_file
def test_five_wrong_answers_are_known(lesson: Lesson) -> None:
    wrong = wrong_of(lesson)
    assert len(wrong) >= 5
    solution = lesson.solution.read_text(encoding="utf-8")
    for old, new, fragment in wrong:
        assert solution.count(old) == 1 and old != new and fragment, old


@pytest.mark.parametrize(("lesson", "old", "new", "fragment"), list(all_wrong()))
def test_a_wrong_answer_is_named(
    lesson: Lesson, old: str, new: str, fragment: str, tmp_path: Path
) -> None:
    solution = lesson.solution.read_text(encoding="utf-8")
    assert solution.count(old) == 1, "the table and the solution have parted"
    found = problems(lesson, written(tmp_path, lesson, solution.replace(old, new)))
    assert found, "nothing was noticed"
    assert fragment.lower() in " ".join(p.says for p in found).lower(), found


@each_file
def test_a_wrong_answer_is_named_through_the_process_too(lesson: Lesson, tmp_path: Path) -> None:
    """The first of each lesson's table, as the learner sees it."""
    old, new, fragment = wrong_of(lesson)[0]
    folder = solved(tmp_path / "mine")
    solution = lesson.solution.read_text(encoding="utf-8")
    written(folder.path, lesson, solution.replace(old, new))
    verdict = guard.check(lesson, folder.path, 100)
    assert not verdict.passed and verdict.problem is None
    said = telling.told(folder, telling.Checked(lesson, verdict))
    # textwrap may have put a line break into the fragment
    assert fragment.lower() in " ".join(said.split()).lower(), said


def solved(path: Path) -> Folder:
    """A course folder in which every file is our answer."""
    folder, _ = start(path)
    for lesson in LESSONS:
        folder.file(lesson).write_bytes(lesson.solution.read_bytes())
    return folder


def babypoet(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "babypoet", *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, encoding="utf-8", check=False,
        env=os.environ | {"PYTHONUTF8": "1"},
    )  # fmt: skip


@pytest.mark.timeout(900)
def test_the_whole_course_is_solved_through_the_commands(tmp_path: Path) -> None:
    """start, check each lesson in order, run with a few steps, share: as a learner does."""
    assert babypoet("learn", "start", "my-llm", cwd=tmp_path).returncode == 0
    mine = tmp_path / "my-llm"
    for number, lesson in enumerate(LESSONS, 1):
        first = babypoet("learn", "check", "--seconds", 100, cwd=mine)
        assert first.returncode == 1 and f"Lesson {lesson.number}:" in first.stdout, first
        (mine / lesson.file).write_bytes(lesson.solution.read_bytes())
        checked = babypoet("learn", "check", "--seconds", 100, cwd=mine)
        assert checked.returncode == 0, checked
        assert f"Passed. {number} of {len(LESSONS)} lessons." in checked.stdout
        assert "did not" not in checked.stdout, checked.stdout
    assert "You have built it all" in babypoet("learn", cwd=mine).stdout
    trained = babypoet("learn", "run", "--quiet", *TINY, cwd=mine)
    assert trained.returncode == 0, trained
    run = json.loads((mine / "run/run.json").read_text(encoding="utf-8"))
    assert run["model"]["rung"] == "modern" and run["status"] == "finished"
    assert any("l16_modern.py" in note for note in run["notes"])
    shared = babypoet("share", "--run", "run", "-o", "mine.html", cwd=mine)
    assert shared.returncode == 0 and (mine / "mine.html").stat().st_size > 10_000, shared
    wrote = babypoet("generate", "--run", "run", "--length", 20, cwd=mine)
    assert wrote.returncode == 0 and wrote.stdout
