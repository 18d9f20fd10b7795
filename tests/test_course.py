"""The course's frame: what differs, in words; a process that does no harm; folders; commands.

The lessons themselves are tested in test_course_lessons.py."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from babypoet import ladder
from babypoet.cli import app, main
from babypoet.config import ModelConfig, TrainConfig
from babypoet.course import checking, guard, running, telling
from babypoet.course.checking import Asked, Check, Mistake, Problem, function_of
from babypoet.course.differences import compare, same
from babypoet.course.folder import Folder, digest, find_folder, load, start
from babypoet.course.lessons import LESSONS, find
from babypoet.errors import LessonError

FIRST = LESSONS[0]
SOLUTION = FIRST.solution.read_text(encoding="utf-8")
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX only")
linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")

# --- what differs ---------------------------------------------------------------------------------

A = np.array([[0.5, 1.0, 4.0], [2.0, 8.0, 3.0]])
SQUARE = np.arange(9.0).reshape(3, 3) ** 2


@pytest.mark.parametrize(
    ("theirs", "right", "fragment"),
    [
        (None, A, "Is a `return` missing?"),
        ([1.0], A, "It gave a list, expected a numpy array of shape (2, 3)"),
        (torch.tensor(A), A, "It gave a torch tensor, expected a numpy array"),
        (A, torch.tensor(A), "It gave a numpy array, expected a torch tensor"),
        (A.T, A, "shape is (3, 2), expected (2, 3). Yours is the transpose"),
        (np.zeros((3, 2)), A, "Is it transposed?"),
        (A.T.reshape(1, 3, 2), A.reshape(1, 2, 3), "in another order: (0, 2, 1)"),
        (A[0], A, "One axis is missing"),
        (A.sum(), A, "expected a numpy array of shape (2, 3)"),
        (A[:, None], A, "an axis of length 1 too many (keepdim"),
        (A[0], A[:1], "An axis of length 1 is missing"),
        (A[:, :2], A, "Axis 1 is 1 too short: off by one?"),
        (A.astype(int), A, "whole numbers (dtype int64), expected fractions (dtype float64)"),
        (A > 1, A, "true or false"),
        (np.where(A == 4, np.nan, A), A, "NaN (not a number) at [0, 2], expected 4; 1 of 6"),
        (np.where(A == 4, np.inf, A), A, "inf at [0, 2]"),
        (2 * A, A, "All are 2 times"),
        (A / 6, A, "All are 1/6 times"),
        (A / np.log(2), A, "bits where nats are asked?"),
        (-A, A, "All have the wrong sign"),
        (A + 3, A, "All are 3 too large: a constant is added"),
        (A[::-1], A, "back to front along axis 0"),
        (A[:, [1, 0, 2]], A, "The right numbers in another order"),
        (SQUARE.T, SQUARE, "Yours is the transpose"),
        (np.roll(A[0], 1), A[0], "one place too late"),
        (np.where(A == 8, 8.5, A), A, "At [1, 1] yours is 8.5, expected 8 (0.5 too large). 1 of 6"),
        (np.stack([A[0], A[1] + [1, 3, 1]]), A, "All of them are at index 1 of axis 0"),
        (SQUARE + np.eye(3), SQUARE, "on the diagonal"),
        (SQUARE + np.triu(np.ones((3, 3)), 1), SQUARE, "above the diagonal"),
        (2.5, 2, "the fraction 2.5, expected the whole number 2"),
        (2.0, 2.5, "Yours is 2, expected 2.5: 0.5 too small"),
        (5.0, 2.5, "That is 2 times what it should be"),
        (-2.5, 2.5, "The sign is the wrong way round"),
        (float("nan"), 2.5, "NaN (not a number), expected 2.5"),
        (A, 2.5, "Is it still to be summed, averaged or indexed?"),
        (1, True, "expected True"),
        ("abd", "abc", "character 2 is 'd', expected 'c'"),
        ("cba", "abc", "back to front"),
        ("ab", "abc", "2 characters, expected 3"),
        (7, "abc", "It gave a whole number, expected a text"),
        ((1, 2), [1, 2], "It gave a tuple, expected a list"),
        ([1, 2, 4], [1, 2, 3], "At index 2 yours is 4, expected 3"),
        ([1, 2, 3.0], [1, 2, 3], "the fraction 3, expected the whole number 3"),
        ([3, 2, 1], [1, 2, 3], "back to front"),
        ([2, 3], [1, 2, 3], "The first item is missing"),
        ([1, 2], [1, 2, 3], "The last item is missing"),
        ([9, 1, 2], [1, 2, 3], "one place too late"),
        ([2, 1, 3], [1, 2, 3], "The right items in another order"),
        ([1, 2, 3, 4], [1, 2, 3], "4 items, expected 3; the first 3 are right"),
        ((2, 1), (1, 2), "The two results are swapped"),
        ((1, 2, 3), (1, 2), "3 results, expected 2"),
        (1, (1, 2), "expected 2 results: `return a, b`"),
        ((1, A.T), (1, A), "the second is wrong. Its shape"),
        ({"a": 1}, {"b": 1}, "There is no 'b'"),
        ({"a": 1, "b": 1}, {"a": 1}, "'b', which is not asked for"),
        ({"a": 1}, {"a": 2}, "Under 'a': Yours is 1, expected 2"),
    ],
)
def test_a_difference_is_named(theirs: Any, right: Any, fragment: str) -> None:
    assert fragment in str(compare(theirs, right)), compare(theirs, right)


@pytest.mark.parametrize(
    ("theirs", "right"),
    [
        (A + 1e-9, A),
        (torch.tensor(A, requires_grad=True), torch.tensor(A)),
        (A.astype(np.float32), A),
        (np.int64(3), 3),
        (np.array(2.5), 2.5),
        (torch.tensor(2.5), 2.5),
        ([1, 2], (1, 2)),
        (np.array([np.inf]), np.array([np.inf])),
        ({"a": [A]}, {"a": [A.copy()]}),
        (None, None),
        ("é", "é"),
    ],
)
def test_what_is_right_is_let_through(theirs: Any, right: Any) -> None:
    assert compare(theirs, right) is None and (theirs is None or same(theirs, right, 1e-5))


def test_a_constant_is_never_called_a_permutation() -> None:
    assert "order" not in str(compare(np.full(4, 2.0), np.full(4, 1.0)))


# --- checks ---------------------------------------------------------------------------------------


class Module:
    """Stands for a learner's module, or ours."""

    def __init__(self, f: Any) -> None:
        self.f = f


