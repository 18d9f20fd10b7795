"""The lessons, as they lie in the folders of `lessons/`: `04_softmax/` is lesson 4.

    >>> [lesson.number for lesson in LESSONS] == sorted(lesson.number for lesson in LESSONS)
    True

A lesson is five files: `lesson.md` to read, `start.py` that the learner fills in, `solution.py`,
`hints.md` and `checks.py`. The last lesson is written in words: its `start.md` becomes
`explain.md`. Nothing here runs any of them."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from babypoet.errors import LessonError

HERE = Path(__file__).resolve().parent / "lessons"
MODULE = re.compile(r"l\d\d_\w+")


@dataclass(frozen=True)
class Lesson:
    """One lesson."""

    folder: Path

    @property
    def number(self) -> int:
        """4 of `04_softmax`."""
        return int(self.folder.name[:2])

    @property
    def name(self) -> str:
        """softmax of `04_softmax`."""
        return self.folder.name[3:]

    @property
    def in_words(self) -> bool:
        """Whether the learner writes sentences, not code."""
        return (self.folder / "start.md").exists()

    @property
    def module(self) -> str:
        """The name the learner's file is imported by: l04_softmax."""
        return f"l{self.folder.name}"

    @property
    def file(self) -> str:
        """The learner's file: l04_softmax.py."""
        return "explain.md" if self.in_words else f"{self.module}.py"

    def _part(self, stem: str) -> Path:
        return self.folder / f"{stem}.{'md' if self.in_words else 'py'}"

    @property
    def start(self) -> Path:
        """What the learner gets."""
        return self._part("start")

    @property
    def solution(self) -> Path:
        """The reference."""
        return self._part("solution")

    @property
    def checks(self) -> Path:
        """What is asked of the learner's file."""
        return self.folder / "checks.py"

    @cached_property
    def text(self) -> str:
        """lesson.md."""
        return (self.folder / "lesson.md").read_text(encoding="utf-8")

    @property
    def title(self) -> str:
        """The first heading."""
        found = re.search(r"^# (.+)$", self.text, re.MULTILINE)
        return found[1].strip() if found else self.name

    @property
    def minutes(self) -> int:
        """How long it takes, by its own account."""
        found = re.search(r"^minutes: *(\d+)", self.text, re.MULTILINE)
        return int(found[1]) if found else 0

    @property
    def hints(self) -> list[str]:
        """From a nudge to a worked derivation."""
        text = (self.folder / "hints.md").read_text(encoding="utf-8")
        return [hint.strip() for hint in re.split(r"^## *\d+.*$", text, flags=re.MULTILINE)[1:]]

    @property
    def in_our_code(self) -> str:
        """What the lesson says of where the same thing stands in babypoet, or nothing."""
        found = re.search(
            r"^##[^\n]*in our code[^\n]*\n(.*?)(?=^## |\Z)",
            self.text,
            re.MULTILINE | re.DOTALL | re.IGNORECASE,
        )
        return found[1].strip() if found else ""


def find_lessons(folder: Path) -> tuple[Lesson, ...]:
    """The lessons in a folder, in order."""
    found = sorted({start.parent for start in folder.glob("[0-9][0-9]_*/start.*")})
    return tuple(map(Lesson, found))


LESSONS = find_lessons(HERE)


def find(which: str) -> Lesson:
    """The lesson a learner means by "4", "04", "l04", "softmax" or "l04_softmax.py".

    >>> find("99")
    Traceback (most recent call last):
    babypoet.errors.LessonError: There is no lesson '99'. The lessons are 1 to 17; ...
    """
    said = Path(which).name.lower().removesuffix(".py").removesuffix(".md")
    for lesson in LESSONS:
        number = re.fullmatch(r"l?0*(\d+)", said)
        if number and int(number[1]) == lesson.number:
            return lesson
        if said in (lesson.name, lesson.module, lesson.folder.name, Path(lesson.file).stem):
            return lesson
    raise LessonError(
        f"There is no lesson {which!r}. The lessons are 1 to 17; give a number, like 4, or a "
        "name, like softmax."
    )
