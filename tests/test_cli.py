"""The command line as a person uses it: what it prints, what it leaves, how it ends."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import pytest

import babypoet
from babypoet import cli, runs, terminal, training
from babypoet.cli import app, main
from babypoet.config import GenerateConfig, TrainConfig, flag
from babypoet.poet import Poet
from babypoet.training import Event, Finished

TINY = [
    "--steps=6", "--n-layer=1", "--n-head=2", "--n-kv-head=1", "--n-embd=8", "--block-size=16",
    "--batch-size=8", "--evaluate-every=3", "--snapshots=3",
]  # fmt: skip
BRIEF = ["--rung=bigram", "--block-size=8", "--batch-size=4", "--snapshots=0"]
VERBS = ("train", "generate", "evaluate", "ladder", "look", "backprop", "share", "runs")
posix = pytest.mark.skipif(os.name == "nt", reason="Windows sends no such signals")


class Ran:
    """How a command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process."""

    def run(*arguments: str | Path) -> Ran:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture
def here(tmp_path: Path, poems: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own with a small text in it."""
    (tmp_path / "verse.txt").write_text(poems[:4000], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def trained(poems: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody changes."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "verse.txt").write_text(poems[:4000], encoding="utf-8")
    arguments = ["train", str(folder / "verse.txt"), "--out", str(folder / "run"), *TINY, "--quiet"]
    assert main(arguments) == 0
    return folder / "run"


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


# --- help -----------------------------------------------------------------------------------------


def test_without_a_command_it_helps(run: Run) -> None:
    ran = run()
    assert ran.code == 0 and ran.err == ""
    for verb in VERBS:
        assert verb in ran.out
    assert run("--version").out.strip() == babypoet.__version__


@pytest.mark.parametrize("verb", VERBS)
def test_every_flag_of_every_verb_is_documented(verb: str, run: Run) -> None:
    shown = " ".join(run(verb, "--help").out.replace("│", " ").split())
    arguments = app[verb].assemble_argument_collection(parse_docstring=True)
    described = [argument for argument in arguments if argument.parameter.show is not False]
    assert described
    for argument in described:
        assert argument.parameter.name, argument
        if not argument.children:  # a setting, not the dataclass that groups them
            assert argument.parameter.help, f"{argument.name} has no help"
    settings = {"train": TrainConfig, "ladder": TrainConfig, "generate": GenerateConfig}
    for field in fields(settings[verb]) if verb in settings else []:
        assert flag(field.name) in shown, field.name
    assert "False" not in shown and "runs/-" not in shown


def test_help_and_generate_and_runs_load_no_torch(trained: Path) -> None:
    """Which is what makes them start at once."""
    script = """if True:
        import sys
        from babypoet.cli import main
        assert main(["--help"]) == main(["train", "--help"]) == 0
        assert not {"torch", "numpy"} & set(sys.modules), "help"
        run = sys.argv[1]
        assert main(["generate", "--run", run, "--length", "20"]) == 0
        assert main(["runs", run]) == main(["runs", run, run]) == 0
        assert "torch" not in sys.modules
    """
    ran = subprocess.run(
        [sys.executable, "-c", script, str(trained)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


# --- mistakes -------------------------------------------------------------------------------------


def bad_texts(here: Path) -> None:
    (here / "empty.txt").touch()
    (here / "short.txt").write_text("hi\n")
    (here / "same.txt").write_text("a" * 500)
    (here / "latin.txt").write_bytes("café au lait\n".encode("cp1252") * 100)
    (here / "binary.txt").write_bytes(bytes(range(256)) * 20)
    (here / "bad.jsonl").write_text('{"text": "fine"}\n{"text": \n')
    (here / "other.jsonl").write_text('{"body": "a field of another name"}\n')
    (here / "folder").mkdir()
    (here / "folder/picture.png").touch()
    (here / "taken").mkdir()
    (here / "taken/mine").touch()
    (here / "runs").mkdir()


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("train vers.txt", "Did you mean verse.txt?"),
        ("train empty.txt", "empty.txt is empty"),
        ("train folder", "no text in the folder folder"),
        ("train latin.txt", "not UTF-8: the byte 0xE9 at offset 3"),
        ("train binary.txt", "binary.txt is not text"),
        ("train bad.jsonl", "bad.jsonl, line 2 is not JSON"),
        ("train short.txt", "at least 64 are needed"),
        ("train same.txt", "one distinct character"),
        ("train other.jsonl", "It has 'body'"),
        ("train other.jsonl --field title", "has no field 'title'"),
        ("train --n-embd 30 --n-head 4", "try --n-embd 32"),
        ("train --steps 5 --minutes 1", "--steps 5 and --minutes 1 exclude each other"),
        ("train --block-size 100000", "--block-size 47774 or less"),
        ("train --rung bigram --dropout 0.1", "--dropout 0.1 and --rung bigram exclude"),
        ("train --device tpu", 'Did you mean "cpu"?'),
        ("train --rung moddern", 'Did you mean "modern"?'),
        ("train --stepps 5", "Did you mean --steps?"),
        ("train --steps five", 'unable to convert "five" into int'),
        ("train --steps", "--steps requires an argument"),
        ("train --steps 0", "--steps is 0; it must be 1 or more"),
        ("train --n-layer -1", "--n-layer is -1"),
        ("train --seed -1", "--seed is -1; it must be 0 or more"),
        ("train --dropout 1", "--dropout is 1.0"),
        ("train --learning-rate nan", "--learning-rate is nan"),
        ("train --holdout 0", "--holdout is 0"),
        ("train --out taken", "taken holds other files"),
        ("train --out short.txt", "short.txt is a file"),
        ("train --resume", "There is no run under runs"),
        ("train --resume --out nowhere", "There is no run in nowhere"),
        ("train --resume verse.txt", "so verse.txt cannot be given with it"),
        ("train --resume --steps 9 --overwrite", "so --overwrite, --steps cannot be given"),
        ("train --resume --stdin", "so --stdin cannot be given"),
        ("ladder --seeds 0", "--seeds is 0; it must be 1 or more"),
        ("ladder --rung bigram", "so --rung bigram cannot be given"),
        ("ladder --n-embd 30 --n-head 4", "try --n-embd 32"),
        ("ladder --block-size 100000", "--block-size 47774 or less"),
        ("ladder --out taken", "taken holds mine"),
        ("ladder --out taken --overwrite", "taken holds mine"),
        ("ladder --out short.txt", "short.txt is a file"),
        ("ladder nowhere.txt", "There is no file or folder nowhere.txt"),
        ("generate", "There is no run under runs"),
        ("generate --run nowhere", "There is no run in nowhere"),
        ("generate --top-p 2", "--top-p is 2.0; it must be above 0, at most 1"),
        ("generate --temperature -1", "--temperature is -1.0"),
        ("generate --length 0", "--length is 0"),
        ("generate --stop ''", "--stop is empty"),
        ("generate --unknown ignore", '"nearest", "error"'),
        ("generate love this", "Nothing here takes 'love this'"),
        ("evaluate", "There is no run under runs"),
        ("evaluate --run nowhere", "There is no run in nowhere"),
        ("runs", "There are no runs"),
        ("runs nowhere", "There is no run in nowhere"),
        ("trian", 'Did you mean "train"?'),
    ],
)
def test_a_mistake_is_one_clear_message(command: str, says: str, here: Path, run: Run) -> None:
    bad_texts(here)
    before = everything(here)
    ran = run(*shlex.split(command))
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("babypoet: ") and ran.err.count("\n") == 1, ran.err
    assert says in ran.err
    assert everything(here) == before, "it left something behind"


def test_a_device_that_is_not_here(here: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for verb in ("train", "ladder"):
        ran = run(verb, "verse.txt", "--device", "cuda")
        assert ran.code == 2 and "Try --device auto" in ran.err
    assert everything(here) == ["verse.txt"]


@pytest.mark.parametrize("command", ["train nowhere.txt", "generate --top-p 2", "--qxz"])
def test_a_mistake_in_a_process_of_its_own_shows_no_traceback(command: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "babypoet", *command.split()],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 2 and ran.stdout == ""
    assert ran.stderr.startswith("babypoet: ") and ran.stderr.count("\n") == 1, ran.stderr


# --- train ----------------------------------------------------------------------------------------


def test_train_prints_results_and_tells_progress_apart(here: Path, run: Run) -> None:
    ran = run("train", "verse.txt", *TINY)
    assert ran.code == 0
    assert ran.out.startswith("before the first update it wrote")
    assert "The run is in runs/verse-modern" in ran.out.replace(os.sep, "/")
    assert ran.err.startswith("modern · ") and "update      6" in ran.err
    assert "it writes" in ran.err and "nats" in ran.err
    assert {"loss.svg", "loss.png"} <= set(everything(here / "runs/verse-modern"))
    assert run("train", "verse.txt", *TINY, "--quiet").out.startswith(
        str(Path("runs/verse-modern-2")) + "\t"
    ), "a taken name is numbered"


def test_quiet_says_one_line(here: Path, run: Run) -> None:
    ran = run("train", "verse.txt", *TINY, "--quiet")
    assert ran.err == ""
    path, nats = ran.out.strip().split("\t")
    assert path == str(Path("runs/verse-modern")) and 1 < float(nats) < 5


def test_an_out_that_is_taken_is_kept_unless_told(here: Path, run: Run) -> None:
    first = ("train", "verse.txt", *TINY, "--quiet", "--out", "mine")
    assert run(*first).code == 0
    before = (here / "mine/run.json").read_bytes()
    ran = run(*first, "--seed", "5")
    assert ran.code == 2 and "mine is already there" in ran.err and "--overwrite" in ran.err
    assert (here / "mine/run.json").read_bytes() == before
    assert run(*first, "--seed", "5", "--overwrite").code == 0
    assert runs.RunFolder.open("mine").load_run()["training"]["seed"] == 5


def test_text_from_standard_input(here: Path) -> None:
    command = [sys.executable, "-m", "babypoet", "train", "--stdin", "--quiet", *BRIEF]
    ran = subprocess.run(
        [*command, "--steps", "3"], input="to be or not to be\r\n" * 30,
        capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(str(Path("runs/stdin-bigram")))


def test_resuming_what_has_ended_changes_nothing(here: Path, run: Run) -> None:
    assert run("train", "verse.txt", *TINY, "--quiet").code == 0
    weights = (here / "runs/verse-modern/metrics.jsonl").read_bytes()
    ran = run("train", "--resume")
    assert ran.code == 2 and "is waiting to go on" in ran.err
    ran = run("train", "--resume", "--out", "runs/verse-modern")
    assert ran.code == 0
    assert "this run had ended already, with update 6" in ran.err
    assert "Trained in" in ran.out
    assert (here / "runs/verse-modern/metrics.jsonl").read_bytes() == weights


def test_a_training_that_comes_apart_is_told(here: Path, run: Run) -> None:
    ran = run("train", "verse.txt", *BRIEF, "--steps", "40", "--learning-rate", "1e38")
    assert ran.code == 2
    assert "babypoet: Training came apart" in ran.err and "--learning-rate" in ran.err


def test_an_interruption_in_between_is_saved(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler itself, in this process: the first signal asks, the second one ends."""
    real = training.train

    def interrupted(folder: runs.RunFolder, should_stop: Callable[[], bool]) -> Iterator[Event]:
        for event in real(folder, should_stop):
            if isinstance(event, training.Step) and event.step == 2:
                signal.raise_signal(signal.SIGINT)
            yield event

    monkeypatch.setattr(training, "train", interrupted)
    ran = run("train", "verse.txt", *TINY, "--out", "my run")
    assert ran.code == 130 and ran.out == ""
    assert "stopped at update 2 and saved" in ran.err
    monkeypatch.undo()
    monkeypatch.chdir(here)
    resume = shlex.split(ran.err.split("Go on with: babypoet ")[1])
    assert resume == ["train", "--resume", "--out", "my run"]
    assert run(*resume).code == 0
    assert [m["step"] for m in runs.RunFolder.open("my run").lines("metrics.jsonl")] == [*range(7)]

    def twice(folder: runs.RunFolder, should_stop: Callable[[], bool]) -> Iterator[Event]:
        yield next(real(folder, should_stop))
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(training, "train", twice)
    assert run("train", "verse.txt", *TINY, "--out", "other").code == 130
    assert signal.getsignal(signal.SIGINT) == before, "the handlers are put back"


@contextmanager
def process(*arguments: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """A command in a process of its own, ended if the test fails."""
    # a suite that runs in the background of a shell ignores Ctrl-C, and its children would too
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    started = subprocess.Popen(
        [sys.executable, "-m", "babypoet", *arguments],
        cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip
    signal.signal(signal.SIGINT, before)
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_the_printed_command_goes_on(
    number: signal.Signals, code: int, here: Path, run: Run
) -> None:
    arguments = ("train", "verse.txt", *BRIEF, "--steps", "1500", "--evaluate-every", "500")
    with process(*arguments, "--out", "it's mine", cwd=here) as training:
        assert training.stderr is not None
        for line in training.stderr:
            if line.startswith("update"):
                break
        training.send_signal(number)
        said = training.stderr.read()
        assert training.wait() == code
        assert training.stdout is not None and training.stdout.read() == ""
    assert terminal.STOPPING in said and "Traceback" not in said
    stopped = runs.RunFolder.open("it's mine").load_run()
    assert stopped["status"] == "interrupted" and 0 < stopped["checkpoint"]["step"] < 1500
    assert run(*shlex.split(said.split("Go on with: babypoet ")[1])).code == 0
    metrics = runs.RunFolder.open("it's mine").lines("metrics.jsonl")
    assert [m["step"] for m in metrics] == list(range(1501))


# --- generate -------------------------------------------------------------------------------------


def test_generate_writes_the_prompt_and_what_follows(trained: Path, run: Run) -> None:
    ran = run("generate", "--run", trained, "--prompt", "love", "--length", "40")
    assert ran.code == 0 and ran.err == ""
    assert ran.out.startswith("love") and len(ran.out) == 4 + 40 + 1
    assert ran.out == Poet(runs.RunFolder.open(trained)).write("love", length=40) + "\n"


def test_the_same_seed_writes_the_same_text(trained: Path, run: Run) -> None:
    def text(*arguments: str) -> str:
        return run("generate", "--run", trained, "--length", "60", *arguments).out

    assert text() == text("--seed", "0") != text("--seed", "1")
    assert text("--temperature", "0") == text("--temperature", "0", "--seed", "7")
    two = text("--n", "2")
    first, second = two.split("\n--------\n")
    assert first == text()[:-1] and first != second[:-1]
    assert text("--top-k", "1") == text("--temperature", "0")


def test_it_stops_before_each_stop_string(trained: Path, run: Run) -> None:
    def text(*stops: str) -> str:
        flags = [part for stop in stops for part in ("--stop", stop)]
        return run("generate", "--run", trained, "--length", "300", *flags).out[:-1]

    whole = text()
    assert "\n" in whole and "e" in whole and "zzz" not in whole
    assert text("zzz") == whole
    assert text("e") == whole.split("e")[0]
    assert text("\\n") == whole.split("\n")[0]
    first = min(whole.index("e"), whole.index("t"))
    assert text("e", "t") == text("t", "e") == whole[:first]


def test_characters_it_never_saw(trained: Path, run: Run) -> None:
    arguments = ("generate", "--run", trained, "--length", "5", "--prompt", "ñ愛o")
    ran = run(*arguments)
    assert ran.code == 0 and ran.out.startswith("ñ愛o")
    assert ran.err == (
        "note: the model never saw 'ñ'; it reads 'n' instead\n"
        "note: the model never saw '愛'; it is not read\n"
    )
    ran = run(*arguments, "--unknown", "error")
    assert ran.code == 2 and ran.out == ""
    assert "'ñ' (U+00F1), '愛' (U+611B)" in ran.err


def test_text_comes_piece_by_piece(
    trained: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[str] = []
    real = sys.stdout.write
    monkeypatch.setattr(sys.stdout, "write", lambda s: (writes.append(s), real(s))[1])
    run("generate", "--run", trained, "--length", "30")
    assert len(writes) >= 30


def test_escapes_reach_a_pipe_as_they_are_and_a_terminal_as_text(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "red.txt").write_text("\x1b[31m\x1b[0m" * 60)
    assert run("train", "red.txt", *BRIEF, "--steps", "2", "--quiet").code == 0
    assert "\x1b" in run("generate", "--length", "50", "--temperature", "5").out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    shown = run("generate", "--length", "50", "--temperature", "5").out
    assert "\x1b" not in shown and "\\x1b" in shown


@posix
def test_a_reader_that_leaves_and_ctrl_c_end_it_silently(trained: Path, tmp_path: Path) -> None:
    arguments = ("generate", "--run", str(trained), "--length", "1000000")
    with process(*arguments, cwd=tmp_path) as writing:
        assert writing.stdout is not None and writing.stderr is not None
        assert writing.stdout.read(10)
        writing.stdout.close()
        assert writing.stderr.read() == ""
        assert writing.wait() == 0
    with process(*arguments, cwd=tmp_path) as writing:
        assert writing.stdout is not None and writing.stderr is not None
        assert writing.stdout.read(10)
        writing.send_signal(signal.SIGINT)
        assert writing.wait() == 130
        assert writing.stderr.read() == ""


def test_the_newest_run_writes_if_none_is_named(here: Path, run: Run) -> None:
    for seed in ("1", "2"):
        arguments = ("train", "verse.txt", "--quiet", *BRIEF, "--steps", "3", "--seed", seed)
        assert run(*arguments).code == 0
    assert run("generate").out == run("generate", "--run", "runs/verse-bigram-2").out


# --- evaluate and runs ----------------------------------------------------------------------------


def test_evaluate(trained: Path, here: Path, run: Run) -> None:
    ran = run("evaluate", "--run", trained)
    assert ran.code == 0 and ran.err == "" and "best counter" in ran.out
    found = run("evaluate", "--run", trained, "--json")
    nats = json.loads(found.out)["held_out"]["nats"]
    assert f"{nats:.4f}" in ran.out and found.err == ""
    assert run("evaluate", "--run", trained, "--json").out == found.out, "the same numbers twice"
    own = run("evaluate", "--run", trained, "--text", "verse.txt")
    assert own.out.startswith("verse.txt: ") and "4,000 characters" in own.out
    assert "text" in json.loads(
        run("evaluate", "--run", trained, "--text", "verse.txt", "--json").out
    )
    missing = run("evaluate", "--run", trained, "--text", "nowhere.txt")
    assert missing.code == 2 and "nowhere.txt" in missing.err and missing.out == ""


def test_runs_lists_shows_and_compares(here: Path, run: Run) -> None:
    for rung in ("bigram", "attention"):
        run("train", "verse.txt", "--quiet", *BRIEF[1:], "--steps", "3", "--rung", rung)
    listed = run("runs").out
    assert "verse-bigram" in listed and "verse-attention" in listed
    assert "block_size: 8" in run("runs", "runs/verse-bigram").out
    both = run("runs", "runs/verse-bigram", "runs/verse-attention").out
    assert "where they differ" in both and "attention" in both


# --- ladder ---------------------------------------------------------------------------------------


def test_ladder(here: Path, run: Run) -> None:
    arguments = ("ladder", "verse.txt", *TINY)
    ran = run(*arguments)
    assert ran.code == 0
    assert ran.out == (here / "runs/verse-ladder/ladder.md").read_text(encoding="utf-8")
    assert ran.err.count("held out") == 5
    assert "ladder.md and the curves (loss.png) are in runs" in ran.err
    ran = run(*arguments, "--out", "runs/verse-ladder", "--quiet")
    assert ran.code == 2 and "already there" in ran.err
    ran = run(*arguments, "--out", "runs/verse-ladder", "--quiet", "--overwrite")
    assert ran.code == 0 and ran.err == ""


def test_an_interrupted_ladder_says_where_it_is(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = training.train

    def interrupted(folder: runs.RunFolder, should_stop: Callable[[], bool]) -> Iterator[Event]:
        for event in real(folder, should_stop):
            if isinstance(event, training.Step) and "attention" in folder.path.name:
                os.kill(os.getpid(), signal.SIGTERM) if os.name != "nt" else signal.raise_signal(
                    signal.SIGTERM
                )
            if isinstance(event, Finished):
                signals.append(event.reason)
            yield event

    signals: list[str] = []
    monkeypatch.setattr(training, "train", interrupted)
    ran = run("ladder", "verse.txt", *TINY)
    assert ran.code == 143 and ran.out == ""
    assert "the runs trained so far are in" in ran.err
    assert signals == ["done", "interrupted"]
    assert not (here / "runs/verse-ladder/ladder.md").exists()


def test_every_verb_says_its_python_line(run: Run) -> None:
    for verb in ("train", "generate", "evaluate", "ladder"):
        assert "Python: babypoet." in (cli.app[verb].default_command.__doc__ or ""), verb