def one_check(theirs: Any, **more: Any) -> Problem | None:
    check = Check("Twice.", lambda m: m.f(np.array([1.0, 2.0, 4.0])), "f(x)", **more)
    return checking.run_check(check, Module(theirs), Module(lambda x: 2 * x), Path("nowhere"))


def test_the_named_mistake_speaks_before_the_generic_words() -> None:
    mistake = Mistake("You squared.", lambda right: np.array([1.0, 4.0, 16.0]))
    told = one_check(lambda x: x**2, mistakes=(mistake,))
    assert told and told.says == "You squared."
    other = one_check(lambda x: 3 * x, mistakes=(mistake,))
    assert other and "1.5 times" in other.says
    assert one_check(lambda x: x + x, mistakes=(mistake,)) is None


def test_a_mistake_that_does_no_harm_here_is_silent() -> None:
    harmless = Mistake("You rounded.", lambda right: np.array([2.0, 4.0, 8.0]).round())
    told = one_check(lambda x: (2 * x).astype(int), mistakes=(harmless,))
    assert told and "expected fractions" in told.says


def test_a_factor_of_one_is_not_told() -> None:
    right = np.array([1e-3, 1.0, 3.0])
    told = compare(right + np.array([2e-5, 0, 0]), right)
    assert told and "times" not in told


def test_a_mistake_of_nan_is_recognised() -> None:
    overflow = Mistake("It overflowed.", lambda right: np.full(3, np.nan))
    told = one_check(lambda x: x * np.nan, mistakes=(overflow,))
    assert told and told.says == "It overflowed."


def test_changing_the_input_in_place_is_named() -> None:
    def in_place(x: Any) -> Any:
        x *= 2
        return x

    told = one_check(in_place)
    assert told and "`x` was changed in place" in told.says


def test_verify_decides_where_many_answers_are_right() -> None:
    def verify(result: Any) -> str | None:
        return None if result.sum() == 14 else "Its sum is not 14."

    assert one_check(lambda x: 2 * x[::-1], verify=verify) is None
    wrong = one_check(lambda x: x, verify=verify)
    assert wrong and wrong.says == "Its sum is not 14."
    broken = one_check(lambda x: None, verify=verify)
    assert broken and "It gave None, and that cannot be checked" in broken.says


@pytest.mark.parametrize(
    ("shown", "function"),
    [
        ("f(x)", "f"),
        ("g(f(x))", "g"),
        ("y = f(x)\ng(y)", "g"),
        ("C(3).go", "C"),
        ("not python (", "C"),
    ],
)
def test_a_check_belongs_to_the_last_function_it_names(shown: str, function: str) -> None:
    asked = [Asked(name, False) for name in ("f", "g", "C")]
    assert function_of(Check("", lambda m: 0, shown), asked) == function


