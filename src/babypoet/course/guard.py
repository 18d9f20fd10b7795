"""A learner's file, run where it can do no harm: in a process of its own, with limits.

    verdict = check(lesson, folder)
    verdict.outcomes, verdict.problem, verdict.printed

The file may hold anything. An endless loop, an exit, a crash or a closed output ends the process,
never the one that asks. What each limit is made of:

    time     a thread in the process looks at the clock, says which line was running, and ends it;
             where that thread gets no turn, the parent ends it two seconds later
    memory   Linux: RLIMIT_DATA, at what the process holds before the file is read, plus `MEMORY`.
             Everywhere: the same thread watches how much memory is resident (getrusage on Linux
             and macOS, GetProcessMemoryInfo on Windows) and ends the process above the limit
    files    an audit hook (PEP 578) refuses to write, remove, rename or change anything outside the
             learner's folder
    others   the same hook refuses to start processes, to signal them, to open sockets, and to load
             libraries with ctypes

This keeps accidents in. It is no prison: Python that sets out to get past an audit hook can.

The answers come back as lines of JSON in a temporary file that was open before the learner's file
was read. What it prints goes another way, and is shown shortened."""

import contextlib
import functools
import importlib.abc
import importlib.machinery
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import IO, Any, NoReturn

from babypoet.course.checking import Outcome, Problem, Stopped
from babypoet.course.lessons import Lesson

SECONDS = 20.0  # for the checks of a lesson, and once more for its reward
SLOW_SECONDS = 30.0  # more, for each check that says it is slow
STARTING_SECONDS = 120.0  # to import what the lesson needs; a cold disk takes long over torch
MEMORY = 2 * 2**30  # bytes beyond what the process holds before the learner's file is read
KEPT = 20_000  # characters of what was printed
FLOOD = "Your file prints a great deal, and that takes its time: take the print out."


@dataclass(frozen=True)
class Verdict:
    """What became of a lesson's checks on a learner's file."""

    outcomes: list[Outcome]
    problem: Problem | None = None
    """Why not all checks were run, if they were not."""
    during: dict[str, str] | None = None
    """The check that was running then, if one was: function, what, shown."""
    reward: str = ""
    printed: str = ""
    """What the file printed, its beginning."""
    planned: dict[str, int] = field(default_factory=dict)
    """How many checks there are of each function."""
    notes: list[str] = field(default_factory=list)
    """What else is to be said, such as an attempt that was refused."""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether every check was run and passed."""
        return self.problem is None and all(o.problem is None for o in self.outcomes)


class Refused(PermissionError):
    """The learner's file tried what a lesson's file may not."""


# --- the parent's side ----------------------------------------------------------------------------


def check(lesson: Lesson, folder: Path, seconds: float | None = None) -> Verdict:
    """Run the checks of a lesson on the file in `folder`, in a process with limits."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="babypoet-", ignore_cleanup_errors=True) as scratch:
        answers = Path(scratch) / "answers"
        answers.touch()
        job = {
            "path": [entry for entry in sys.path if entry],
            "lesson": lesson.number,
            "folder": str(folder.resolve()),
            "answers": str(answers),
            "seconds": seconds,
        }
        with _started(job) as process, answers.open(encoding="utf-8") as lines:
            printed = _Printed(process.stdout)
            events, killed = _follow(process, lines)
        printed.finish()
    verdict = _verdict(events, process.returncode, killed, printed.text())
    return _with(verdict, seconds=time.perf_counter() - started)


def _with(verdict: Verdict, **changes: Any) -> Verdict:
    return Verdict(**{**vars(verdict), **changes})


