"""The course in words, for the terminal: where you are, what a check found, a hint, our answer.

Everything returns text; what comes from a learner's file is made harmless for the terminal."""

import contextlib
import re
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from babypoet.course import guard
from babypoet.course.checking import Outcome, Problem, asked_of
from babypoet.course.folder import Folder, digest
from babypoet.course.guard import Verdict
from babypoet.course.lessons import LESSONS, Lesson
from babypoet.errors import LessonError
from babypoet.terminal import columns, printable

POLL_SECONDS = 0.3
PRINTED_LINES = 10


# --- where you are --------------------------------------------------------------------------------


def whereabouts(folder: Folder) -> str:
    """All lessons, which passed, how long the rest takes, and what to do now."""
    states = {lesson.number: folder.state(lesson) for lesson in LESSONS}
    current = folder.current()
    left = sum(lesson.minutes for lesson in LESSONS if states[lesson.number] != "passed")
    done = sum(state == "passed" for state in states.values())
    others = f"; the others take {hours(left)}" if left else ""
    lines = [f"{done} of {len(LESSONS)} lessons passed{others}.", ""]
    for lesson in LESSONS:
        mark = {"passed": "✓", "changed": "~", "open": " "}[states[lesson.number]]
        mark = "▶" if lesson == current and mark == " " else mark
        title = textwrap.shorten(lesson.title, 52, placeholder=" ...")
        lines.append(f"  {mark} {lesson.number:2}  {title:52} {lesson.minutes:4} min")
    if "changed" in states.values():
        lines += ["", "  ~ passed, and was changed since"]
    return "\n".join([*lines, "", *_now(folder, current)])


def hours(minutes: int) -> str:
    """A stretch of time, roughly.

    >>> hours(45), hours(90), hours(60)
    ('45 minutes', '1.5 hours', '1 hour')
    """
    if minutes < 60:
        return f"{minutes} minutes"
    rounded = round(minutes / 30) / 2
    return f"{rounded:g} hour{'' if rounded == 1 else 's'}"


def _now(folder: Folder, lesson: Lesson | None) -> list[str]:
    if lesson is None:
        return ["You have built it all.", *_next("babypoet learn run")]
    read = folder.path / "lessons" / f"{lesson.folder.name}.md"
    seen = folder.hints_seen(lesson)
    return [
        f"Read:  {_shown(read)}",
        f"Write: {_shown(folder.file(lesson))}",
        *_next(
            "babypoet learn check",
            f"babypoet learn hint      ({seen} of {len(lesson.hints)} seen)",
        ),
    ]


def _shown(path: Path) -> str:
    """A path as one would type it from here."""
    try:
        return path.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)


def _next(*commands: str) -> list[str]:
    return [f"{'Next:' if i == 0 else '':7}{command}" for i, command in enumerate(commands)]


def started(folder: Folder, written: list[str]) -> str:
    """What `learn start` made."""
    mine = [name for name in written if not name.startswith("lessons/")]
    made = (
        f"{len(mine)} files for you to fill in" if len(mine) > 2 else ", ".join(mine) or "nothing"
    )
    total = sum(lesson.minutes for lesson in LESSONS)
    if len(mine) < len(LESSONS):
        lines = [f"{folder.path} was there already; new in it: {made}. Nothing was overwritten."]
    else:
        lines = [
            f"{folder.path} is ready: {len(LESSONS)} lessons, {hours(total)} in all.",
            f"Begin with lessons/{LESSONS[0].folder.name}.md and {LESSONS[0].file}.",
        ]
    return "\n".join(lines + _next(f"cd {folder.path}", "babypoet learn check --watch"))


# --- a check --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Checked:
    """A lesson's verdict, whether that was new, and why it was not a later lesson's turn."""

    lesson: Lesson
    verdict: Verdict
    first_time: bool = False
    why_back: str = ""