def test_a_lesson_is_found_by_number_name_or_file() -> None:
    for name in ("1", "01", "l01", FIRST.name, FIRST.module, FIRST.file, FIRST.folder.name):
        assert find(name) == FIRST
    with pytest.raises(LessonError, match="There is no lesson 'nonsense'"):
        find("nonsense")


@pytest.mark.parametrize(
    ("body", "remedy"),
    [
        ("np.ones(3).sum(axis=1)", "-1 is always the last one"),
        ("torch.ones(3).sum(dim=1)", "-1 is always the last one"),
        ("torch.ones(2, 3) @ torch.ones(2, 3)", "the axis before the last of B"),
        ("np.ones((2, 3)) @ np.ones((2, 3))", "the axis before the last of B"),
        ("torch.ones(2, 3) + torch.ones(2, 4)", "from the right"),
        ("torch.ones(2, 3).masked_fill(torch.ones(2, 3), 0)", "True and False"),
        ("torch.ones(2, 3, 4).transpose(1, 2).view(2, 12)", "`.reshape` copies"),
        ("torch.nn.Embedding(3, 2)(torch.tensor([7]))", "`torch.arange(T)`"),
        ("torch.nn.Linear(3, 2).weight.normal_(0, None)", "`std` is None"),
        ("torch.ones(2).sum().backward()", "finds nothing to go back through"),
        ("torch.ones(2).sum().item().backward()", "Call backward() on the loss"),
        ("type('A', (torch.nn.Module,), {'__init__': lambda s: setattr(s, 'l', "
         "torch.nn.Linear(2, 2))})()", "super().__init__() is missing"),
        ("ladder.Rung()", "A Rung keeps its settings"),
    ],
)  # fmt: skip
def test_a_common_exception_comes_with_its_remedy(body: str, remedy: str) -> None:
    """Red when numpy or PyTorch say it in other words than `remedies` knows."""
    told = one_check(lambda x: eval(body))
    assert told and told.kind == "raised" and remedy in told.says, told


def test_a_line_is_quoted_with_its_indentation(tmp_path: Path) -> None:
    path = tmp_path / FIRST.file
    path.write_text("x = 1\n    y = 2\n", encoding="utf-8")
    with pytest.raises(checking.Stopped) as stopped:
        checking.load(path, FIRST.module, tmp_path)
    assert stopped.value.problem.source.startswith("    y = 2\n")
    assert "further in than the line before" in stopped.value.problem.says


# --- anything a file may hold ---------------------------------------------------------------------


def body(lines: str) -> str:
    """The solution with another body of its first function."""
    return (
        SOLUTION + "\n\ndef vocabulary(text):\n" + "".join(f"    {x}\n" for x in lines.split("\n"))
    )


