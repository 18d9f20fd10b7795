"""What a lesson asks, and what a learner's file answers, compared in this process.

    python -m babypoet.course.checking 4 path/to/l04_softmax.py

A lesson's `checks.py` holds a list of `Check`s. Each runs on the learner's module and on ours; same
results pass. Where they differ, a known `Mistake` that gives just their result speaks, else
`differences.compare` does.

Here a learner's file is run as it is, with no limits: `guard` puts a process with limits around
it. What cannot be survived in one process (an endless loop, an exit) is not this module's task."""

import ast
import contextlib
import functools
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import linecache
import random
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, FunctionType, ModuleType
from typing import Any, NoReturn

import numpy as np

from babypoet.course.differences import (
    as_numpy,
    compare,
    is_array,
    same,
    shape_text,
    type_name,
)
from babypoet.course.lessons import LESSONS, MODULE, Lesson, find
from babypoet.course.remedies import remedy

__all__ = ["Check", "Mistake", "Misuse", "Outcome", "Problem", "compare", "load", "run_checks"]


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that people really give."""

    says: str
    """Names the mistake and the way out, to "you"."""
    gives: Callable[[Any], Any]
    """gives(right_module) -> what that mistake would give for this check's inputs."""


@dataclass(frozen=True)
class Check:
    """One thing that is asked of a learner's file."""

    what: str
    """What is asked, as one sentence."""
    call: Callable[[Any], Any]
    """call(module) -> a result, run on their module and on the solution."""
    shown: str
    """The call as the learner would type it."""
    by_hand: str = ""
    """The smallest example worked out by hand."""
    mistakes: tuple[Mistake, ...] = ()
    """Where their result is what a mistake gives, the mistake speaks."""
    tolerance: float = 1e-5
    """How far numbers may lie apart, absolutely and relatively."""
    verify: Callable[[Any], str | None] | None = None
    """In place of comparing with the solution: None if the result is right, else what is wrong."""
    slow: bool = False
    """Whether it takes more than a second or two."""


@dataclass(frozen=True)
class Problem:
    """Why a file, or a check, did not get through."""

    says: str
    """In plain words."""
    kind: str = "wrong"
    """wrong, unwritten (still NotImplementedError), raised, or file (it cannot be run at all)."""
    file: str = ""
    """The name of the learner's file in which it happened, if it is known."""
    line: int = 0
    """Its line, from 1; 0 if there is none."""
    source: str = ""
    """What stands there; of a syntax error with a caret below."""


@dataclass(frozen=True)
class Outcome:
    """What became of one check."""

    function: str
    what: str
    shown: str
    by_hand: str
    problem: Problem | None
    seconds: float = 0.0


class Stopped(Exception):
    """A learner's file or function could not be run; the problem says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.says)
        self.problem = problem


class Misuse(Exception):
    """What a lesson's own model says of how a learner's code called it: said as it is."""


# --- loading files --------------------------------------------------------------------------------


class _Solutions(importlib.abc.MetaPathFinder):
    """Finds `l04_softmax` in the solutions, for whoever imports an earlier lesson."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        for lesson in LESSONS:
            if lesson.module == name and not lesson.in_words:
                return importlib.util.spec_from_file_location(name, lesson.solution)
        return None


@contextlib.contextmanager
def lesson_imports(folder: Path | None) -> Iterator[None]:
    """Inside, `from l04_softmax import softmax` finds the file in `folder`, or, with None, the
    solution. What was imported so is forgotten afterwards."""
    finder = _Solutions()
    forget_lessons()
    bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    if folder is None:
        sys.meta_path.insert(0, finder)
    else:
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if folder is None:
            sys.meta_path.remove(finder)
        else:
            with contextlib.suppress(ValueError):
                sys.path.remove(str(folder))
        forget_lessons()
        sys.dont_write_bytecode = bytecode


def forget_lessons() -> None:
    """Forget the lessons' files that were imported: the next import reads them anew."""
    for name in [name for name in sys.modules if MODULE.fullmatch(name)]:
        del sys.modules[name]