def check(folder: Folder, lesson: Lesson, seconds: float | None = None) -> Checked:
    """Check a lesson's file and remember it if it passed."""
    before = digest(folder.file(lesson))
    new = folder.state(lesson) != "passed"
    why = why_back(folder, lesson)
    verdict = guard.check(lesson, folder.path, seconds)
    if verdict.passed:
        folder.remember_passed(lesson, before)
    else:
        folder.remember_failed(lesson)
    return Checked(lesson, verdict, new, why)


def why_back(folder: Folder, lesson: Lesson) -> str:
    """Why a lesson comes first though later ones have passed; empty where none has."""
    later = [each for each in LESSONS if each.number > lesson.number]
    if lesson != folder.current() or all(folder.state(each) == "open" for each in later):
        return ""
    if folder.state(lesson) == "changed":
        return f"{lesson.file} was changed since it passed, so lesson {lesson.number} comes first."
    return f"Lesson {lesson.number} does not pass, and later ones have: it comes first."


def recheck(folder: Folder, numbers: Iterable[int]) -> Iterator[str]:
    """Check those of the lessons that passed and were changed since; yields what came of it."""
    for lesson in LESSONS:
        if lesson.number in numbers and folder.state(lesson) == "changed":
            passed = check(folder, lesson).verdict.passed
            result = "it still passes" if passed else "it no longer passes"
            yield f"{lesson.file} was changed since it passed; checked again, {result}"


def told(folder: Folder, checked: Checked) -> str:
    """What a check found."""
    lesson, verdict = checked.lesson, checked.verdict
    blocks = [f"Lesson {lesson.number}: {lesson.title} ({lesson.file}, {verdict.seconds:.1f} s)"]
    if checked.why_back:
        blocks.insert(0, _filled(checked.why_back))
    if verdict.problem is None or verdict.outcomes:
        blocks.append("\n".join(_marks(lesson, verdict)))
    blocks += _trouble(verdict)
    if any(o.problem and o.problem.kind != "unwritten" for o in verdict.outcomes):
        blocks += _unsure(folder, lesson)
    if verdict.printed.strip():
        blocks.append("Your file printed:\n" + _indented(_first_lines(verdict.printed)))
    if verdict.passed and verdict.reward:
        blocks.append(verdict.reward.strip("\n"))
    blocks += [_filled(note) for note in verdict.notes]
    blocks.append("\n".join(_after(folder, checked)))
    return printable("\n\n".join(blocks))


def _marks(lesson: Lesson, verdict: Verdict) -> Iterator[str]:
    """A line for each function: passed, failed, not written, not reached."""
    asked = [a.name for a in asked_of(lesson.start)] or [""]
    shown = {name: name or lesson.file for name in asked}
    wide = max(map(len, shown.values()))
    for name in asked:
        outcomes = [o for o in verdict.outcomes if o.function == name]
        total = verdict.planned.get(name, len(outcomes))
        good = sum(o.problem is None for o in outcomes)
        problem = next((o.problem for o in outcomes if o.problem), None)
        if problem and problem.kind == "unwritten":
            mark, said = "·", "not written yet"
        elif problem:
            mark, said = "✗", f"fails at check {good + 1} of {total}"
        elif verdict.during and verdict.during["function"] == name:
            mark, said = "✗", f"stopped at check {good + 1} of {total}"
        elif good < total:
            mark, said = "·", "not reached"
        else:
            mark, said = "✓", f"{total} check{'' if total == 1 else 's'}"
        yield f"  {mark} {shown[name]:{wide}}  {said}".rstrip()


def _trouble(verdict: Verdict) -> Iterator[str]:
    """What is wrong: the first failing check of a function that was written, else what ended the
    checks, else the first that is not written."""
    failed = [o for o in verdict.outcomes if o.problem]
    wrong = [o for o in failed if o.problem and o.problem.kind != "unwritten"]
    if wrong:
        yield from _failure(wrong[0])
        if verdict.problem:
            at = f" at {verdict.during['function']}" if verdict.during else ""
            yield _filled(f"Later the checks were ended{at}. {verdict.problem.says}")
    elif verdict.problem:
        if during := verdict.during:
            yield _asked(during["function"], during["what"], during["shown"])
        yield from _problem(verdict.problem)
    elif failed:
        yield from _failure(failed[0])