OUT = "../outside"  # beside the learner's folder
RIGHT = "return sorted(set(text))"
LONG = {  # name: (the file, what is said)
    "endless loop": (body("while True:\n    pass"), "still running after 2 seconds"),
    "endless loop at import": ("while True:\n    pass\n", "l01_characters.py, line 1"),
    "sleep": (body("import time\ntime.sleep(1000)"), "time.sleep(1000)"),
    "endless arithmetic": (body("return 10 ** 10 ** 9"), "much too large"),
    "endless print": (body("while True:\n    print('x' * 999)"), "more lines"),
}
ANYTHING = {
    "a growing list": (body("x = []\nwhile True:\n    x.append('a' * 10**6)"), "more memory than"),
    "a huge array": (body("import numpy\nreturn numpy.ones(10**11)"), "more memory than"),
    "recursion": (body("return vocabulary(text)"), "calls itself without end"),
    "exit": (body("import sys\nsys.exit(3)"), "It ended the program"),
    "exit at import": ("exit()\n", "l01_characters.py, line 1"),
    "os._exit": (body("import os\nos._exit(0)"), "os._exit"),
    "abort": (body("import os\nos.abort()"), "vocabulary(\"hello\")"),
    "KeyboardInterrupt": (body("raise KeyboardInterrupt"), "It raised KeyboardInterrupt"),
    "an exception": (body("return sorted(text)[99]"), "It raised IndexError: list index out of"),
    "its line": (body("return sorted(text)[99]"), "    return sorted(text)[99]"),
    "an exception that cannot be shown": (
        body("class E(Exception):\n    def __str__(self): raise E\nraise E"), "It raised E."
    ),
    "escapes": (body("raise ValueError('\\x1b[2J')"), "ValueError: \\x1b[2J"),
    "a syntax error": (SOLUTION + "def broken(:\n    pass\n", "    def broken(:\n               ^"),
    "a bracket": ("x = (1,\n", "'(' was never closed"),
    "indentation": ("def f():\nreturn 1\n", "four spaces"),
    "tabs": ("def f():\n\tif 1:\n        x\n", "Use spaces only"),
    "a NUL": (SOLUTION + "\0", "null bytes"),
    "no UTF-8": (SOLUTION.encode() + b"# \xe9\n", "is not UTF-8 text"),
    "nothing": ("", "There is no function `vocabulary`"),
    "another name": (SOLUTION.replace("def vocabulary", "def vocab"), "no function `vocabulary`"),
    "not a function": (SOLUTION + "vocabulary = 3\n", "should be a function; it is a whole number"),
    "a wrong type": (body("return 5"), "It gave a whole number, expected a list"),
    "no return": (body("sorted(set(text))"), "Is a `return` missing?"),
    "a generator": (body("yield from sorted(set(text))"), "It gave a generator"),
    "a missing parameter": (SOLUTION + "def encode(text): 1\n", "`characters` is missing"),
    "an extra parameter": (
        SOLUTION + "def encode(text, characters, more): 1\n", "`more` is not asked for"
    ),
    "another parameter": (
        SOLUTION + "def encode(txt, characters): 1\n", "`text` is not there, and `txt` is not asked"
    ),
    "another order": (SOLUTION + "def encode(characters, text): 1\n", "order is another"),
    "input": (body("return sorted(input())"), "It waits for typing"),
    "no such module": ("import pandaz\n", "It imports 'pandaz', and Python finds no such module"),
    "no such lesson": ("import l99_no\n", "there is no l99_no.py in your folder"),
    "closed outputs": (body("import os\nos.close(1)\nos.close(2)\nos.close(2)"), "Bad file descr"),
    "closed everything": (body("import os\nos.closerange(0, 99)"), "does it close files"),
    "a broken Python": (body("import builtins\nbuiltins.len = None"), "replace parts of Python"),
    "a subprocess": (
        body(f"import subprocess\nsubprocess.run(['touch', '{OUT}/a'])"), "start another program"
    ),
    "a shell": (body(f"import os\nos.system('touch {OUT}/a')"), "start another program"),
    "a process": (
        body("import multiprocessing as m\nm.Process(target=print).start()"), "another program"
    ),
    "a network call": (
        body("import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9')"),
        "may not open a network connection",
    ),
    "a socket": (body("import socket\nsocket.socket()"), "open a network connection"),
    "ctypes": (body("import ctypes\nctypes.CDLL(None)"), "load a library with ctypes"),
    "a write": (body(f"open('{OUT}/a', 'w').write('x')"), "write anything outside your folder"),
    "appending": (body(f"open('{OUT}/there', 'a').write('x')"), "write anything outside"),
    "numpy.save": (body(f"import numpy\nnumpy.save('{OUT}/a.npy', 1)"), "write anything outside"),
    "torch.save": (body(f"import torch\ntorch.save(1, '{OUT}/a')"), "write anything outside"),
    "safetensors": (
        body(
            "import numpy, safetensors.numpy\n"
            f"safetensors.numpy.save_file({{'a': numpy.ones(1)}}, '{OUT}/a')"
        ),
        "write anything outside",
    ),
    "sqlite": (body(f"import sqlite3\nsqlite3.connect('{OUT}/a')"), "write anything outside"),
    "removing": (body(f"import os\nos.remove('{OUT}/there')"), "remove anything outside"),
    "removing a tree": (body(f"import shutil\nshutil.rmtree('{OUT}')"), "remove anything outside"),
    "renaming": (body(f"import os\nos.rename('{OUT}/there', 'a')"), "rename anything outside"),
    "making a folder": (body(f"import os\nos.makedirs('{OUT}/a/b')"), "make anything outside"),
    "cutting off": (body(f"import os\nos.truncate('{OUT}/there', 0)"), "cut off anything outside"),
    "chmod": (body(f"import os\nos.chmod('{OUT}/there', 0)"), "change anything outside"),
    "utime": (body(f"import os\nos.utime('{OUT}/there', (0, 0))"), "change anything outside"),
    "a hard link": (body(f"import os\nos.link('{OUT}/there', 'a')"), "link anything outside"),
    "elsewhere": (body(f"import os\nos.chdir('{OUT}')\nopen('a', 'w')"), "write anything outside"),
    "a signal": (body("import os\nos.kill(os.getppid(), 9)"), "send signals"),
}  # fmt: skip
POSIX = {
    "a fork": (body("import os\nos.fork()"), "start another program"),
    "a symbolic link": (
        body(f"import os\nos.symlink('{OUT}/there', 'a')\nopen('a', 'w')"), "write anything outside"
    ),
    "a folder's number": (
        body(f"import os\nd = os.open('{OUT}', 0)\nos.remove('there', dir_fd=d)"), "remove anything"
    ),
    "a new file in it": (
        body(f"import os\nd = os.open('{OUT}', 0)\nos.open('a', os.O_CREAT | os.O_RDWR, dir_fd=d)"),
        "by a folder's number",
    ),
    "fchmod": (
        body(f"import os\nos.fchmod(os.open('{OUT}/there', 0), 0)"), "change anything outside"
    ),
    "a pipe": (body(f"import os\nos.mkfifo('{OUT}/a')"), "use os.mkfifo"),
    "a crash": (body("import signal\nsignal.raise_signal(signal.SIGSEGV)"), "SIGSEGV"),
}  # fmt: skip