def read_source(path: Path) -> str:
    """The text of a learner's file; Stopped where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise Stopped(Problem(f"{path.name} is not there.", "file", path.name)) from None
    except UnicodeDecodeError as error:
        at = path.read_bytes()[: error.start].count(b"\n") + 1
        raise Stopped(
            Problem(
                f"{path.name} is not UTF-8 text: line {at} holds a byte that is none. In your "
                "editor choose “save with encoding UTF-8”.",
                "file",
                path.name,
                at,
            )
        ) from None
    except OSError as error:
        said = f"{path.name} cannot be read: {error.strerror or error}."
        raise Stopped(Problem(said, "file", path.name)) from None


def load(path: Path, name: str, folder: Path) -> Any:
    """Run a learner's file and return its module; Stopped where that fails.

    A file that is not Python, the explanation, is returned as its text."""
    text = read_source(path)
    if path.suffix != ".py":
        return text
    module = ModuleType(name)
    module.__file__ = str(path)
    linecache.checkcache(str(path))
    try:
        code = compile(text, str(path), "exec", dont_inherit=True)
        sys.modules[name] = module
        exec(code, module.__dict__)
    except BaseException as error:
        raise Stopped(explain(error, folder)) from None
    return module


@functools.cache
def _module_of(path: Path, name: str) -> Any:
    with lesson_imports(None):
        return load(path, name, path.parent)


def load_solution(lesson: Lesson) -> Any:
    """Our answer to a lesson, as a module."""
    return _module_of(lesson.solution, lesson.module)


def load_checks(lesson: Lesson) -> Any:
    """The module with a lesson's CHECKS and its reward."""
    return _module_of(lesson.checks, f"checks_{lesson.module}")


# --- exceptions in plain words --------------------------------------------------------------------


def explain(error: BaseException, folder: Path) -> Problem:
    """What an exception from a learner's code says, and where in their files it happened."""
    if isinstance(error, SyntaxError):
        return _explain_syntax(error)
    file, line = _their_line(error, folder)
    source = linecache.getline(str(folder / file), line).rstrip() if line else ""
    kind = "raised"
    if isinstance(error, NotImplementedError):
        kind = "unwritten"
    return Problem(_words(error), kind, file, line, source)


def _explain_syntax(error: SyntaxError) -> Problem:
    file, line = Path(error.filename or "the file").name, error.lineno or 0
    text = (error.text or linecache.getline(error.filename or "", line)).rstrip()
    caret = ""
    if error.offset and text:
        before = text[: max(0, error.offset - 1)]
        caret = "\n" + "".join("\t" if c == "\t" else " " for c in before) + "^"
    what = error.msg or "this is not Python"
    way_out = "" if "forgot" in what.lower() or "perhaps" in what.lower() else _syntax_remedy(error)
    return Problem(f"Python cannot read {file}: {what}.{way_out}", "file", file, line, text + caret)


def _syntax_remedy(error: SyntaxError) -> str:
    if isinstance(error, TabError):
        return " Use spaces only, four for each step inwards."
    if isinstance(error, IndentationError) and "unexpected indent" in (error.msg or ""):
        return " It stands further in than the line before, which opens no block (with a colon)."
    if isinstance(error, IndentationError):
        return " The lines of a block must begin in the same column, four spaces further in."
    return " The mistake may also be at the end of the line before."


def _their_line(error: BaseException, folder: Path) -> tuple[str, int]:
    """The innermost of the learner's lines that an exception went through: (file name, line)."""
    found = ("", 0)
    home = folder.resolve()
    for frame, line in traceback.walk_tb(error.__traceback__):
        if (name := _their_file(frame, home)) and line:
            found = (name, line)
    return found


def _their_file(frame: FrameType, home: Path) -> str:
    path = Path(frame.f_code.co_filename)
    return path.name if path.is_absolute() and path.parent.resolve() == home else ""


def their_place(frame: FrameType | None, folder: Path) -> tuple[str, int, str]:
    """Which of the learner's lines a frame is in, or was called from: (file, line, source)."""
    home = folder.resolve()
    while frame:
        if name := _their_file(frame, home):
            line = frame.f_lineno
            return name, line, linecache.getline(str(home / name), line).rstrip()
        frame = frame.f_back
    return "", 0, ""


