"""`babypoet look`: what the walk, the list and a single value show, and that it is true."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

import babypoet
from babypoet import looking, reference, values
from babypoet.cli import main
from babypoet.config import RUNG_NAMES, ModelConfig
from babypoet.errors import SettingError
from babypoet.poet import Poet
from babypoet.reference import Reference
from babypoet.tokenizer import CharTokenizer
from babypoet.trace import Trace, trace_of

CHARACTERS = "\n abcdefghijklmnopqrstuvwxyz字"
RUNG_SETTINGS = {"attention": (1, 1), "modern": (6, 3)}


def trace(text: str = "love this", rung: str = "modern", characters: str = CHARACTERS) -> Trace:
    heads = RUNG_SETTINGS.get(rung, (6, 6))
    tokenizer = CharTokenizer("".join(sorted(characters)))
    config = ModelConfig(rung, tokenizer.vocab_size, 32, 3, *heads, n_embd=24)
    generator = np.random.default_rng(0)
    weights = {
        name: (2 * generator.normal(size=shape) / shape[-1] ** 0.5).astype(np.float32)
        for name, shape in reference.shapes(config).items()
    }
    return trace_of(Reference(config, weights), tokenizer, text, load_weights=lambda: weights)


def plain(lines: Iterable[Text]) -> str:
    return "\n".join(line.plain for line in lines)


def shown(lines: Iterable[Text], **options: Any) -> str:
    """What reaches a terminal."""
    out = Console(file=io.StringIO(), force_terminal=True, width=500, **options)
    with out.capture() as capture:
        for line in lines:
            out.print(line, soft_wrap=True)
    return capture.get()


# --- the walk -------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_the_walk_names_every_value_of_the_first_block(rung: str, width: int) -> None:
    """With its equation, its shape and its line, and fits the width."""
    found = trace(rung=rung)
    text = plain(looking.walk(found, width=width))
    assert all(cell_len(line) <= width for line in text.split("\n"))
    words = " ".join(text.split())
    for name in found.names():
        repeated = re.match(r"blocks\.[1-9]", name) or re.match(r"guess\.[0-2]", name)
        described = found.describe(name)
        assert described.source
        line = re.escape(f"{described.source[0]}:{described.source[1]}")
        size = re.escape(looking.lettered(found, described))
        short = name.removeprefix("blocks.0.")
        names = f"({re.escape(short)}|{re.escape(short.removeprefix('attention.'))})"
        if not repeated:
            assert re.search(rf"^   {names} .*{size} +{line}$", text, re.MULTILINE), name
            first_words = " ".join((described.equation or "").split()[:2])
            assert first_words in words, name
    blocks = [name for name in found.names() if name.endswith("attention.weights")]
    assert all(name in text for name in blocks[1:]) and "--step" in text and "--list" in text


def test_the_walk_is_in_the_order_of_reading() -> None:
    text = plain(looking.walk(trace(), width=80))
    titles = re.findall(r"^ ?\d+ (.*?)(?:   .*)?$", text, re.MULTILINE)
    assert titles[0] == "Characters become numbers" and titles[-1].startswith("Scores")
    assert [int(n) for n in re.findall(r"^ ?(\d+) [A-Z]", text, re.MULTILINE)] == list(
        range(1, len(titles) + 1)
    )
    assert text.index("looks") < text.index("works on its own") < text.index("Blocks 1 to 2")


def test_the_walk_of_the_default_model_is_two_screens() -> None:
    """Of sixty lines; deeper models add a heading and two lines for each block."""
    config = replace(trace().config, n_layer=4)
    assert config.rung == "modern"
    assert len(list(looking.walk(trace(), width=100))) <= 120


def test_the_walk_draws_the_position_and_the_head_that_were_asked_for() -> None:
    found = trace()
    text = plain(looking.walk(found, head=4, position=2, width=80))
    assert "position 2 (v), head 4" in text
    weights = found["blocks.0.attention.weights"][4, 2]
    at = int(weights.argmax())
    share = looking.percent(float(weights[at]))
    assert f"most of it: {looking.glyph(found.characters[at])} at {at}" in text and share in text
    assert "-∞" in text  # position 2 of 9 has a future, and it is hidden
    probabilities = found["probabilities"][2]
    best = looking.glyph(found.vocabulary[int(probabilities.argmax())])
    assert re.search(rf"{best} +{looking.percent(float(probabilities.max()))}  █", text)
    lens = found["guess.3"][2]
    assert f"after block 2     {best} {looking.percent(float(lens.max()))}" in text
    other = plain(looking.walk(found, head=4, position=-7, width=80))
    assert other == text  # counted from the end
    assert plain(looking.walk(found, width=80)) == plain(looking.walk(found, 0, 8, width=80))


def test_the_vectors_in_the_walk_are_the_traces() -> None:
    """Heads share keys: head 2 of 6 looks with key 1 of 3."""
    found = trace()
    text = plain(looking.walk(found, head=2, position=2, width=80))
    for name, which in {"query": 2, "key": 1, "value": 1}.items():
        x = found[f"blocks.0.attention.{name}"][which, 2]
        top = int(np.abs(x).argmax())
        line = next(li for li in text.split("\n") if re.match(rf" +{name} +length", li))
        assert f"length {np.linalg.norm(x):.3f}" in line
        assert re.search(
            rf"#{top} (████|░░░░) \{'+' if x[top] > 0 else '-'}{abs(x[top]):.2f}", line
        )


# --- pictures -------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(4, 30))
def test_shaded_text_has_a_bar_under_every_character(shares: list[float], width: int) -> None:
    text = ("to be, or 字 not " * 9)[: len(shares)]
    found = Trace(ModelConfig(), "", {"ids": np.arange(len(shares))})
    found.vocabulary = text  # position i holds character i
    rows = looking.shaded(found, np.array(shares), width)
    above = "".join(row.plain for row in rows[::2])
    below = "".join(row.plain for row in rows[1::2])
    assert above == text.replace(" ", "␣")
    assert [cell_len(row.plain) for row in rows[::2]] == [len(row.plain) for row in rows[1::2]]
    assert all(cell_len(row.plain) <= width for row in rows)
    place = 0
    for character, share in zip(above, shares, strict=True):
        drawn = looking.BLOCKS.index(below[place]) / 8
        assert drawn == 0 if share < looking.LEAST else 0 <= drawn - share + 1e-5 <= 1 / 8 + 1e-5
        place += cell_len(character)


def test_the_shade_grows_with_the_share() -> None:
    shades = [looking.shade(share) for share in (0.0, 0.019, 0.02, 0.1, 0.2, 0.4, 0.7, 1.0)]
    assert shades[:2] == ["", ""] and len(set(shades)) == 6 and shades[-1] == shades[-2]


def test_colour_is_never_alone() -> None:
    """Without colours the same words, bars and signs are there."""
    found = trace()
    for lines in (looking.walk, looking.listed):
        coloured = shown(lines(found, width=80), color_system="truecolor")
        without = shown(lines(found, width=80), color_system=None, no_color=True)
        assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == without
    assert "48;2;" in shown(looking.walk(found, width=80), color_system="truecolor")  # shaded
    both = looking.bar(1, 1, 4), looking.bar(-1, 1, 4)
    assert both[0].plain != both[1].plain and both[0].style != both[1].style


def test_bars_are_as_long_as_their_share() -> None:
    found = trace()
    p = np.zeros(len(found.vocabulary), np.float32)
    p[:4] = 0.5, 0.25, 0.2, 0.05
    rows = [line.plain for line in looking.bars(found, p, 98, count=3)]
    assert [row.count("█") for row in rows] == [40, 20, 16, 0]
    assert rows[3].split() == ["5", "%", "the", "other", str(len(p) - 3), "together"]


# --- one value ------------------------------------------------------------------------------------


def numbers_in(text: str) -> list[str]:
    return re.findall(r"(?<![\w#.])-?(?:\d+\.\d+(?:e[-+]\d+)?|∞)(?![\w%])", text)


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_every_value_can_be_seen_alone(rung: str) -> None:
    found = trace(rung=rung)
    for name in [*found.names(), *found.weight_names()]:
        described = found.describe(name)
        text = plain(looking.step(found, name, width=80))
        assert all(cell_len(line) <= 80 for line in text.split("\n")), name
        words = " ".join(text.split())
        assert text.startswith(name) and described.sentence in words
        assert f"{described.shape} = {looking.lettered(found, described)}" in words
        if described.equation and described.source:
            assert f"= {described.equation}" in words
            assert f"{described.source[0]}:{described.source[1]}" in words
        if described.heads > 1:
            assert f"head 0 of {described.heads}; --head chooses another" in text
        assert ("Shown: " in text) or all_is_shown(found, name, text), name


def all_is_shown(found: Trace, name: str, text: str) -> bool:
    """Whether every number of the value, or of its first head, stands in the text, in order."""
    value = found[name][0] if found.describe(name).heads else found[name]
    if name == "ids":
        return all(str(i) in text for i in value.tolist())
    expected = [looking.number(x) for x in value.ravel().tolist()]
    cells = text.split()
    places = iter(cells)
    return all(any(cell == number for cell in places) for number in expected)


def test_a_small_value_is_shown_whole() -> None:
    text = plain(looking.step(trace("love"), "blocks.1.attention.weights", head=5, width=80))
    found = trace("love")["blocks.1.attention.weights"][5]
    rows = [line.split() for line in text.split("\n")[-4:]]
    assert [row[:2] for row in rows] == [["0", "l"], ["1", "o"], ["2", "v"], ["3", "e"]]
    for row, expected in zip(rows, found, strict=True):
        assert row[2:] == [looking.number(x) for x in expected.tolist()]
    assert "head 5 of 6" in text and "most of it: " in text and "Shown" not in text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("embedding", "Shown: the first 9 columns of 32 × 24."),
        ("blocks.0.attention.weights", "Shown: the last 10 rows and columns of 32 × 32."),
        ("logits", "Shown: the 9 columns that are largest in the last row of 32 × 29."),
        ("layers.0.mlp.up_proj.weight", "Shown: the first 24 rows and the first 9 columns of"),
    ],
)
def test_what_does_not_fit_is_said(name: str, said: str) -> None:
    text = plain(looking.step(trace("so it goes and so it went again "), name, width=80))
    words = " ".join(text.split())
    assert re.sub(r"\d+", "N", said) in re.sub(r"\d+", "N", words)
    assert "--json all" in words and ("--position P" in words) == ("layers" not in name)


@pytest.mark.parametrize("name", ["embedding", "blocks.0.attention.weights", "logits", "cosine"])
def test_a_position_is_shown_whole(name: str) -> None:
    found = trace("so it goes and so it went again ")
    text = plain(looking.step(found, name, position=-2, width=80))
    row = found[name][..., -2, :]
    row = row[0] if row.ndim == 2 else row
    body = text[text.index("position 30 (n)\n") if "\nposition" in text else 0 :]
    for x in row.tolist():
        assert f" {looking.number(x)}" in body
    assert "Shown" not in text


def test_of_many_positions_the_last_rows_and_columns_are_shown() -> None:
    """Of earlier rows, the last columns would be the future and nothing else."""
    found = trace("so it goes and so it went again ")
    text = plain(looking.step(found, "blocks.0.attention.weights", width=80))
    table = [line.split() for line in text.split("\n") if re.match(r"\d+ \S ", line)]
    weights = found["blocks.0.attention.weights"][0]
    count = len(table)
    assert [int(row[0]) for row in table] == list(range(32 - count, 32)) and count < 32
    for row, expected in zip(table, weights[-count:, -count:], strict=True):
        assert row[2:] == [looking.number(x) for x in expected.tolist()]


def test_rows_of_tables_are_named_by_their_characters() -> None:
    text = plain(looking.step(trace("love"), "lm_head.weight", width=80))
    assert re.search(r"^↵ +-?\d", text, re.MULTILINE) and re.search(r"^a +-?\d", text, re.MULTILINE)
    text = plain(looking.step(trace("字"), "scores", position=0, width=80))
    assert "<|unk|>" in text and "<|endoftext|>" in text and "字" in text


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"name": "norm", "head": 0}, "norm has no heads"),
        ({"name": "norm.weight", "head": 0}, "norm.weight has no heads"),
        ({"name": "norm.weight", "position": 0}, "same at every position"),
        ({"name": "blocks.0.attention.key", "head": 3}, "has 3 heads: give --head 0 to 2"),
        ({"name": "blocks.0.attention.query", "head": -1}, "has 6 heads: give --head 0 to 5"),
        ({"name": "norm", "position": 9}, "9 characters: give 0 to 8, or -9 to -1"),
        ({"name": "norm", "position": -10}, "9 characters: give 0 to 8, or -9 to -1"),
        ({"name": "norms"}, "Did you mean norm"),
    ],
)
def test_a_wrong_head_position_or_name_is_told_what_there_is(
    asked: dict[str, Any], says: str
) -> None:
    with pytest.raises(SettingError, match=re.escape(says)):
        list(looking.step(trace(), **asked, width=80))
    with pytest.raises(SettingError, match=re.escape(says)):
        looking.as_json(trace(), step=asked.pop("name"), **asked)


def test_the_walk_refuses_them_too() -> None:
    with pytest.raises(SettingError, match="A bigram model has no heads"):
        list(looking.walk(trace(rung="bigram"), head=0, width=80))
    with pytest.raises(SettingError, match="one head: --head 0"):
        list(looking.walk(trace(rung="attention"), head=1, width=80))
    with pytest.raises(SettingError, match="1 character: give 0 to 0"):
        list(looking.walk(trace("a"), position=1, width=80))


# --- the list -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_the_list_has_every_name_shape_and_sentence(rung: str) -> None:
    found = trace(rung=rung)
    text = plain(looking.listed(found, width=80))
    words = " ".join(text.split())
    for name in [*found.names(), *found.weight_names()]:
        described = found.describe(name)
        size = looking.lettered(found, described)
        assert re.search(rf"^  {re.escape(name)} +{re.escape(size)}$", text, re.MULTILINE), name
        assert described.sentence in words
    assert all(cell_len(line) <= 80 for line in text.split("\n"))


def test_without_a_text_the_list_keeps_the_letter() -> None:
    text = plain(looking.listed(trace(""), with_text=False, width=80))
    assert re.search(r"^  blocks.0.attention.weights +\(6, T, T\)$", text, re.MULTILINE)
    assert re.search(r"^  norm.weight +\(24,\)$", text, re.MULTILINE)


# --- hostile and foreign text ---------------------------------------------------------------------


def test_control_characters_never_reach_the_terminal() -> None:
    """A model may have learned them; they are written out."""
    found = trace("\x1b[2J\x07a\u202e", characters=CHARACTERS + "\x1b\x07\u202e[2J")
    assert found.text == "\x1b[2J\x07a\u202e"
    every = [looking.walk(found, width=80), looking.listed(found, width=80)]
    every += [looking.step(found, name, width=80) for name in found.names()]
    for lines in every:
        text = plain(lines)
        assert not {"\x1b", "\x07", "\u202e", "\t"} & set(text)
    assert "\\x1b" in plain(looking.walk(found, width=80))


def test_wide_and_combining_characters_keep_their_columns() -> None:
    found = trace("a字\u0301字", characters=CHARACTERS + "\u0301")
    for line in looking.walk(found, width=80):
        assert cell_len(line.plain) <= 80
    assert "U+0301" in plain(looking.walk(found, width=80))


# --- the command ----------------------------------------------------------------------------------

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def trained(poems: str, tmp_path_factory: pytest.TempPathFactory) -> Poet:
    return babypoet.train(
        text=poems[:4000], out=tmp_path_factory.mktemp("look") / "run", steps=3, block_size=16,
        n_layer=2, n_head=2, n_kv_head=1, n_embd=8, batch_size=4, snapshots=0,
    )  # fmt: skip


@pytest.fixture
def look(trained: Poet, capsys: pytest.CaptureFixture[str]) -> Run:
    """`babypoet look ... --run RUN`: its exit code, what it prints and what it notes."""

    def look(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["look", "--run", str(trained.run.path), *arguments])
        return code, *capsys.readouterr()

    return look


def test_look_walks(look: Run) -> None:
    code, out, err = look("love this")
    assert code == 0 and err == "" and "Every step of the modern model" in out
    assert "\x1b" not in out  # not a terminal: no colours
    assert look("love this", "--position", "-1", "--head", "0")[1] == out
    assert look("love this", "--position=-2")[1] != out


def test_look_shows_one_value(look: Run, trained: Poet) -> None:
    code, out, _ = look("love this", "--step", "blocks.1.attention.weights", "--head", "1")
    assert code == 0 and "head 1 of 2" in out
    code, out, _ = look("love", "--step", "layers.0.self_attn.q_norm.weight")
    weight = trained.run.weights()["layers.0.self_attn.q_norm.weight"]
    assert code == 0 and all(f"{x:.3f}" in out for x in weight.tolist())


def test_look_lists(look: Run) -> None:
    for arguments in (["--list"], ["love", "--list"]):
        code, out, err = look(*arguments)
        assert code == 0 and err == "" and "blocks.1.mlp.up" in out
    assert "(T, 8)" in look("--list")[1] and "(4, 8)" in look("love", "--list")[1]


def test_look_prints_json(look: Run, trained: Poet) -> None:
    found = trained.trace("love this")
    code, out, err = look("love this", "--json")
    assert code == 0 and err == "" and json.loads(out) == json.loads(json.dumps(found.to_dict()))
    one = json.loads(look("love this", "--json", "--step", "blocks.0.attention.masked")[1])
    assert one["shape"] == [2, 9, 9] and one["values"][1][0][1:] == [None] * 8 and "note" in one
    row = ["--json", "--step", "blocks.0.attention.weights", "--head", "1", "--position", "-2"]
    cut = json.loads(look("love this", *row)[1])
    assert (cut["head"], cut["position"], cut["shape"]) == (1, 7, [9])
    assert cut["values"] == found["blocks.0.attention.weights"][1, 7].tolist()
    ids = json.loads(look("love", "--json", "--step", "ids", "--position", "1")[1])
    assert ids["values"] == found.ids[1] and ids["shape"] == []
    listed = json.loads(look("--json", "--list")[1])
    assert [entry["name"] for entry in listed["values"]] == found.names()
    assert {entry["name"] for entry in listed["weights"]} == set(trained.run.weights())
    assert all("values" not in entry for entry in listed["values"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a", "--step", "blocks.0.attention.weight"], "Did you mean blocks.0.attention.weights?"),
        (["a", "--head", "2"], "has 2 heads: give --head 0 to 1"),
        (["a", "--position", "1"], "1 character: give 0 to 0, or -1 to -1"),
        (["a", "--list", "--step", "norm"], "--list lists all names"),
        (["a", "--json", "--head", "0"], "give --step"),
        (["愛", "--unknown", "error"], "never saw '愛'"),
        (["a", "b"], "takes 'b'"),
    ],
)
def test_what_look_cannot_do_it_says(look: Run, arguments: list[str], says: str) -> None:
    code, out, err = look(*arguments)
    assert code == 2 and out == "" and says in err and "Traceback" not in err


def test_look_notes_what_it_did_not_read_as_given(look: Run) -> None:
    code, out, err = look("“love” 愛")
    assert code == 0 and "it is not read" in err and out
    code, _, err = look("")
    assert code == 0 and "there is no text, so the model reads a line break" in err
    code, _, err = look("愛")
    assert code == 0 and "nothing of the text is left, so the model reads a line break" in err
    code, out, err = look("love this and that and more", "--step", "ids")
    before = reference.window_start(27, 16)
    assert code == 0 and f"position 0 is character {before} of the text" in err
    assert f"({27 - before},)" in out
    assert look("love this", "--step", "ids")[2] == ""


def test_looking_needs_no_torch(trained: Poet) -> None:
    script = """if True:
        import sys
        from babypoet.cli import main
        for more in ([], ["--list"], ["--step", "norm"], ["--json"]):
            assert main(["look", "love", "--run", sys.argv[1], *more]) == 0
        assert not {"torch", "matplotlib"} & set(sys.modules)
    """
    path = str(trained.run.path)
    ran = subprocess.run([sys.executable, "-c", script, path], capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr.decode()


@pytest.mark.skipif(os.name == "nt", reason="Windows has another error for it")
def test_a_closed_pipe_is_silent(trained: Poet) -> None:
    """As in `babypoet look | head`."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "babypoet", "look", "love", "--run", str(trained.run.path)]
    ran = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_the_words_of_the_walk_are_names_that_there_are() -> None:
    """A stage that names a value that no rung has would be silently empty."""
    known = {value.name.removeprefix("blocks.*.") for value in values.TABLE}
    for title, spoken, parts, drawn in (*looking.FIRST, *looking.BLOCK, looking.LAST):
        assert {spoken, *parts, *drawn} <= known, title
        assert {spoken, *drawn} <= set(parts), title
    in_blocks = {part for stage in looking.BLOCK for part in stage[2]}
    at_top = {part for stage in (*looking.FIRST, looking.LAST) for part in stage[2]}
    assert in_blocks == {
        v.name.removeprefix("blocks.*.") for v in values.TABLE if v.name.startswith("blocks.")
    }
    assert at_top | {"guess.*"} == {v.name for v in values.TABLE if "blocks" not in v.name}


def test_the_source_of_the_shown_lines_is_there(trained: Poet) -> None:
    lines = Path(reference.__file__).read_text(encoding="utf-8").splitlines()
    text = plain(looking.step(trained.trace("a"), "blocks.0.attention.mixed", width=80))
    line = re.search(r"reference\.py:(\d+)", text)
    assert line and "mixed" in lines[int(line[1]) - 1]