def _unsure(folder: Folder, lesson: Lesson) -> Iterator[str]:
    """Which earlier lessons the file imports that do not pass as they stand: look there first."""
    found: set[Lesson] = set()
    files = [folder.file(lesson)]
    for file in files:
        with contextlib.suppress(OSError, ValueError):
            text = file.read_text(encoding="utf-8-sig")
            for earlier in LESSONS:
                used = re.search(rf"^\s*(from|import)\s+{earlier.module}\b", text, re.MULTILINE)
                if used and earlier not in (lesson, *found):
                    found.add(earlier)
                    files.append(folder.file(earlier))
    for earlier in sorted(found, key=lambda earlier: earlier.number):
        if (state := folder.state(earlier)) != "passed":
            why = "was changed since it passed" if state == "changed" else "has not passed"
            yield _filled(
                f"{earlier.file}, which is imported here, {why}. The cause may lie there, so "
                f"check it first: babypoet learn check {earlier.number}"
            )


def _failure(outcome: Outcome) -> Iterator[str]:
    assert outcome.problem
    if outcome.problem.kind == "unwritten":
        yield _filled(f"{outcome.function} is not written yet. What is asked first:")
    yield _asked(outcome.function, outcome.what, outcome.shown)
    if outcome.problem.kind != "unwritten":
        yield from _problem(outcome.problem)
    if outcome.by_hand:
        yield "By hand:\n" + _indented(_folded(outcome.by_hand.strip("\n")))


def _asked(function: str, what: str, shown: str) -> str:
    return _filled(f"{function}: {what}" if function else what) + "\n" + _indented(shown)


def _problem(problem: Problem) -> Iterator[str]:
    yield _filled(problem.says, "  ")
    if problem.line:
        here = f"  {problem.file}, line {problem.line}"
        yield here + (":\n" + _indented(problem.source) if problem.source else "")


def _after(folder: Folder, checked: Checked) -> list[str]:
    lesson = checked.lesson
    if not checked.verdict.passed:
        seen, total = folder.hints_seen(lesson), len(lesson.hints)
        if seen < total:
            return _next(f"babypoet learn hint {lesson.number}      ({seen} of {total} seen)")
        return _next(f"babypoet learn show {lesson.number}      (all {total} hints seen)")
    done = sum(folder.state(each) == "passed" for each in LESSONS)
    lines = [f"Passed. {done} of {len(LESSONS)} lessons."]
    if (following := folder.current()) is None:
        return [*lines, *_next("babypoet learn run")]
    page = _shown(folder.path / "lessons" / f"{following.folder.name}.md")
    lines += _next(
        f"lesson {following.number}, {following.title} ({following.minutes} min): {page}"
    )
    if lesson.number in (3, 8, 9, 12, 16):
        lines.append(f"{'':7}babypoet learn run       to see what you have built at work")
    return lines


def _filled(text: str, indent: str = "") -> str:
    return "\n".join(
        textwrap.fill(
            line, min(columns(), 88), initial_indent=indent, subsequent_indent=indent,
            break_on_hyphens=False, break_long_words=False,
        )
        for line in text.splitlines()
    )  # fmt: skip


def _folded(text: str) -> str:
    """A text whose long lines are broken; the short ones, often columns of numbers, stay."""
    width = min(columns(), 88) - 4
    return "\n".join(
        line
        if len(line) <= width
        else textwrap.fill(line, width, break_on_hyphens=False, break_long_words=False)
        for line in text.splitlines()
    )


def _indented(text: str) -> str:
    return textwrap.indent(text, "    ", lambda line: True)


