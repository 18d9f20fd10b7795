"""A learner's folder: where it is, what is in it, and how far they have come.

    folder = start(Path("my-llm"))
    folder.current()            # the first lesson that has not passed

`progress.json` remembers which hints were seen, and of each lesson that passed the sha256 of the
file that did: a file changed since counts as not passed until it is checked again. Nothing here
ever overwrites what a learner wrote."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babypoet.course.lessons import LESSONS, Lesson
from babypoet.errors import LessonError
from babypoet.runs import write_atomic

FORMAT = 1
PROGRESS = "progress.json"

README = """# My language model

Here you write a language model yourself: from empty files to a Transformer that writes verse.
Each lesson has a page to read in `lessons/` and a file to fill in. Replace each
`raise NotImplementedError` by your own lines; names and parameters stay as they are.

What you should know beforehand: functions, loops and lists in Python, how one multiplies two
matrices, and what a slope is. numpy you learn as you go (lessons 2 to 5 name what they need), and
lesson 6 begins with the little of PyTorch and of classes that the rest is built on.

    babypoet learn             where you are
    babypoet learn check       check your file (--watch: whenever you save it)
    babypoet learn hint        the next hint, one at a time
    babypoet learn show        our answer, once you have seen all hints
    babypoet learn run         train what you wrote on the poems

At the end, or after lessons 8, 9 and 12 already, `babypoet learn run` trains your model here in
`run/`, and `babypoet share --run run` makes one page of it, to open in a browser and to give away.

You can run each file by itself as well, here in this folder: `python -i l01_characters.py`.
`progress.json` remembers where you are. Everything else in here is yours.

| lesson | your file | minutes |
| --: | --- | --: |
{rows}
"""


@dataclass
class Folder:
    """A learner's folder."""

    path: Path
    hints: dict[str, int]
    """How many hints of a lesson were seen, by its number."""
    passed: dict[str, str]
    """The sha256 of the file that passed, by the lesson's number."""

    def file(self, lesson: Lesson) -> Path:
        """The learner's file for a lesson."""
        return self.path / lesson.file

    def state(self, lesson: Lesson) -> str:
        """passed, changed (since it passed), or open."""
        before = self.passed.get(str(lesson.number))
        if before is None:
            return "open"
        return "passed" if before == digest(self.file(lesson)) else "changed"

    def current(self) -> Lesson | None:
        """The first lesson that has not passed as it stands; None when all have."""
        return next((lesson for lesson in LESSONS if self.state(lesson) != "passed"), None)

    def remember_passed(self, lesson: Lesson, sha256: str) -> None:
        """Write down that this file passed: the one that was there before the check."""
        self.passed[str(lesson.number)] = sha256
        self.save()

    def remember_failed(self, lesson: Lesson) -> None:
        """Forget that a lesson passed, which its file no longer does."""
        if self.passed.pop(str(lesson.number), None):
            self.save()

    def hints_seen(self, lesson: Lesson) -> int:
        """How many of a lesson's hints were shown."""
        return min(self.hints.get(str(lesson.number), 0), len(lesson.hints))

    def remember_hint(self, lesson: Lesson, seen: int) -> None:
        """Write down that so many hints were shown."""
        self.hints[str(lesson.number)] = seen
        self.save()

    def save(self) -> None:
        """Write progress.json, as a whole."""
        progress = {"format": FORMAT, "hints": self.hints, "passed": self.passed}
        content = json.dumps(progress, indent=2, sort_keys=True) + "\n"
        try:
            write_atomic(self.path / PROGRESS, content.encode())
        except OSError as error:
            raise LessonError(
                f"{self.path / PROGRESS} cannot be written: {error.strerror or error}."
            ) from None


def digest(path: Path) -> str:
    """The sha256 of a file; empty if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def start(path: Path) -> tuple[Folder, list[str]]:
    """Make a learner's folder, or complete one; returns it with the names of the files written.

    A folder that holds something else is a LessonError."""
    names = {lesson.file for lesson in LESSONS}
    try:
        inside = {entry.name for entry in path.iterdir()} if path.exists() else set()
    except NotADirectoryError:
        raise LessonError(f"{path} is a file. Give the name of a new folder.") from None
    if inside and PROGRESS not in inside and not names & inside:
        raise LessonError(
            f"{path} is not empty, and no course folder. Give the name of a new one, like "
            f"{path / 'my-llm'}."
        )
    files = {lesson.file: lesson.start.read_bytes() for lesson in LESSONS}
    files |= {f"lessons/{lesson.folder.name}.md": lesson.text.encode() for lesson in LESSONS}
    files["README.md"] = README.format(rows="\n".join(map(_row, LESSONS))).encode()
    written = [name for name in files if not (path / name).exists()]
    try:
        (path / "lessons").mkdir(parents=True, exist_ok=True)
        for name in written:
            write_atomic(path / name, files[name])
    except OSError as error:
        raise LessonError(f"{path} cannot be written to: {error.strerror or error}.") from None
    if PROGRESS not in inside:
        Folder(path, {}, {}).save()
    return load(path), written


def _row(lesson: Lesson) -> str:
    return f"| {lesson.number} {lesson.title} | `{lesson.file}` | {lesson.minutes} |"


def load(path: Path) -> Folder:
    """The learner's folder at `path`; missing or damaged: LessonError."""
    file = path / PROGRESS
    again = f"babypoet learn start {path}"
    if not file.is_file():
        raise LessonError(f"{path} is no course folder: there is no {PROGRESS} in it. Try: {again}")
    try:
        progress: Any = json.loads(file.read_text(encoding="utf-8"))
        number = progress["format"]
        hints, passed = dict(progress["hints"]), dict(progress["passed"])
        if not all(isinstance(n, int) for n in (number, *hints.values())):
            raise ValueError
        if not all(isinstance(sha, str) for sha in passed.values()):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError):
        raise LessonError(
            f"{file} is damaged. Delete it and type: {again}\n"
            "What you wrote stays as it is; only which hints you saw is forgotten."
        ) from None
    if number > FORMAT:
        raise LessonError(
            f"{file} has format {number}; this babypoet reads up to {FORMAT}. Update it: "
            "pip install --upgrade babypoet."
        )
    return Folder(path, hints, passed)


def find_folder(given: Path | None) -> Folder:
    """The folder that was given, else the one we are in, or a parent of it."""
    if given is not None:
        return load(given)
    here = Path.cwd()
    for path in (here, *here.parents):
        if (path / PROGRESS).is_file() and (path / LESSONS[0].file).is_file():
            return load(path)
    raise LessonError(
        "This is no course folder. Begin with: babypoet learn start my-llm\n"
        "If you have one, go into it (cd my-llm), or name it: --folder my-llm"
    )