def snapshot(folder: Path) -> list[tuple[object, ...]]:
    """Everything in a folder: names, modes, times, contents."""
    return [
        (
            str(path.relative_to(folder)),
            path.stat().st_mode,
            path.stat().st_mtime_ns,
            path.stat().st_nlink,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted([folder, *folder.rglob("*")])
    ]


@pytest.fixture
def mine(tmp_path: Path) -> Folder:
    """A fresh course folder, beside it a folder with a file in it."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/there").write_text("there", encoding="utf-8")
    return start(tmp_path / "my-llm")[0]


def check_first(mine: Folder, content: str | bytes, seconds: float) -> tuple[bool, str]:
    """Check lesson 1 with this file; nothing beside the folder may change."""
    content = content.encode() if isinstance(content, str) else content
    mine.file(FIRST).write_bytes(content)
    outside = mine.path.parent / "outside"
    before, beside = snapshot(outside), sorted(mine.path.parent.iterdir())
    checked = telling.check(mine, FIRST, seconds)
    assert snapshot(outside) == before and sorted(mine.path.parent.iterdir()) == beside
    assert mine.file(FIRST).read_bytes() == content
    return checked.verdict.passed, telling.told(mine, checked)


def cases(*tables: dict[str, tuple[Any, str]]) -> list[Any]:
    return [pytest.param(*case, id=name) for table in tables for name, case in table.items()]


@pytest.mark.parametrize(("content", "fragment"), cases(LONG))
def test_what_does_not_end_is_ended_and_said(mine: Folder, content: str, fragment: str) -> None:
    passed, said = check_first(mine, content, 2)
    assert not passed and fragment in said and "Traceback" not in said, said
    assert len(said) < 3000


@pytest.mark.parametrize(("content", "fragment"), cases(ANYTHING))
def test_a_file_may_hold_anything(mine: Folder, content: str | bytes, fragment: str) -> None:
    if "memory" in fragment and sys.platform != "linux":
        pytest.skip("only Linux refuses memory; elsewhere the process is ended")
    passed, said = check_first(mine, content, 60)
    assert not passed and fragment in " ".join([said, *said.split()]), said
    assert "Traceback" not in said and "guard.py" not in said and "checking.py" not in said, said


@posix
@pytest.mark.parametrize(("content", "fragment"), cases(POSIX))
def test_a_file_may_hold_anything_posix_too(mine: Folder, content: str, fragment: str) -> None:
    test_a_file_may_hold_anything(mine, content, fragment)


@pytest.mark.parametrize("where", ["'notes.txt'", "os.devnull"])
def test_its_own_folder_and_nowhere_may_be_written_to(mine: Folder, where: str) -> None:
    passed, said = check_first(mine, body(f"import os\nopen({where}, 'w').write('x')\n{RIGHT}"), 60)
    assert passed and "refused" not in said, said


def test_what_was_refused_is_said_even_if_it_passes(mine: Folder) -> None:
    caught = f"try:\n    open('{OUT}/a', 'w')\nexcept OSError:\n    pass\n{RIGHT}"
    passed, said = check_first(mine, body(caught), 60)
    assert passed and "Your file tried to write anything outside" in said, said


def test_a_thread_left_running_holds_nothing_up(mine: Folder) -> None:
    thread = "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()\n"
    passed, said = check_first(mine, thread + SOLUTION, 60)
    assert passed and "left a thread running" in said, said


def test_what_it_prints_is_shown_shortened_and_corrupts_nothing(mine: Folder) -> None:
    noise = 'print(\'["end", {"notes": []}]\')\nfor i in range(100):\n    print(i)\n' + RIGHT
    passed, said = check_first(mine, body(noise), 60)
    assert passed and "Your file printed:" in said and "more lines" in said, said
    assert said.count("\n") < 80


@linux
def test_memory_is_watched_where_the_system_does_not_refuse_it(
    mine: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watching thread alone, as on macOS and Windows: shared memory is not RLIMIT_DATA's."""
    share = (
        "import mmap\nm = mmap.mmap(-1, 2**33)\n"
        "for i in range(0, 2**33, 2**20):\n    m[i : i + 2**20] = b'1' * 2**20"
    )
    passed, said = check_first(mine, body(share), 60)
    assert not passed and "It took more than 2 GB of memory, and was stopped" in said, said


def test_without_the_hook_the_snapshots_would_see_it(
    mine: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test of the tests: the same write in this process changes what is outside."""
    before = snapshot(mine.path.parent / "outside")
    monkeypatch.chdir(mine.path)
    mine.file(FIRST).write_text(body(f"open('{OUT}/a', 'w').write('x')"), encoding="utf-8")
    checking.run_checks(FIRST, mine.file(FIRST))
    assert snapshot(mine.path.parent / "outside") != before


def test_a_check_leaves_nothing_in_the_folder(mine: Folder) -> None:
    before = {path.name for path in mine.path.rglob("*")}
    assert check_first(mine, SOLUTION, 60)[0]
    assert {path.name for path in mine.path.rglob("*")} == before


# --- the folder -----------------------------------------------------------------------------------


def test_start_refuses_a_folder_with_other_things(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious", encoding="utf-8")
    with pytest.raises(LessonError, match="is not empty, and no course folder"):
        start(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(LessonError, match="is a file"):
        start(tmp_path / "thesis.tex")


def test_start_again_completes_and_overwrites_nothing(mine: Folder) -> None:
    mine.file(FIRST).write_text("mine", encoding="utf-8")
    mine.file(LESSONS[1]).unlink()
    again, written = start(mine.path)
    assert written == [LESSONS[1].file]
    assert mine.file(FIRST).read_text(encoding="utf-8") == "mine"
    assert again.file(LESSONS[1]).exists()


def test_a_pass_is_remembered_until_the_file_changes(mine: Folder) -> None:
    mine.file(FIRST).write_text(SOLUTION, encoding="utf-8")
    assert mine.state(FIRST) == "open" and mine.current() == FIRST
    mine.remember_passed(FIRST, digest(mine.file(FIRST)))
    again = load(mine.path)
    assert again.state(FIRST) == "passed" and again.current() == LESSONS[1]
    mine.file(FIRST).write_text(SOLUTION + "# more\n", encoding="utf-8")
    assert again.state(FIRST) == "changed" and again.current() == FIRST


def test_why_an_earlier_lesson_comes_first_is_said(mine: Folder) -> None:
    assert telling.why_back(mine, FIRST) == ""
    for lesson in LESSONS[:3]:
        mine.remember_passed(lesson, digest(mine.file(lesson)))
    assert telling.why_back(mine, LESSONS[3]) == ""
    mine.file(FIRST).write_text(SOLUTION, encoding="utf-8")
    assert f"{FIRST.file} was changed since it passed" in telling.why_back(mine, FIRST)
    mine.remember_failed(FIRST)
    assert "Lesson 1 does not pass, and later ones have" in telling.why_back(mine, FIRST)
    checked = telling.check(mine, FIRST, 60)
    assert telling.told(mine, checked).startswith("Lesson 1 does not pass")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"format": 1, "hints": 3, "passed": {}}', "\ud800",
                '{"format": 1, "hints": {"1": "x"}, "passed": {}}'],
)  # fmt: skip
def test_a_damaged_progress_is_an_error_with_a_remedy(mine: Folder, content: str) -> None:
    (mine.path / "progress.json").write_text(content, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(LessonError, match=r"is damaged\. Delete it and type: babypoet learn start"):
        load(mine.path)
    mine.file(FIRST).write_text("mine", encoding="utf-8")
    (mine.path / "progress.json").unlink()  # the remedy
    start(mine.path)
    assert load(mine.path).file(FIRST).read_text(encoding="utf-8") == "mine"


def test_a_newer_progress_is_refused_by_its_number(mine: Folder) -> None:
    (mine.path / "progress.json").write_text('{"format": 9, "hints": {}, "passed": {}}', "utf-8")
    with pytest.raises(LessonError, match="format 9; this babypoet reads up to 1"):
        load(mine.path)


def test_the_folder_is_found_from_within(mine: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mine.path / "lessons")
    assert find_folder(None).path == mine.path.resolve()
    monkeypatch.chdir(mine.path.parent)
    with pytest.raises(LessonError, match="This is no course folder"):
        find_folder(None)
    assert find_folder(mine.path).path == mine.path


# --- the commands ---------------------------------------------------------------------------------


def learn(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["learn", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_hints_come_one_at_a_time_and_the_answer_after_them(
    mine: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--folder", mine.path)
    many = len(FIRST.hints)
    for number in range(many):
        code, out, err = learn(capsys, "show", *where)
        left = many - number
        assert code == 2 and f"{left} of {many} {'is' if left == 1 else 'are'} unread" in err
        code, out, _ = learn(capsys, "hint", *where)
        assert code == 0 and f"Hint {number + 1} of {many}" in out
    assert "this is the last again" in learn(capsys, "hint", *where)[1]
    code, out, _ = learn(capsys, "show", *where)
    assert code == 0 and "    def vocabulary" in out and "In our code" in out


@pytest.mark.parametrize("verb", ["start", "check", "hint", "show", "run"])
def test_every_flag_is_documented(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = learn(capsys, *verb.split(), "--help")
    assert code == 0 and "Usage: babypoet learn" in out
    for argument in app["learn"][verb].assemble_argument_collection(parse_docstring=True):
        if not argument.children:
            assert argument.parameter.help, argument.name


def test_where_you_are(mine: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = learn(capsys, "--folder", mine.path)
    assert code == 0 and f"0 of {len(LESSONS)} lessons passed" in out
    assert all(len(line) <= 80 for line in out.splitlines() if str(mine.path) not in line), out
    code, _, err = learn(capsys, "--folder", mine.path.parent)
    assert code == 2 and "is no course folder" in err


def test_check_begins_with_the_first_open_lesson_and_says_what_follows(
    mine: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--folder", mine.path)
    code, out, _ = learn(capsys, "check", *where)
    assert code == 1 and "Lesson 1:" in out and "not written yet" in out
    assert out.count("✗") == 0 and out.count("·") == 3
    mine.file(FIRST).write_text(SOLUTION, encoding="utf-8")
    code, out, _ = learn(capsys, "check", *where)
    assert code == 0 and f"Passed. 1 of {len(LESSONS)} lessons." in out and "✗" not in out
    assert f"lesson 2, {LESSONS[1].title}" in " ".join(out.split())
    code, out, _ = learn(capsys, "check", *where)
    assert code == 1 and "Lesson 2:" in out
    code, _, err = learn(capsys, "check", "99", *where)
    assert code == 2 and "There is no lesson '99'" in err


def test_a_failure_says_what_where_and_how_much(mine: Folder) -> None:
    _, said = check_first(mine, body("return sorted(text)"), 60)
    for part in ("✗ vocabulary", "✓ encode", 'vocabulary("hello")', "By hand:", "learn hint 1"):
        assert part in said, said
    assert all(len(line) <= 80 for line in said.splitlines()), said


@posix
def test_watch_checks_on_every_save_and_ends_with_130(mine: Folder) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "babypoet", "learn", "check", "--watch"],
        cwd=mine.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        encoding="utf-8", env=os.environ | {"PYTHONUTF8": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert process.stdout

    def until(fragment: str) -> None:
        for line in process.stdout or ():
            if fragment in line:
                return
        pytest.fail(f"{fragment} was never said")

    try:
        until(f"waiting for {FIRST.file}")
        mine.file(FIRST).write_text("def vocabulary(:\n", encoding="utf-8")
        until("Python cannot read l01_characters.py")
        until("waiting for")
        mine.file(FIRST).write_text(SOLUTION, encoding="utf-8")
        until("Passed. 1 of")
        until(f"waiting for {LESSONS[1].file}")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert "Traceback" not in process.stdout.read()
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


@posix
def test_ctrl_c_ends_the_checking_process_too(mine: Folder) -> None:
    mine.file(FIRST).write_text(
        "import os\nopen('pid', 'w').write(str(os.getpid()))\nwhile True:\n    pass\n", "utf-8"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "babypoet", "learn", "check"], cwd=mine.path,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    pid = mine.path / "pid"
    while not (pid.exists() and pid.read_text(encoding="utf-8")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text(encoding="utf-8")), 0)


# --- learn run ------------------------------------------------------------------------------------


def solve(mine: Folder, *numbers: int) -> None:
    """Put our answers in, and remember them as passed."""
    for number in numbers:
        lesson = running.lesson(number)
        shutil.copy(lesson.solution, mine.file(lesson))
        mine.remember_passed(lesson, digest(mine.file(lesson)))


def replace_in(mine: Folder, number: int, old: str, new: str) -> None:
    path = mine.file(running.lesson(number))
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


TINY = {"block_size": 16, "n_embd": 24, "steps": 3, "snapshots": 0}
SHAPES = {
    "attention": ModelConfig("attention", 7, block_size=6, n_embd=10),
    "multihead": ModelConfig("multihead", 7, block_size=6, n_embd=12, n_head=3),
    "transformer": ModelConfig("transformer", 7, block_size=6, n_layer=2, n_embd=12, n_head=3),
    "modern": ModelConfig("modern", 7, 6, n_layer=2, n_embd=24, n_head=6, n_kv_head=3),
}


def test_there_is_nothing_to_run_before_lesson_3(
    mine: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = learn(capsys, "run", "--folder", mine.path)
    assert code == 2 and "There is nothing to run yet" in err


def test_before_lesson_8_the_table_runs(mine: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    solve(mine, 3)
    code, out, _ = learn(capsys, "run", "--folder", mine.path)
    assert code == 0 and "Your table of lesson 3" in out and "comes with lesson 8" in out


def test_the_highest_rung_that_passes_is_run(mine: Folder) -> None:
    assert running.highest(mine) is None
    solve(mine, 8)
    assert running.highest(mine) == "attention"
    solve(mine, 9, 10, 11, 12)
    assert running.highest(mine) == "transformer"
    assert running.highest(mine, "multihead") == "multihead"
    solve(mine, 16)
    assert running.highest(mine) == "modern"
    replace_in(mine, 16, "def swiglu", "# changed\ndef swiglu")
    assert running.highest(mine) == "transformer"


@pytest.mark.parametrize("rung", running.RUNGS)
def test_the_solutions_are_the_ladder(mine: Folder, rung: Any) -> None:
    solve(mine, 8, 9, 10, 11, 12, 16)
    with checking.lesson_imports(mine.path):
        theirs = running.builder(mine, rung)(SHAPES[rung], 3)
        running.compare_models(theirs, ladder.build(SHAPES[rung]), rung)
        assert any(type(m).__module__ != "babypoet.ladder" for m in theirs.modules())


@pytest.mark.parametrize(
    ("rung", "number", "old", "new"),
    [
        ("attention", 8, "math.sqrt(D)", "D"),
        ("multihead", 9, "return self.proj(x)", "return x"),
        ("transformer", 11, "return self.c_proj(x)", "return 2 * self.c_proj(x)"),
        ("transformer", 12, "x + self.dropout(self.mlp(self.ln_2(x)))", "self.mlp(self.ln_2(x))"),
        ("modern", 16, "torch.sigmoid(gate)", "torch.tanh(gate)"),
    ],
)
def test_a_model_that_says_something_else_is_not_trained(
    mine: Folder, rung: Any, number: int, old: str, new: str
) -> None:
    solve(mine, 8, 9, 10, 11, 12, 16)
    replace_in(mine, number, old, new)
    with checking.lesson_imports(mine.path):
        build = running.builder(mine, rung)
        with pytest.raises(LessonError, match=f"Look at lesson {number} again"):
            running.compare_models(build(SHAPES[rung], 0), ladder.build(SHAPES[rung]), rung)


def test_what_is_trained_is_theirs_and_stays_in_the_folder(
    mine: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    solve(mine, 8)
    replace_in(mine, 8, "class CausalHead", "from pathlib import Path\n\n\nclass CausalHead")
    replace_in(
        mine,
        8,
        "k = self.key(x)",
        "Path(__file__).with_name('ran').touch()\n        k = self.key(x)",
    )
    solved = running.lesson(8)
    mine.remember_passed(solved, digest(mine.file(solved)))
    (mine.path / "run").mkdir()
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items()]
    code, out, err = learn(capsys, "run", "--quiet", "--folder", mine.path, *flags)
    assert code == 0, err
    assert (mine.path / "ran").exists(), "their forward was called"
    run = mine.path / "run-2"
    assert (run / "run.json").exists() and f"babypoet share --run {run}" in " ".join(out.split())
    assert main(["generate", "--run", str(run), "--length", "5"]) == 0


def test_a_run_of_theirs_is_the_run_of_ours(mine: Folder) -> None:
    """With our answers in the files, the weights trained are the ladder's, to the bit or nearly."""
    from babypoet import corpus, training

    solve(mine, 8)
    given = TrainConfig(rung="attention", **TINY)  # type: ignore[arg-type]
    with checking.lesson_imports(mine.path):
        theirs, build = running.prepare(mine, "attention", given)
        list(training.train(theirs, build=build))
    ours = training.prepare(corpus.open_corpus(corpus.Source()), given, mine.path / "ours")
    list(training.train(ours))
    for name, weight in ours.weights().items():
        np.testing.assert_allclose(theirs.weights()[name], weight, atol=1e-5, err_msg=name)


def test_a_lesson_changed_since_it_passed_is_checked_before_it_runs(mine: Folder) -> None:
    solve(mine, 1)
    replace_in(mine, 1, "def vocabulary", "# a remark\ndef vocabulary")
    (said,) = telling.recheck(mine, [1])
    assert "it still passes" in said and mine.state(FIRST) == "passed"
    mine.file(FIRST).write_text("", encoding="utf-8")
    (said,) = telling.recheck(mine, [1])
    assert "it no longer passes" in said and mine.state(FIRST) == "open"


def test_the_guard_says_when_it_could_not_start(
    mine: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])
    verdict = guard.check(FIRST, mine.path)
    assert verdict.problem and "This is no fault of your file" in verdict.problem.says
