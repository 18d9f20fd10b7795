"""The documents say what is so: commands parse, flags are explained, links lead somewhere, and the
lines a newcomer pastes are the ones that CI runs."""

import dataclasses
import re
import shlex
from pathlib import Path

import pytest

from babypoet import cli
from babypoet.config import GenerateConfig, ModelConfig, TrainConfig, flag

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LESSONS = sorted(ROOT.glob("src/babypoet/course/lessons/*/lesson.md"))
VERBS = ("train", "generate", "evaluate", "ladder", "look", "backprop", "share", "learn", "runs")


def name_of(path: Path) -> str:
    """lesson.md alone would not say which."""
    return f"{path.parent.name}/{path.name}"


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands(text: str) -> list[str]:
    """Every `babypoet ...` in code: in blocks, and between backticks."""
    code = "\n".join(blocks(text, "sh") + re.findall(r"`([^`\n]+)`", text))
    return re.findall(r"^babypoet ([^\n]+)$", code, flags=re.MULTILINE)


def test_ci_runs_the_lines_of_the_readme() -> None:
    posix = [line for block in blocks(README, "sh") for line in block.splitlines()]
    test_line = next(line for line in posix if "scripts/test" in line)
    assert test_line in (ROOT / ".ci/run").read_text(encoding="utf-8")
    workflow = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    assert test_line in workflow
    shell = next(line for line in blocks(README, "powershell")[0].splitlines() if "test" in line)
    assert shell in workflow
    assert any(line.endswith(".venv/bin/babypoet train") for line in posix)


@pytest.mark.parametrize("path", [*DOCUMENTS, *LESSONS], ids=name_of)
def test_every_command_in_the_documents_parses(path: Path) -> None:
    """Red when a document names a verb or a flag that is not there."""
    for command in commands(path.read_text(encoding="utf-8")):
        if "..." in command:  # a synopsis: only its verb is meant literally
            assert command.split()[0] in VERBS
            continue
        arguments = shlex.split(command)
        if arguments[-1] in ("--help", "--version") or len(arguments) == 1:
            assert arguments[0] in (*VERBS, "--help", "--version"), command
            continue
        cli.app.parse_args(arguments, exit_on_error=False, print_error=False)


def test_an_unknown_flag_in_a_document_would_be_noticed() -> None:
    assert commands("```sh\nbabypoet train --no-such-flag\n```") == ["train --no-such-flag"]
    with pytest.raises(Exception, match="no-such-flag"):
        cli.app.parse_args(["train", "--no-such-flag"], exit_on_error=False, print_error=False)


def test_the_readme_names_every_verb_and_module() -> None:
    for verb in VERBS:
        assert f"`babypoet {verb}" in README, verb
        assert verb in cli.app
    package = ROOT / "src/babypoet"
    for module in (*package.glob("*.py"), *package.glob("course/*.py")):
        name = module.relative_to(package).as_posix()
        if not module.name.startswith("__"):
            assert f"[`{name}`](src/babypoet/{name})" in README, name


@pytest.mark.parametrize("cls", [TrainConfig, GenerateConfig])
def test_every_setting_is_explained_in_the_help(
    cls: type, capsys: pytest.CaptureFixture[str]
) -> None:
    verb = {TrainConfig: "train", GenerateConfig: "generate"}[cls]
    cli.main([verb, "--help"])
    shown = capsys.readouterr().out
    for field in dataclasses.fields(cls):
        assert flag(field.name) in shown, field.name


def test_the_readme_names_every_sampling_flag() -> None:
    for field in dataclasses.fields(GenerateConfig):
        assert f"`{flag(field.name)}`" in README, field.name


@pytest.mark.parametrize("path", [*DOCUMENTS, *LESSONS], ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (path.parent / target).exists(), target


def test_the_ladder_in_the_readme_is_the_one_that_was_measured() -> None:
    measured = (ROOT / "docs/ladder.md").read_text(encoding="utf-8").strip()
    rungs = re.findall(r"^\| `(\w+)` \|", measured, flags=re.MULTILINE)
    assert rungs == ["bigram", "attention", "multihead", "transformer", "modern"]
    assert measured in README
    for path in DOCUMENTS:  # nothing was left to be filled in
        assert "@@" not in path.read_text(encoding="utf-8"), path.name


def test_run_json_is_described_field_by_field(tmp_path: Path) -> None:
    from babypoet import poet, runs

    document = (ROOT / "docs/run-folder.md").read_text(encoding="utf-8")
    trained = poet.train(
        text="so it goes, and so it went\n" * 40, out=tmp_path / "run",
        steps=2, n_layer=1, n_embd=8, block_size=8, batch_size=2,
    )  # fmt: skip
    record = trained.run.load_run()
    step = trained.run.load_checkpoint(2)[2]
    for name in (*record, *record["machine"], *record["text"], *record["data"], *step):
        if not name.endswith(".npy"):
            assert f"`{name}`" in document, name
    for name in (*runs.FILES, "checkpoints/", "history/", "data/"):
        assert name in document, name
    for line in (*trained.run.lines("metrics.jsonl"), *trained.run.lines("samples.jsonl")):
        assert all(f"`{name}`" in document for name in line)
    assert {"model", "training"} <= set(record)
    assert set(record["model"]) == {field.name for field in dataclasses.fields(ModelConfig)}


def test_the_changelog_knows_this_version() -> None:
    from babypoet import __version__

    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