def _words(error: BaseException) -> str:
    message = _first_lines(error)
    name = type(error).__name__
    if isinstance(error, NotImplementedError):
        return "Not written yet."
    if isinstance(error, Misuse):
        return message
    if isinstance(error, RecursionError):
        return "It calls itself without end (RecursionError). Which call should have stopped?"
    if isinstance(error, PermissionError) and message.startswith("a lesson's file may not"):
        return f"{message[0].upper()}{message[1:]}. It was refused."
    if isinstance(error, MemoryError) or "can't allocate memory" in message:
        return "It asked for more memory than it may have. Is something growing in a loop?"
    if isinstance(error, SystemExit):
        return "It ended the program (exit or quit). A lesson's file should not do that."
    if isinstance(error, KeyboardInterrupt):
        return "It raised KeyboardInterrupt."
    if isinstance(error, EOFError):
        return "It waits for typing (input()), and nobody is there. Work with what is passed in."
    if isinstance(error, ModuleNotFoundError):
        if MODULE.fullmatch(error.name or ""):
            return f"It imports {error.name}, but there is no {error.name}.py in your folder."
        return (
            f"It imports {error.name!r}, and Python finds no such module here. The lessons need "
            "only what the file imported when you got it."
        )
    if type(error) is ImportError and MODULE.fullmatch(error.name or ""):
        return f"{name}: {message.split(' (')[0]}. Was it renamed, or not written yet?"
    if not message:
        return f"It raised {name}."
    if said := remedy(message):
        return f"It raised {name}: {message.rstrip('.')}. {said}"
    return f"It raised {name}: {message}"


def _first_lines(error: BaseException) -> str:
    try:
        message = " ".join(str(error).split())
    except Exception:
        return ""
    return message if len(message) <= 300 else message[:296] + " ..."


# --- what start.py says the file should hold ------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """A function or class that a lesson asks for, with the parameters of each of its functions."""

    name: str
    is_class: bool
    parameters: dict[str, list[str]] = field(default_factory=dict)

    def typed(self) -> str:
        """How it is called: softmax(x)."""
        inside = self.parameters.get("__init__" if self.is_class else "", [])
        return f"{self.name}({', '.join(p for p in inside if p != 'self')})"


@functools.cache
def asked_of(path: Path) -> list[Asked]:
    """The public functions and classes of a file, in order, without running it."""
    if path.suffix != ".py":
        return []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            found.append(Asked(node.name, False, {"": _parameters(node)}))
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            methods = {
                inner.name: _parameters(inner)
                for inner in node.body
                if isinstance(inner, ast.FunctionDef)
            }
            found.append(Asked(node.name, True, methods))
    return found


def _parameters(node: ast.FunctionDef) -> list[str]:
    return [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]


def missing_or_changed(module: Any, asked: Asked) -> Problem | None:
    """Whether a name is there, is what it should be, and takes what it should take."""
    kind = "class" if asked.is_class else "function"
    if not hasattr(module, asked.name):
        return Problem(f"There is no {kind} `{asked.name}` in the file. It is asked for by name.")
    theirs = getattr(module, asked.name)
    if asked.is_class and not isinstance(theirs, type):
        return Problem(f"`{asked.name}` should be a class; it is {type_name(theirs)}.")
    if not callable(theirs) or (not asked.is_class and isinstance(theirs, type)):
        return Problem(f"`{asked.name}` should be a function; it is {type_name(theirs)}.")
    for method, wanted in asked.parameters.items():
        if method.startswith("_") and method != "__init__":
            continue
        their_function = getattr(theirs, method, None) if method else theirs
        called = f"{asked.name}.{method}" if method else asked.name
        if their_function is None:
            return Problem(f"The class `{asked.name}` has no `{method}`. It is asked for by name.")
        if said := _signature(called, their_function, wanted):
            return said
    return None