def _first_lines(text: str) -> str:
    width = columns() - 8
    lines = text.rstrip().splitlines()
    shown = [line if len(line) <= width else line[: width - 4] + " ..." for line in lines]
    if len(lines) <= PRINTED_LINES:
        return "\n".join(shown)
    more = len(lines) - PRINTED_LINES
    return "\n".join([*shown[:PRINTED_LINES], f"... and {more:,} more lines"])


def watch(
    folder: Folder, which: Lesson | None, seconds: float | None, say: Callable[[str], None]
) -> None:
    """Check whenever a file is saved, until Ctrl-C. Without `which`: go on to the next lesson
    when one passes. Times are asked for, not told by the system, so that it works on every disk."""
    while True:
        lesson = which or folder.current()
        if lesson is None:
            say("\n".join(_now(folder, None)))
            return
        seen = _times(folder)
        say(told(folder, checked := check(folder, lesson, seconds)))
        if checked.verdict.passed and which is None:
            if folder.current() is not None:
                say("")
            if folder.current() in (lesson, None):
                continue
        say(f"\nwaiting for {(which or folder.current() or lesson).file} (Ctrl-C ends)")
        while _times(folder) == seen:
            time.sleep(POLL_SECONDS)


def _times(folder: Folder) -> dict[str, int]:
    """When each of the learner's files was last changed."""
    found = {}
    for lesson in LESSONS:
        try:
            found[lesson.file] = folder.file(lesson).stat().st_mtime_ns
        except OSError:  # an editor may be just replacing it
            found[lesson.file] = 0
    return found


# --- hints and our answer -------------------------------------------------------------------------


def hint(folder: Folder, lesson: Lesson) -> str:
    """The next hint, remembered as seen; after the last one, all were."""
    hints, seen = lesson.hints, folder.hints_seen(lesson)
    if seen == len(hints):
        again = f"You have seen all {seen} hints of lesson {lesson.number}; this is the last again."
        return "\n\n".join(
            [again, reflowed(hints[-1]), *_next(f"babypoet learn show {lesson.number}")]
        )
    folder.remember_hint(lesson, seen + 1)
    after = "learn show" if seen + 1 == len(hints) else "learn hint"
    return "\n\n".join(
        [
            f"Lesson {lesson.number}: {lesson.title}. Hint {seen + 1} of {len(hints)}.",
            reflowed(hints[seen]),
            "\n".join(_next(f"babypoet learn check {lesson.number}",
                            f"babypoet {after} {lesson.number}")),
        ]
    )  # fmt: skip


def answer(folder: Folder, lesson: Lesson) -> str:
    """Our answer, once all hints were seen; before that, LessonError with how many are left."""
    left = len(lesson.hints) - folder.hints_seen(lesson)
    if left and folder.state(lesson) != "passed":
        raise LessonError(
            f"Our answer comes after the hints, and {left} of {len(lesson.hints)} "
            f"{'is' if left == 1 else 'are'} unread: babypoet learn hint {lesson.number}"
        )
    parts = [
        f"Lesson {lesson.number}: {lesson.title}. Our answer:",
        _indented(lesson.solution.read_text(encoding="utf-8").rstrip()),
    ]
    if lesson.in_our_code:
        parts += ["In our code:", reflowed(lesson.in_our_code)]
    return "\n\n".join(parts)


def reflowed(markdown: str) -> str:
    """Markdown as it is, with its paragraphs filled to the width of the terminal."""
    blocks = re.split(r"(^```.*?^```[^\n]*$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(
        _indented("\n".join(block.splitlines()[1:-1]))
        if block.startswith("```")
        else "\n\n".join(map(_paragraph, block.split("\n\n")))
        for block in blocks
    )


def _paragraph(text: str) -> str:
    if re.search(r"^( {4}|[-*|>#]|\d+\. )", text, re.MULTILINE):
        return text
    filled = _filled(" ".join(text.split()))
    lead = re.match(r"\n*", text)
    tail = re.search(r"\n*\Z", text)
    return f"{lead[0] if lead else ''}{filled}{tail[0] if tail and filled else ''}"