@contextlib.contextmanager
def _started(job: dict[str, Any]) -> Iterator["subprocess.Popen[bytes]"]:
    """The process, alone in its session, so that Ctrl-C reaches only us; ended with the block."""
    bootstrap = (
        "import json, sys; job = json.loads(sys.argv[1]); sys.path[:] = job['path']; "
        "from babypoet.course.guard import child; child(job)"
    )
    process = subprocess.Popen(
        [sys.executable, "-I", "-B", "-X", "utf8", "-c", bootstrap, json.dumps(job)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=job["folder"],
        start_new_session=os.name != "nt",
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class _Printed:
    """Reads what a process prints, and keeps the beginning: an endless print costs no memory."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        assert pipe is not None
        self.pipe, self.kept, self.dropped = pipe, bytearray(), 0
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while piece := os.read(self.pipe.fileno(), 65536):
                room = max(0, KEPT - len(self.kept))
                self.kept += piece[:room]
                self.dropped += len(piece) - len(piece[:room])

    def finish(self) -> None:
        self.thread.join(timeout=5)
        with contextlib.suppress(OSError):
            self.pipe.close()

    def text(self) -> str:
        said = self.kept.decode(errors="replace").replace("\r\n", "\n")
        return said + (f"\n... and {self.dropped:,} bytes more" if self.dropped else "")


def _follow(process: "subprocess.Popen[bytes]", lines: IO[str]) -> tuple[list[Any], bool]:
    """Read the answers until the process ends, or has to be ended: (events, killed)."""
    events: list[Any] = []
    rest = ""
    deadline = time.monotonic() + STARTING_SECONDS
    while True:
        ended = process.poll() is not None
        rest += lines.read()
        *whole, rest = rest.split("\n")
        for line in whole:
            with contextlib.suppress(ValueError):
                name, what = json.loads(line)
                events.append((name, what))
                if name == "limit":  # its own clock comes first, and knows which line was running
                    deadline = time.monotonic() + what + 2
        if ended:
            return events, False
        if time.monotonic() > deadline:
            return events, True
        time.sleep(0.02)


def _verdict(events: list[Any], code: int, killed: bool, printed: str) -> Verdict:
    found: dict[str, Any] = {name: what for name, what in events}
    outcomes = [_outcome(what) for name, what in events if name == "outcome"]
    last = next((n for n, _ in reversed(events) if n in ("check", "outcome", "loading")), "")
    during = found["check"] if last == "check" and "end" not in found else None
    problem = None
    flood = len(printed) > KEPT
    if "stopped" in found and "passed" not in found:
        problem = Problem(**found["stopped"])
        if flood:
            problem = replace(problem, says=f"{problem.says} {FLOOD}")
    elif "end" not in found and "passed" not in found:
        problem = _ended(code, killed, found.get("limit", STARTING_SECONDS), printed, bool(events))
    notes = list(found.get("end", {}).get("notes", []))
    if "passed" in found and "end" not in found:
        notes.append(
            "Showing what you made did not come to an end. The lesson is passed all the same."
            + (f" {FLOOD}" if flood else "")
        )
    return Verdict(
        outcomes, problem, during, found.get("reward", ""), printed, found.get("plan", {}), notes
    )


def _outcome(what: dict[str, Any]) -> Outcome:
    problem = Problem(**what["problem"]) if what["problem"] else None
    return Outcome(**{**what, "problem": problem})


def _ended(code: int, killed: bool, limit: float, printed: str, started: bool) -> Problem:
    if not started:
        return Problem(
            "The checks could not be started. This is no fault of your file. Python said: "
            + (printed.strip().splitlines() or ["nothing"])[-1],
            "file",
        )
    if killed:
        return Problem(
            f"It was still running after {limit:g} seconds, and was stopped. Is there a loop that "
            "never ends, or a computation that is much too large?",
            "file",
        )
    if code < 0:
        name = signal.Signals(-code).name if -code in signal.valid_signals() else str(-code)
        likely = {
            "SIGSEGV": "Most likely functions call each other without end.",
            "SIGKILL": "Most likely the computer ran out of memory.",
            "SIGABRT": "Most likely there was no memory left.",
        }.get(name, "")
        return Problem(f"Python itself was ended in the midst of it ({name}). {likely}".strip())
    if os.name == "nt" and code & 0xFFFFFFFF in (0xC00000FD, 0xC0000005):
        return Problem("Python itself crashed. Most likely functions call each other without end.")
    return Problem(
        f"It ended the program in the midst of the checks (exit code {code}). Is there an "
        "os._exit, or does it close files, or replace parts of Python, that are not its own?"
    )


# --- the child's side -----------------------------------------------------------------------------


class _Answers:
    """Writes events for the parent; each in one write, so that threads do not mix."""

    def __init__(self, path: str) -> None:
        flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self.file = os.open(path, flags)
        self._write = os.write  # before the learner's file can put something in its place

    def tell(self, name: str, what: Any) -> None:
        if isinstance(what, (Outcome, Problem)):
            what = asdict(what)
        self._write(self.file, (json.dumps([name, what]) + "\n").encode())


def child(job: dict[str, Any]) -> NoReturn:
    """What the process does: check the file, tell the answers, end."""
    from babypoet.course import checking
    from babypoet.course.lessons import find

    exit_now = os._exit
    answers = _Answers(job["answers"])
    lesson, folder = find(str(job["lesson"])), Path(job["folder"])
    sys.argv = [lesson.file]
    checks = checking.load_checks(lesson).CHECKS
    checking.load_solution(lesson)
    seconds = job["seconds"] or SECONDS + SLOW_SECONDS * sum(check.slow for check in checks)
    before = threading.active_count() + 1
    warm_up()
    watch = _Watch(answers, folder, seconds, resident() + MEMORY)
    limit_memory()
    refused = install_hook(folder)
    watch.start()
    asked = checking.asked_of(lesson.start)
    functions = [checking.function_of(check, asked) for check in checks]
    answers.tell("plan", {name: functions.count(name) for name in functions})
    answers.tell("limit", seconds)
    code = 0
    try:
        outcomes = checking.run_checks(lesson, folder / lesson.file, folder, answers.tell)
        notes: list[str] = []
        if all(outcome.problem is None for outcome in outcomes):
            answers.tell("passed", True)
            watch.again(SECONDS + 40)
            answers.tell("limit", SECONDS + 40)
            try:
                answers.tell("reward", checking.reward(lesson, folder / lesson.file, folder))
            except BaseException as error:
                problem = error.problem if isinstance(error, Stopped) else None
                problem = problem or checking.explain(error, folder)
                notes.append(f"Showing what you made did not work: {problem.says}")
        if threading.active_count() > before:
            notes.append("Your file left a thread running; it was ended with the check.")
        if refused and not any("may not" in o.problem.says for o in outcomes if o.problem):
            notes.append(f"Your file tried to {refused[0]}, and that was refused.")
        answers.tell("end", {"notes": notes})
    except Stopped as stopped:
        answers.tell("stopped", stopped.problem)
    except BaseException as error:
        code = 4
        try:
            answers.tell("stopped", checking.explain(error, folder))
        except BaseException:  # it broke what we say it with
            exit_now(code)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # it closed them
        exit_now(code)
    exit_now(code)  # whatever threads or atexit functions are left


def warm_up() -> None:
    """Let torch import now what it would import with its first optimizer step, where files and
    libraries are still free to be opened."""
    if torch := sys.modules.get("torch"):
        weight = torch.nn.Parameter(torch.zeros(2, 2))
        optimizer = torch.optim.AdamW([weight])
        (weight @ weight).sum().backward()
        optimizer.step()


class _Watch(threading.Thread):
    """Ends the process when its time or its memory is used up, and says which line was running."""

    def __init__(self, answers: _Answers, folder: Path, seconds: float, memory: int) -> None:
        super().__init__(daemon=True)
        self.answers, self.folder, self.memory = answers, folder, memory
        self.main = threading.get_ident()
        self.exit, self.frames = os._exit, sys._current_frames
        self.clock, self.sleep = time.monotonic, time.sleep
        self.again(seconds)

    def again(self, seconds: float) -> None:
        """Start the clock anew."""
        self.seconds, self.deadline = seconds, self.clock() + seconds

    def run(self) -> None:
        while True:
            self.sleep(0.05)
            if self.clock() > self.deadline:
                self.end(
                    f"It was still running after {self.seconds:g} seconds, and was stopped. Is "
                    "there a loop that never ends?"
                )
            if resident() > self.memory:
                self.end(
                    f"It took more than {MEMORY / 2**30:g} GB of memory, and was stopped. Is "
                    "something growing in a loop, or far larger than it should be?"
                )

    def end(self, says: str) -> NoReturn:
        from babypoet.course.checking import their_place

        file, line, source = their_place(self.frames().get(self.main), self.folder)
        self.answers.tell("stopped", Problem(says, "stopped", file, line, source))
        self.exit(3)


# --- memory ---------------------------------------------------------------------------------------


def resident() -> int:
    """The most bytes of memory this process has had at once."""
    if sys.platform == "win32":
        return _windows_peak()
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@functools.cache
def _windows_counters() -> tuple[Any, Any, Callable[..., Any]]:
    import ctypes
    from ctypes import wintypes

    class Counters(ctypes.Structure):
        _fields_ = (
            ("cb", wintypes.DWORD),
            ("PageFaultCount", wintypes.DWORD),
            *(
                (name, ctypes.c_size_t)
                for name in (
                    *("PeakWorkingSetSize", "WorkingSetSize", "QuotaPeakPagedPoolUsage"),
                    *("QuotaPagedPoolUsage", "QuotaPeakNonPagedPoolUsage"),
                    *("QuotaNonPagedPoolUsage", "PagefileUsage", "PeakPagefileUsage"),
                )
            ),
        )

    kernel = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined,unused-ignore]
    kernel.GetCurrentProcess.restype = wintypes.HANDLE
    kernel.K32GetProcessMemoryInfo.argtypes = (
        wintypes.HANDLE,
        ctypes.POINTER(Counters),
        wintypes.DWORD,
    )
    counters = Counters()
    counters.cb = ctypes.sizeof(counters)
    return kernel.GetCurrentProcess(), counters, kernel.K32GetProcessMemoryInfo


def _windows_peak() -> int:
    import ctypes

    process, counters, ask = _windows_counters()
    ask(process, ctypes.byref(counters), counters.cb)
    return int(counters.PeakPagefileUsage)


def limit_memory() -> None:
    """On Linux, let the system refuse more than `MEMORY` beyond what is in use: then Python raises
    MemoryError in the learner's line, and goes on.

    RLIMIT_DATA counts what is private and writable. RLIMIT_AS would count reserved addresses too,
    of which torch's threads and CUDA take gigabytes without using them."""
    if sys.platform != "linux":
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    limit = pages * resource.getpagesize() + MEMORY
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


# --- files, processes, sockets --------------------------------------------------------------------

# event: (what it is called, which arguments are paths, each with the one that holds the number of
# the folder it starts from)
CHANGING: dict[str, tuple[str, tuple[tuple[int, int | None], ...]]] = {
    "os.remove": ("remove", ((0, 1),)),
    "os.rmdir": ("remove", ((0, 1),)),
    "os.mkdir": ("make", ((0, 2),)),
    "os.rename": ("rename", ((0, 2), (1, 3))),
    "os.link": ("link", ((0, 2), (1, 3))),
    "os.symlink": ("link", ((1, 2),)),
    "os.truncate": ("cut off", ((0, None),)),
    "os.chmod": ("change", ((0, 2),)),
    "os.chown": ("change", ((0, 3),)),
    "os.chflags": ("change", ((0, None),)),
    "os.utime": ("change", ((0, 3),)),
    "os.setxattr": ("change", ((0, None),)),
    "os.removexattr": ("change", ((0, None),)),
    "sqlite3.connect": ("write", ((0, None),)),
}
STARTING = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork",
            "os.forkpty", "os.startfile", "os.startfile/2", "pty.spawn")  # fmt: skip
SOCKETS = ("socket.__new__", "socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg",
           "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")  # fmt: skip
WITHOUT_EVENTS = ("mkfifo", "mknod", "lchown", "chroot", "setpriority", "memfd_create")
WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def install_hook(folder: Path) -> list[str]:
    """Refuse, from now on and for good, what a lesson's file may not do; returns a list that
    grows by what was refused."""
    home = os.path.realpath(folder)
    refused: list[str] = []
    realpath, fsdecode, join = os.path.realpath, os.fsdecode, os.path.join
    readlink, devnull = os.readlink, realpath(os.devnull)
    inside = home + os.sep
    busy = threading.local()  # the hook itself reads links

    def refuse(what: str) -> NoReturn:
        refused.append(what)
        raise Refused(f"a lesson's file may not {what}")

    def opened(number: int) -> str:
        return readlink(f"/proc/self/fd/{number}")

    def outside(path: Any, start: int = -1) -> str:
        """Where a path leads, from the folder of that number if it has one; nothing if that is in
        the learner's folder."""
        try:
            path = opened(path) if isinstance(path, int) else fsdecode(path)
            if start is not None and start >= 0:
                path = join(opened(start), path)
        except OSError:  # other systems do not say
            return "a file given by a number"
        real = realpath(path)
        return "" if real.startswith(inside) or real in (home, devnull) else real

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if getattr(busy, "now", False):
            return
        if event == "open":
            path, mode, flags = args
            if isinstance(path, int) or path is None:
                return
            writes = set("wax+") & set(mode) if mode else (flags or 0) & WRITE_FLAGS
            if not writes:
                return
            verb, paths = "write", [(path, -1)]
        elif event in CHANGING:
            verb, which = CHANGING[event]
            paths = [(args[i], -1 if at is None else args[at]) for i, at in which]
            if event == "sqlite3.connect" and args[0] in (":memory:", b":memory:", ""):
                return
        elif event in STARTING:
            refuse("start another program")
        elif event in SOCKETS:
            refuse("open a network connection")
        elif event in ("os.kill", "os.killpg"):
            refuse("send signals to programs")
        elif event == "ctypes.dlopen" and called_by_learner():
            refuse("load a library with ctypes")
        elif event == "import" and args[0] in ("_dbm", "_gdbm"):
            refuse("open a database")
        else:
            return
        busy.now = True
        try:
            where = next(filter(None, (outside(*path) for path in paths)), "")
        finally:
            busy.now = False
        if where:
            refuse(f"{verb} anything outside your folder ({where})")

    def called_by_learner() -> bool:
        frame = sys._getframe(2)
        while frame.f_back and "ctypes" in frame.f_code.co_filename:
            frame = frame.f_back
        return realpath(frame.f_code.co_filename).startswith(inside)

    _close_side_doors(refuse, outside)
    sys.addaudithook(hook)
    return refused


def _close_side_doors(refuse: Callable[[str], NoReturn], outside: Callable[[Any], str]) -> None:
    """Functions that change files and raise no audit event, or one that does not say where."""
    for name in WITHOUT_EVENTS:
        if hasattr(os, name):
            setattr(os, name, lambda *_, _name=name, **__: refuse(f"use os.{_name}"))
    os_open = os.open

    def open_at(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if dir_fd is not None and flags & WRITE_FLAGS:
            refuse("write to a file given by a folder's number")
        return os_open(path, flags, mode, dir_fd=dir_fd)

    os.open = open_at

    def only_inside(module: Any, name: str, position: int) -> None:
        """Let a function that writes a file in native code do so only in the learner's folder."""
        function = getattr(module, name)

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            target = args[position] if len(args) > position else None
            target = next((kwargs[k] for k in ("f", "filename") if k in kwargs), target)
            if isinstance(target, (str, bytes, os.PathLike)) and (where := outside(target)):
                refuse(f"write anything outside your folder ({where})")
            return function(*args, **kwargs)

        setattr(module, name, guarded)

    def in_torch(torch: Any) -> None:
        only_inside(torch, "save", 1)
        only_inside(torch.serialization, "save", 1)
        only_inside(torch.jit, "save", 1)

    def in_safetensors(safetensors: Any) -> None:
        only_inside(safetensors, "serialize_file", 1)

    for name, close in {
        "torch": in_torch,
        "safetensors": in_safetensors,
        "safetensors.numpy": in_safetensors,
        "safetensors.torch": in_safetensors,
    }.items():
        if name in sys.modules:
            close(sys.modules[name])
        else:
            sys.meta_path.insert(0, _AfterImport(name, close))


class _AfterImport(importlib.abc.MetaPathFinder):
    """Does something with a module as soon as it has been imported."""

    def __init__(self, name: str, then: Callable[[ModuleType], None]) -> None:
        self.name, self.then = name, then

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self.name:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def run_and_then(module: ModuleType) -> None:
            run(module)
            self.then(module)

        spec.loader.exec_module = run_and_then  # type: ignore[method-assign]
        return spec