def _signature(called: str, function: Any, wanted: list[str]) -> Problem | None:
    try:
        theirs = inspect.signature(function).parameters
    except (TypeError, ValueError):  # something built in, or wrapped beyond recognition
        return None
    plain = [p.name for p in theirs.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if len(plain) < len(theirs):  # *args takes anything
        return None
    required = [p.name for p in theirs.values() if p.default is p.empty]
    missing = [name for name in wanted if name not in plain]
    extra = [name for name in required if name not in wanted]
    if missing and extra:
        what = f"{_listed(missing)} is not there, and {_listed(extra)} is not asked for"
    elif missing:
        what = f"{_listed(missing)} is missing"
    elif extra:
        what = f"{_listed(extra)} is not asked for; give it a default, or leave it out"
    elif [name for name in plain if name in wanted] != wanted:
        what = "their order is another"
    else:
        return None
    without_self = [name for name in wanted if name != "self"]
    given = [name for name in plain if name != "self"]
    code = getattr(function, "__code__", None)
    return Problem(
        f"`{called}` should take ({', '.join(without_self)}); yours takes "
        f"({', '.join(given)}): {what}.",
        file=Path(code.co_filename).name if code else "",
        line=code.co_firstlineno if code else 0,
    )


def _listed(names: list[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)


def function_of(check: Check, asked: list[Asked], used: Sequence[str] = ()) -> str:
    """Which of the functions asked for a check is about: the last of those its call names."""
    names = [a.name for a in asked]
    try:
        shown = {n.id for n in ast.walk(ast.parse(check.shown)) if isinstance(n, ast.Name)}
    except SyntaxError:
        shown = {name for name in names if name in check.shown}
    for candidates in (shown, set(used)):
        if found := [name for name in names if name in candidates]:
            return found[-1]
    return names[-1] if names else ""


# --- running a check ------------------------------------------------------------------------------


class Watched:
    """A learner's module whose functions are watched: do they change what they are given?"""

    def __init__(self, module: Any) -> None:
        self._module = module
        self.used: list[str] = []
        self.changed: list[str] = []

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        self.used.append(name)
        return self._watch(name, value) if isinstance(value, FunctionType) else value

    def _watch(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            given = [*enumerate(args), *kwargs.items()]
            before = [(where, value, _copied(value)) for where, value in given if _copies(value)]
            result = function(*args, **kwargs)
            for where, value, copy in before:
                if not same(value, copy, 0.0):
                    self.changed.append(f"{name}'s {_parameter_name(function, where)}")
            return result

        return watched


def _copies(value: Any) -> bool:
    return is_array(value) or (isinstance(value, list) and len(value) <= 100_000)


def _copied(value: Any) -> Any:
    return as_numpy(value).copy() if is_array(value) else list(value)


def _parameter_name(function: Callable[..., Any], where: object) -> str:
    names = list(inspect.signature(function).parameters)
    if isinstance(where, int):
        where = names[where] if where < len(names) else "input"
    return f"`{where}`"


def seed_everything() -> None:
    """The same random numbers for every check, for the learner's file and ours."""
    random.seed(0)
    np.random.seed(0)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


def _called(check: Check, module: Any) -> Any:
    seed_everything()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # what overflows is said once, by the comparison
        return check.call(module)


def run_check(check: Check, theirs: Any, solution: Any, folder: Path) -> Problem | None:
    """None where the learner's module passes a check, else what is wrong."""
    watched = theirs if isinstance(theirs, str) else Watched(theirs)
    try:
        result = _called(check, watched)
    except BaseException as error:
        return _raised(error, folder)
    ours = solution if isinstance(solution, str) else Watched(solution)
    right = _called(check, ours) if check.verify is None or check.mistakes else None
    said = _judged(check, result, right)
    if said is None and isinstance(watched, Watched) and isinstance(ours, Watched):
        if check.verify is not None and right is None:
            return None
        if changed := [what for what in watched.changed if what not in ours.changed]:
            return Problem(
                f"The result is right, but {changed[0]} was changed in place: whoever passed it in "
                "finds other numbers there. Work on a new one."
            )
        return None
    if said is None:
        return None
    for mistake in check.mistakes:
        given = _given(mistake, solution)
        if same(given, right, check.tolerance):  # here it does no harm, so it is not what is wrong
            continue
        if same(result, given, check.tolerance):
            return Problem(mistake.says)
    return Problem(said)


def _judged(check: Check, result: Any, right: Any) -> str | None:
    if check.verify is None:
        return compare(result, right, check.tolerance)
    try:
        return check.verify(result)
    except Exception as error:
        return (
            f"It gave {type_name(result)}{_shape_of(result)}, and that cannot be checked "
            f"({type(error).__name__}: {_first_lines(error)})."
        )


def _shape_of(value: Any) -> str:
    return f" of shape {shape_text(value.shape)}" if is_array(value) else ""


_NOTHING = object()


def _given(mistake: Mistake, solution: Any) -> Any:
    try:
        seed_everything()
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return mistake.gives(solution)
    except Exception:  # a mistake that cannot be made with these inputs was not made
        return _NOTHING


def _raised(error: BaseException, folder: Path) -> Problem:
    if isinstance(error, Stopped):
        return error.problem
    return explain(error, folder)


Report = Callable[[str, Any], None]


def _silent(event: str, what: Any) -> None:
    pass


def run_checks(
    lesson: Lesson, path: Path, folder: Path | None = None, report: Report = _silent
) -> list[Outcome]:
    """The outcome of every check of a lesson for a learner's file; Stopped if it cannot be run.

    After a function's first failure its other checks are left out. Earlier lessons are imported
    from `folder`, or, with None, from the solutions. `report("check", function)` is called before
    each check, and `report("outcome", outcome)` after it."""
    checks, solution = load_checks(lesson).CHECKS, load_solution(lesson)
    with lesson_imports(folder):
        report("loading", lesson.file)
        theirs = load(path, lesson.module, path.parent.resolve())
        return _outcomes(lesson, checks, theirs, solution, path.parent, report)


def _outcomes(
    lesson: Lesson,
    checks: Sequence[Check],
    theirs: Any,
    solution: Any,
    folder: Path,
    report: Report,
) -> list[Outcome]:
    asked = asked_of(lesson.start)
    changed = {a.name: missing_or_changed(theirs, a) for a in asked}
    failed: set[str] = set()
    found = []
    for check in checks:
        function = function_of(check, asked)
        if function in failed:
            continue
        report("check", {"function": function, "what": check.what, "shown": check.shown})
        started = time.perf_counter()
        problem = changed.get(function) or run_check(check, theirs, solution, folder)
        spent = time.perf_counter() - started
        outcome = Outcome(function, check.what, check.shown, check.by_hand, problem, spent)
        report("outcome", outcome)
        found.append(outcome)
        if problem:
            failed.add(function)
    return found


def reward(lesson: Lesson, path: Path, folder: Path | None = None) -> str:
    """What a lesson shows once all its checks pass, made with the learner's own code."""
    checks = load_checks(lesson)
    load_solution(lesson)
    with lesson_imports(folder):
        theirs = load(path, lesson.module, path.parent.resolve())
        seed_everything()
        return str(checks.reward(theirs))


# --- for the authors of lessons -------------------------------------------------------------------


def main(arguments: Sequence[str]) -> int:
    """Check one file against a lesson and say everything; earlier lessons are the solutions."""
    if len(arguments) not in (1, 2):
        _usage()
    lesson = find(arguments[0])
    path = Path(arguments[1]) if len(arguments) == 2 else lesson.solution
    try:
        outcomes = run_checks(lesson, path)
    except Stopped as stopped:
        print(stopped.problem)
        return 1
    for outcome in outcomes:
        mark = "✗" if outcome.problem else "✓"
        print(f"{mark} {outcome.function}: {outcome.what} ({outcome.seconds:.2f} s)")
        if problem := outcome.problem:
            print(f"    {outcome.shown}\n    {problem.says}")
            if problem.line:
                print(f"    {problem.file}, line {problem.line}: {problem.source}")
    for line in blunt_mistakes(lesson):
        print(f"! this mistake never gives another result: {line}")
    if all(outcome.problem is None for outcome in outcomes):
        print(f"\n{reward(lesson, path)}")
        return 0
    return 1


def blunt_mistakes(lesson: Lesson) -> list[str]:
    """The mistakes that in no check of the lesson give another result than the solution."""
    solution = load_solution(lesson)
    seen: dict[str, bool] = {}
    for check in load_checks(lesson).CHECKS:
        right = _called(check, solution) if check.mistakes else None
        for mistake in check.mistakes:
            given = _given(mistake, solution)
            bites = given is not _NOTHING and not same(given, right, check.tolerance)
            seen[mistake.says] = seen.get(mistake.says, False) or bites
    return [says for says, bites in seen.items() if not bites]


def _usage() -> NoReturn:
    sys.exit("usage: python -m babypoet.course.checking LESSON [FILE]")


if __name__ == "__main__":
    # as `babypoet.course.checking`, whose Check and Mistake the lessons import
    from babypoet.course import checking

    sys.exit(checking.main(sys.argv[1:]))
