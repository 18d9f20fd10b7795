"""One HTML file: what is in it, what is not, and that no text can break it."""

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import babypoet
from babypoet import cli, corpus, values
from babypoet.config import ModelConfig
from babypoet.errors import BabyPoetError, RunError, SettingError
from babypoet.evaluation import exact_loss
from babypoet.exporting import page, scenes, still
from babypoet.exporting.bundling import BundlingError, Module, blanked, bundle
from babypoet.exporting.copies import Copies
from babypoet.exporting.packing import unpack
from babypoet.exporting.words import safe, translated
from babypoet.poet import Poet
from babypoet.reference import Reference
from babypoet.runs import RunFolder

TINY = {
    "steps": 6, "block_size": 32, "n_layer": 2, "n_head": 2, "n_kv_head": 1, "n_embd": 16,
    "batch_size": 8, "evaluate_every": 3, "snapshots": 4,
}  # fmt: skip
CANARY = "The canary of Ypres sang at a quarter past seven."
HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "<!-- <script> --> ]]> &lt;b&gt; &amp; &#0; {{script}} {loss}",
    "‮right to left שלום‏ emoji 👩‍👩‍👧 \ufeff\u2028\u2029\x00\x07\x7f\x85 end",
    "</style></title></textarea><svg onload=alert(1)>",
]
SCENES = ["guess", "training", "dice", "looking", "copying"]
SOURCES = Path(str(files("babypoet"))) / "page"


class Parsed(HTMLParser):
    """A page as a browser takes it apart: its elements, and the text of those that matter."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self.style = self.text = ""
        self._inside: list[str] = []
        self._script = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._inside.append(tag)
            self._script = dict(attrs).get("id") or "program"

    def handle_endtag(self, tag: str) -> None:
        if self._inside and tag == self._inside[-1]:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if self._inside == ["script"]:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data
        elif self._inside == ["style"]:
            self.style += data
        else:
            self.text += data

    def json(self, id: str) -> Any:
        return json.loads(self.scripts[id])

    def ids(self, tag: str) -> list[str | None]:
        return [attributes.get("id") for name, attributes in self.elements if name == tag]


def train(folder: Path, text: str, **settings: Any) -> Poet:
    return babypoet.train(text=text, out=folder, **{**TINY, **settings})


@pytest.fixture(scope="module")
def trained(poems: str, tmp_path_factory: pytest.TempPathFactory) -> Poet:
    text = poems[:9000] + "\n" + CANARY + "\n" + poems[9000:18000]
    return train(tmp_path_factory.mktemp("page") / "tiny", text)


@pytest.fixture(scope="module")
def shared(trained: Poet, tmp_path_factory: pytest.TempPathFactory) -> page.Shared:
    return trained.share(tmp_path_factory.mktemp("shared") / "poet.html")


@pytest.fixture(scope="module")
def parsed(shared: page.Shared) -> Parsed:
    return Parsed(shared.html)


@pytest.fixture
def changed(trained: Poet, tmp_path: Path) -> Callable[..., RunFolder]:
    """A copy of the run with another record, or without something."""

    def changed(**record: Any) -> RunFolder:
        folder = tmp_path / "changed"
        shutil.copytree(trained.run.path, folder)
        run = RunFolder.open(folder)
        run.save_run({**run.load_run(), **record})
        return run

    return changed


# --- the file -------------------------------------------------------------------------------------


def test_it_is_written_whole(trained: Poet, shared: page.Shared) -> None:
    assert shared.path is not None
    content = shared.path.read_bytes()
    assert content.decode() == shared.html and shared.bytes == len(content) < page.BUDGET
    assert [p.name for p in shared.path.parent.iterdir()] == ["poet.html"]


def test_two_are_the_same_byte_for_byte(trained: Poet, shared: page.Shared, tmp_path: Path) -> None:
    assert trained.share(tmp_path / "again.html").html == shared.html


def test_the_structure(parsed: Parsed) -> None:
    assert parsed.ids("section") == [*SCENES, "story", "room", "about"]
    assert [tag for tag, _ in parsed.elements[:5]] == ["html", "head", "meta", "meta", "meta"]
    assert parsed.elements[2][1] == {"charset": "utf-8"}
    assert parsed.elements[3][1]["http-equiv"] == "Content-Security-Policy"
    assert parsed.elements[4][1]["name"] == "viewport"
    assert parsed.elements[0][1]["lang"] == "en"
    headings = parsed.ids("h2")
    for tag, attributes in parsed.elements:
        if tag == "section":
            assert attributes["aria-labelledby"] in headings
    classes = [attributes.get("class") for _, attributes in parsed.elements]
    assert classes.count("still") == classes.count("live") == 6
    lives = [attributes for _, attributes in parsed.elements if attributes.get("class") == "live"]
    assert all("hidden" in attributes for attributes in lives)
    assert len({id for _, a in parsed.elements if (id := a.get("id"))}) == sum(
        "id" in a for _, a in parsed.elements
    )


def test_only_this_script_and_this_style_may_run(parsed: Parsed) -> None:
    def digest(part: str) -> str:
        return base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()

    assert parsed.elements[3][1]["content"] == (
        f"default-src 'none'; script-src 'sha256-{digest(parsed.scripts['program'])}'; "
        f"style-src 'sha256-{digest(parsed.style)}'"
    )
    for tag, attributes in parsed.elements:
        assert not {"style", "src", "href", "srcset", "action"} & set(attributes), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes)
        if tag == "script" and attributes:
            assert attributes["type"] in ("application/json", "application/octet-stream")
    assert sum(tag == "style" for tag, _ in parsed.elements) == 1
    assert [tag for tag, a in parsed.elements if tag == "script" and not a] == ["script"]


def test_there_is_no_address_in_it(shared: page.Shared, parsed: Parsed) -> None:
    """Beside the namespace of SVG, which is a name and is never asked for."""
    outside = shared.html
    for id in ("data", "strings"):
        outside = outside.replace(parsed.scripts[id], "")
    found = re.findall(r"(?:https?:|//)[^\s\"'`]*\.\w+[^\s\"'`]*", outside)
    assert [a for a in found if a.startswith("http") and "//www.w3.org/" not in a] == []
    assert "@import" not in parsed.style and "url(" not in parsed.style


def test_the_leads_are_short(parsed: Parsed) -> None:
    """At most 50 words for each scene, and 60 for each paragraph of the story."""
    strings = parsed.json("strings")
    for scene in SCENES:
        assert 0 < len(strings[f"{scene}.lead"].split()) <= 50, scene
        assert strings[f"{scene}.lead"] in parsed.text
    for key, sentence in strings.items():
        if key.startswith("story."):
            assert len(sentence.split()) < 60, key


def test_the_story_has_this_models_numbers(parsed: Parsed) -> None:
    data, text = parsed.json("data"), " ".join(parsed.text.split())
    assert f"{data['parameters']:,} numbers, called parameters" in text
    assert f"a line break, {data['text']['distinct']} in all" in text
    assert "It did so 6 times." in text
    first, last = data["history"][0]["nats"], data["history"][-1]["nats"]
    assert f"torn between {still.letters(first)} equally likely" in text
    assert f"at the end between {still.letters(last)}" in text


def test_every_static_number_says_what_it_is(parsed: Parsed) -> None:
    """Each <data> outside a traced window names a path in `data` that holds just this value."""
    data = parsed.json("data")
    names = []
    for tag, attributes in parsed.elements:
        if tag != "data" or attributes["data-name"] == "probabilities":
            continue
        name, found = str(attributes["data-name"]), data
        names.append(name)
        for part in re.findall(r"[^.\[\]]+|\[\d+\]", name):
            found = found[int(part[1:-1])] if part.startswith("[") else found[part]
        if name.startswith("curve["):
            assert float(str(attributes["value"])) in found, name
        else:
            assert float(str(attributes["value"])) == pytest.approx(found, rel=1e-5), name
    assert {"parameters", "text.characters", "training.steps"} <= set(names)


def test_static_probabilities_are_those_of_the_weights_in_the_file(
    parsed: Parsed, trained: Poet
) -> None:
    model = embedded(parsed, "end")
    window: list[int] = []
    seen = 0
    for tag, attributes in parsed.elements:
        if "data-ids" in attributes:
            window = [int(i) for i in str(attributes["data-ids"]).split(",")]
            p = model.trace(window)["probabilities"]
        if tag == "data" and attributes["data-name"] == "probabilities":
            row, column = map(int, str(attributes["data-index"]).split(","))
            assert float(str(attributes["value"])) == pytest.approx(p[row, column], rel=1e-4)
            seen += 1
    assert seen > 15


def embedded(parsed: Parsed, id: str) -> Reference:
    """A model as the file holds it."""
    model = next(m for m in parsed.json("data")["models"] if m["id"] == id)
    content = base64.b64decode(parsed.scripts[model["block"]])
    fields = {k: model["config"][k] for k in ModelConfig().to_dict()}
    return Reference(ModelConfig(**fields), unpack(content, model["tensors"]))


# --- what leaves, and what does not ---------------------------------------------------------------


def everything_in(source: str) -> str:
    """The file, and what its base64 and its JSON decode to."""
    parsed = Parsed(source)
    found = [source, html.unescape(source)]
    for id, content in parsed.scripts.items():
        if id.startswith(("weights", "filter")):
            raw = base64.b64decode(content)
            found += [raw.decode("latin-1"), raw.decode("utf-16-le", "replace")]
        elif id != "program":
            found.append(json.dumps(json.loads(content), ensure_ascii=False))
    return "\n".join(found)


def test_the_training_text_stays_at_home(trained: Poet, shared: page.Shared) -> None:
    """Not even eight letters of a sentence that only the training part holds; red with_text."""
    assert CANARY in trained.training_text()
    there = everything_in(shared.html)
    rare = [CANARY[i : i + 12] for i in range(len(CANARY) - 11)]
    assert [piece for piece in rare if piece in there] == []
    assert "The training text itself is not in the file." in shared.said


def test_the_training_text_goes_along_if_asked(trained: Poet, tmp_path: Path) -> None:
    made = trained.share(tmp_path / "open.html", with_text=True)
    assert CANARY in everything_in(made.html)
    parsed = Parsed(made.html)
    assert parsed.json("training-text") == trained.training_text()
    assert "The training text" in [line["what"] for line in made.contents]
    assert "The training text itself is not in the file." not in made.said


def test_what_was_copied_is_told_by_its_length_only(parsed: Parsed, trained: Poet) -> None:
    copied = parsed.json("data")["verdict"]["copied"]
    known = trained.run.load_run()["verdict"]["copied"]
    assert copied == {**known, "longest": None} and known["longest"]


def test_lines_come_from_the_held_out_part(parsed: Parsed, trained: Poet) -> None:
    data = parsed.json("data")
    held_out = trained.tokenizer.decode(corpus.load_parts(trained.run.path / "data").held_out)
    quoted = [line["context"] + line["ids"] for line in data["game"]["lines"]]
    quoted += [data["line"], data["history_ids"]]
    assert len(quoted) > 8
    for ids in quoted:
        assert trained.tokenizer.decode(ids) in held_out


def test_the_filter_knows_the_training_text_and_not_the_rest(parsed: Parsed, trained: Poet) -> None:
    spec = parsed.json("data")["copies"]
    block = base64.b64decode(parsed.scripts[spec.pop("block")])
    filter = Copies(**spec, content=block)
    [(start, length)] = filter.spans(CANARY)
    assert filter.asked(CANARY)[0] == start and start + length == filter.asked(CANARY)[-1] + 12
    assert filter.spans("qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq") == []


def test_contents_count_what_is_there(shared: page.Shared, parsed: Parsed) -> None:
    assert shared.contents == parsed.json("data")["contents"]
    sizes = {line["what"]: line["bytes"] for line in shared.contents}
    assert sizes["Hashes of one in 8 spans of 12 characters of the training text"] == len(
        parsed.scripts["filter"]
    )
    assert 0.9 * shared.bytes < sum(sizes.values()) <= shared.bytes
    assert all(line["tells"] for line in shared.contents)


# --- the data -------------------------------------------------------------------------------------


def test_packing_is_measured(parsed: Parsed, trained: Poet) -> None:
    packing = parsed.json("data")["packing"]
    _, validation, held_out = corpus.load_parts(trained.run.path / "data")
    count = packing["characters"]
    before = int(validation[-1])
    exact = exact_loss(trained.model, held_out[:count], before)
    assert packing["nats_exact"] == pytest.approx(exact, abs=1e-5)
    total = scenes.total_nats(embedded(parsed, "end"), held_out[:count], before)
    assert packing["nats_packed"] == pytest.approx(total / count, abs=1e-6)
    assert count == len(held_out) // 32 * 32 or count == len(held_out)


def test_history(parsed: Parsed, trained: Poet) -> None:
    data, run = parsed.json("data"), trained.run
    steps = [moment["step"] for moment in data["history"]]
    assert steps == sorted({*run.history(), data["training"]["best_step"]})
    curve = dict(run.curve())
    for moment in data["history"]:
        rows = moment["attention"]
        assert [len(row) for row in rows] == list(range(1, len(data["history_ids"]) + 1))
        assert all(sum(row) == pytest.approx(1, abs=2e-3) for row in rows)
        if moment["step"] in curve:
            assert moment["nats"] == pytest.approx(curve[moment["step"]], rel=1e-6)
    models = {m["id"]: m for m in data["models"]}
    assert models.keys() == {m["model"] for m in data["history"] if m["model"]}
    assert "end" in models and "step-0" in models and len(models) == 3
    for moment in data["history"]:
        if moment["model"]:
            assert models[moment["model"]]["step"] == moment["step"]


def test_a_loss_that_training_did_not_measure_is_measured_as_it_would(trained: Poet) -> None:
    parts = corpus.load_parts(trained.run.path / "data")
    measured = scenes.validation_nats(trained.reference, parts)
    best = trained.run.load_run()["best"]["step"]
    assert measured == pytest.approx(dict(trained.run.curve())[best], abs=1e-5)


def test_pairs_are_counted_in_the_training_part(parsed: Parsed, trained: Poet) -> None:
    """With plain sums over the classes, one letter at a time."""
    data = parsed.json("data")
    train = corpus.load_parts(trained.run.path / "data").train
    counter = babypoet.poet.counting.KneserNey.fit(train, trained.tokenizer.vocab_size, 2)
    characters, group = data["characters"], data["game"]["classes"]
    assert all(
        (group[i] == group[j]) == (a.lower() == b.lower())
        for i, a in enumerate(characters)
        for j, b in enumerate(characters)
    )
    line = data["game"]["lines"][3]
    sequence = [line["context"][-1], *line["ids"]]
    assert len(line["pairs"]) == len(line["ids"])
    for place, guess in enumerate(line["pairs"]):
        p = counter.distribution([sequence[place]])
        share: dict[int, float] = {}
        for i, one in enumerate(group):
            share[one] = share.get(one, 0) + p[i]
        order = sorted(share, key=lambda one: -share[one])
        right = group[sequence[place + 1]]
        assert guess["p"] == pytest.approx(share[right], rel=1e-5)
        assert guess["rank"] == order.index(right) + 1
        assert [group[i] for i in guess["top"]] == order[:3]
        for i in guess["top"]:
            assert p[i] == max(q for q, one in zip(p, group, strict=True) if one == group[i])


def test_values_are_named_with_their_lines(parsed: Parsed) -> None:
    found = parsed.json("data")["values"]
    source = (Path(values.__file__).parent / "reference.py").read_text(encoding="utf-8")
    for value in found:
        assert value["file"] == "reference.py" and 0 < value["line"] <= source.count("\n")
    assert {v["name"] for v in found} == {v.name for v in values.TABLE if "modern" in v.rungs}
    assert {w["name"] for w in parsed.json("data")["weights"]} == {w.name for w in values.WEIGHTS}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one line of verse here\nand another of them\n", ["and another of them"]),
        ("x" * 95, ["x" * 40, "x" * 15]),
        ("ab\ncd\n\n  \nef\n", ["cd", "ef"]),
        ("a\n" + "word " * 20 + "\n", ["word " * 11 + "word"]),
        ("a\n" + "愛" * 100 + "\n", ["愛" * 60]),
        ("\n\n\n", []),
        ("", []),
    ],
)
def test_lines_by_hand(text: str, expected: list[str]) -> None:
    assert [text[start:stop] for start, stop in scenes.lines(text)] == expected


def test_lines_are_spread(poems: str) -> None:
    found = scenes.lines(poems[:20_000])
    assert len(found) == 8 and all(15 <= stop - start <= 60 for start, stop in found)
    starts = [start for start, _ in found]
    assert starts == sorted(starts) and starts[-1] > 15_000


# --- runs that lack things ------------------------------------------------------------------------


def test_a_table_of_pairs(poems: str, tmp_path: Path) -> None:
    settings = {"steps": 6, "block_size": 32, "batch_size": 8, "evaluate_every": 3}
    poet = babypoet.train(text=poems[:6000], out=tmp_path / "run", rung="bigram", **settings)
    data = Parsed(poet.share(tmp_path / "p.html").html).json("data")
    assert data["heads"] == [] and data["chosen_head"] is data["history_head"] is None
    assert {moment["attention"] for moment in data["history"]} == {None}


def test_without_history_and_verdict(changed: Callable[..., RunFolder]) -> None:
    run = changed(verdict=None)
    for folder in (run.path / "history").iterdir():
        shutil.rmtree(folder)
    made = page.render(run)
    data = Parsed(made.html).json("data")
    assert [moment["model"] for moment in data["history"]] == ["end"]
    assert data["verdict"] is None and data["opponents"] == {}
    assert data["history"][0]["sample"]


@pytest.mark.parametrize("left", [0, 1, 5, 40])
def test_a_tiny_held_out_part(
    changed: Callable[..., RunFolder], monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    parts = corpus.load_parts(changed(verdict=None).path / "data")
    short = parts._replace(held_out=parts.held_out[:left])
    monkeypatch.setattr(corpus, "load_parts", lambda _: short)
    run = RunFolder.open(Path(parts.train.filename).parent.parent)  # type: ignore[attr-defined]
    data = Parsed(page.render(run).html).json("data")
    assert data["packing"]["characters"] == left and data["line"]
    assert (data["packing"]["nats_exact"] is None) == (left == 0)


@pytest.mark.parametrize("block_size", [1, 2, 7])
def test_a_tiny_context(poems: str, tmp_path: Path, block_size: int) -> None:
    poet = train(tmp_path / "run", poems[:4000], block_size=block_size, steps=3)
    data = Parsed(poet.share(tmp_path / "p.html").html).json("data")
    assert 1 <= len(data["history_ids"]) <= len(data["line"]) <= block_size


def test_thousands_of_characters(tmp_path: Path) -> None:
    """300 lines of seven characters, 2,500 different ones, as in a book of Chinese poems."""
    generator = np.random.default_rng(0)
    text = [chr(0x4E00 + i) for i in range(2500)]
    lines = [generator.permutation(text)[:7] for _ in range(1200)]
    verse = "\n".join("".join(line) for line in lines)
    poet = train(tmp_path / "run", verse, steps=2, snapshots=2)
    made = poet.share(tmp_path / "p.html")
    data = Parsed(made.html).json("data")
    assert len(data["characters"]) > 2400 and len(data["game"]["lines"]) == 8
    assert not poet.tokenizer.foreign(data["prompt"]) and made.bytes < page.BUDGET


def test_without_line_breaks(tmp_path: Path, poems: str) -> None:
    poet = train(tmp_path / "run", poems[:6000].replace("\n", " "), steps=2, snapshots=0)
    data = Parsed(poet.share(tmp_path / "p.html").html).json("data")
    assert len(data["game"]["lines"]) == 8


def test_a_ladder_brings_its_rungs(tmp_path: Path, poems: str) -> None:
    settings = {k: v for k, v in TINY.items() if k not in ("n_kv_head",)}
    climbed = babypoet.compare(text=poems[:5000], out=tmp_path / "l", **settings, n_kv_head=1)
    runs = {result.rung: result.run for result in climbed.results}
    shutil.rmtree(runs["attention"] / "checkpoints")  # a damaged one is left out
    found = page.render(RunFolder.open(runs["modern"]))
    data = Parsed(found.html).json("data")
    rungs = [m["id"] for m in data["models"] if m["id"].startswith("rung-")]
    assert sorted(rungs) == ["rung-bigram", "rung-multihead", "rung-transformer"]
    rungs = {rung for v in data["values"] for rung in v["rungs"]}
    assert rungs == {"modern", "bigram", "multihead", "transformer"}
    assert found.bytes < page.BUDGET
    sizes = [m["parameters"] for m in data["models"] if m["id"].startswith("rung-")]
    assert sizes == sorted(sizes)
    # a run of the same name beside it, of another text, is none of its rungs
    record = RunFolder.open(runs["bigram"]).load_run()
    other = RunFolder.open(runs["bigram"])
    other.save_run({**record, "text": {**record["text"], "digest": "other"}})
    data = Parsed(page.render(RunFolder.open(runs["modern"])).html).json("data")
    assert "rung-bigram" not in [m["id"] for m in data["models"]]


def test_what_does_not_fit_is_left_out_and_said(
    trained: Poet, shared: page.Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red without the budget; with one it ends just above, the least wanted goes first."""
    monkeypatch.setattr(page, "BUDGET", shared.bytes - 5000)
    made = page.render(trained.run)
    ids = [m["id"] for m in Parsed(made.html).json("data")["models"]]
    assert len(ids) == 2 and ids[0] == "end" and "step-0" not in ids
    assert made.bytes <= page.BUDGET
    assert any(s.startswith("Left out") and "update 0" in s for s in made.said)
    monkeypatch.setattr(page, "BUDGET", 1000)
    for weights, remedy in (("fp32", "--weights int8"), ("int8", "--n-embd")):
        made = page.render(trained.run, weights)  # type: ignore[arg-type]
        assert [m["id"] for m in Parsed(made.html).json("data")["models"]] == ["end"]
        assert any("more than 1,000" in s and remedy in s for s in made.said)
    monkeypatch.setattr(page, "BUDGET", page.render(trained.run).bytes + 5000)
    assert any("Leave --with-text" in s for s in page.render(trained.run, with_text=True).said)


def test_weights_that_are_no_numbers(trained: Poet, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = trained.run.weights()
    monkeypatch.setattr(
        RunFolder, "weights", lambda self: {k: w * np.float32(np.nan) for k, w in weights.items()}
    )
    with pytest.raises(RunError, match="no longer numbers"):
        page.render(trained.run)


@pytest.mark.parametrize("precision", ["int8", "fp16", "fp32"])
def test_precisions(trained: Poet, precision: Any) -> None:
    made = page.render(trained.run, precision)
    data = Parsed(made.html).json("data")
    assert {m["precision"] for m in data["models"]} == {precision}
    lost = abs(data["packing"]["nats_packed"] - data["packing"]["nats_exact"])
    assert lost < {"int8": 0.01, "fp16": 1e-4, "fp32": 1e-6}[precision]


def test_an_unknown_precision(trained: Poet) -> None:
    with pytest.raises(BabyPoetError, match="int8"):
        page.render(trained.run, "int4")  # type: ignore[arg-type]


# --- hostile texts --------------------------------------------------------------------------------


def test_no_text_can_break_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same elements as for a harmless text; the hostile one comes back whole from the data."""
    text = "\n".join(HOSTILE * 40)
    poet = train(tmp_path / "</script><b>.run".replace("/", "-"), text, steps=2)
    run = poet.run
    run.save_run({**run.load_run(), "text": {**run.load_run()["text"], "name": HOSTILE[0]}})
    sample = "\n".join(HOSTILE) + "\ud800"
    monkeypatch.setattr(RunFolder, "load_history", lambda self, step: (self.weights(), sample))
    made = poet.share(tmp_path / "p.html", with_text=True)
    parsed = Parsed(made.html)
    tags = {tag for tag, _ in parsed.elements}
    assert not tags & {"img", "textarea"} and "onerror" not in str(parsed.elements)
    assert parsed.ids("section") == [*SCENES, "story", "room", "about"]
    assert sum(tag == "script" for tag, _ in parsed.elements) == len(parsed.scripts)
    data = parsed.json("data")
    assert data["text"]["name"] == HOSTILE[0] and parsed.json("training-text") in text
    assert any(moment["sample"] == sample for moment in data["history"])
    assert HOSTILE[0] in parsed.text and "{{script}}" in parsed.text
    raw = made.html.encode()  # a lone surrogate could not be encoded
    assert b"\0" not in raw and b"\x7f" not in raw
    blocks = "".join(parsed.scripts[id] for id in ("data", "strings", "training-text"))
    assert not set(blocks) & set("<>&\u2028\u2029\ufeff\x85")


@pytest.mark.parametrize("text", ["</script>", "<!--", "]]>", "\u2028", "\ud800", "a&b", "\0\x85"])
def test_json_is_harmless(text: str) -> None:
    written = page._json({text: text})
    assert json.loads(written) == {text: text}
    written.encode()
    assert not set(written) & set("<>&\u2028\ud800\0\x85")


def test_what_cannot_be_shown_is_shown() -> None:
    assert safe("a\0b\x1b\x7f\x85\udfff\ufffe") == "a␀b␛␡\ufffd\ufffd\ufffd"


# --- words ----------------------------------------------------------------------------------------


def write(path: Path, value: object) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def test_other_words(trained: Poet, tmp_path: Path) -> None:
    finnish = {"page.language": "fi", "story.heading": "Koko <tarina>", "guess.lead": "Arvaa."}
    path = write(tmp_path / "fi.json", finnish)
    made = trained.share(tmp_path / "p.html", strings=path)
    parsed = Parsed(made.html)
    assert parsed.elements[0][1]["lang"] == "fi" and "Koko <tarina>" in parsed.text
    assert "Arvaa." in parsed.text and parsed.json("strings")["guess.lead"] == "Arvaa."
    assert parsed.json("data")["language"] == "fi"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"story.headin": "x"}, r"no sentence 'story.headin'.*'story.heading'"),
        ({"story.loss": "{first} {lost}"}, r"'story.loss' has the placeholder \{lost\}.*\{first\}"),
        ({"story.heading": 3}, r"'story.heading' should be a sentence.*a number"),
        ({"story.heading": None}, r"'story.heading' should be.*null"),
        (["a"], "one JSON object.*a list"),
        ("{", "is not JSON"),
    ],
    ids=str,
)
def test_words_that_cannot_be(words: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=message):
        translated(write(tmp_path / "words.json", words))


def test_a_file_of_words_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"fi\.json cannot be read"):
        translated(tmp_path / "fi.json")


def test_a_language_may_have_more_plurals(tmp_path: Path) -> None:
    key = next(k for k in values.strings() if k.endswith(".other")).removesuffix("other")
    assert translated(write(tmp_path / "w.json", {key + "few": "x"}))[key + "few"] == "x"


def test_the_table_is_flat_and_sorted() -> None:
    source = (SOURCES / "strings.json").read_text(encoding="utf-8")
    table = json.loads(source)
    assert list(table) == sorted(table) and all(isinstance(v, str) for v in table.values())
    assert len(re.findall(r'^ "', source, flags=re.MULTILINE)) == len(table)  # no key twice


def test_every_sentence_of_mine_is_used() -> None:
    """Red when a sentence is no longer said, or said under another name."""
    folder = Path(page.__file__).parent
    code = "\n".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    code += (SOURCES / "page.html").read_text(encoding="utf-8")
    for key in values.strings():
        if key.startswith(("file.", "story.")):
            stem, _, last = key.partition(".")[2].rpartition(".")
            pieces = (key, f'"{key.partition(".")[2]}"', f"{stem}.{{" if stem else key)
            built = any(
                re.search(pattern, key.partition(".")[2])
                for pattern in (
                    r"_tells$",
                    r"_heading$",
                    r"^level_",
                    r"^room_",
                    r"^too_big_",
                    r"_none$",
                )
            )
            assert built or any(piece in code for piece in pieces), (key, last)


# --- bundling -------------------------------------------------------------------------------------


@pytest.fixture
def modules(tmp_path: Path) -> Callable[..., Path]:
    def modules(**sources: str) -> Path:
        for name, source in sources.items():
            (tmp_path / f"{name}.js").write_text(source, encoding="utf-8")
        return tmp_path

    return modules


def all_modules() -> Iterator[Path]:
    return iter(sorted(SOURCES.glob("*.js")))


@pytest.mark.parametrize("path", list(all_modules()), ids=lambda path: path.name)
def test_the_pages_own_modules_can_be_bundled(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    module = Module(path.name, source)
    assert module.rewritten().count("\n") >= source.count("\n")
    assert len(module.code) == len(source)
    assert all(module.code.count(a) == module.code.count(b) for a, b in ("()", "[]", "{}"))


def test_every_module_is_in_the_script(parsed: Parsed) -> None:
    names = re.findall(r"^// ([\w-]+\.js)$", parsed.scripts["program"], flags=re.MULTILINE)
    assert sorted(names) == [path.name for path in all_modules()] and names[-1] == "app.js"
    code = blanked(parsed.scripts["program"])
    assert not re.search(r"(?<![\w.])(import|export)(?![\w])", code)


def test_modules_come_after_what_they_import(modules: Callable[..., Path]) -> None:
    folder = modules(
        app='import { b } from "./b.js";\nimport {\n  a,\n  c,\n} from "./a-z.js";\nb(a, c);\n',
        b='import { a } from "./a-z.js";\nexport async function b() { await a; }\n',
        **{"a-z": "export const a = 1;\nexport class c {}\nexport function* d() {}\n"},
    )
    script = bundle(folder, "app.js")
    assert re.findall(r"^const (\$\w+) =", script, re.MULTILINE) == ["$a_z", "$b", "$app"]
    assert "const { a, c } = $a_z;\n\n\n\nb(a, c);" in script  # lines keep their number
    assert "return { a, c, d };" in script and "return { b };" in script


def test_words_in_strings_and_comments_are_no_code(modules: Callable[..., Path]) -> None:
    source = (
        "/** @typedef {import('./x.js').X} X */\n"
        "// export default nothing\n"
        "const s = 'import x' + \"export y\" + `await ${f({a: `import`})} export`;\n"
        "const r = /import [/\"'`{]/g, half = 4 / 2 / 1;\n"
        "x.import = y.export;\n"
    )
    assert Module("a.js", source).imports == []
    assert "import" not in blanked(source).replace("x.import", "")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('import a from "./b.js";', "line 1: the only import"),
        ('import * as a from "./b.js";', "line 1: the only import"),
        ('import { a as c } from "./b.js";', "line 1: the only import"),
        ('import "./b.js";', "line 1: the only import"),
        ('import { a } from "b";', "line 1: the only import"),
        ('import { a } from "../b.js";', "line 1: the only import"),
        ("import { a } from './b.js';", "line 1: the only import"),
        ('\nconst x = await import("./b.js");', "line 2"),
        ('f(import("./b.js"));', "line 1: only at the start"),
        ("f(import.meta.url);", "line 1: only at the start"),
        ('let x = 1;\nimport { a } from "./b.js";', "line 2: imports stand at the top"),
        ("export default 1;", "line 1: only a function"),
        ("export { a };", "line 1: only a function"),
        ('export * from "./b.js";', "line 1: only a function"),
        ("export let a = 1;", "line 1: only a function"),
        ("export const { a } = b;", "line 1: only a function"),
        ("export const a = 1;\nexport const a = 2;", "line 2: a is exported twice"),
        ("{\nexport const a = 1;\n}", "line 2: only at the start"),
        (" export const a = 1;", "line 1: only at the start"),
        ("1;\nawait f();", "line 2: a classic script has no top-level await"),
        ("\n'</script>'", "line 2: '</script' must not stand"),
        ("// <!-- x", "line 1: '<!--' must not stand"),
        ('import { nothing } from "./b.js";', "line 1: b.js exports no nothing"),
        ('import { a } from "./c.js";', "line 1: there is no c.js"),
        ('import { a } from "./app.js";', r"line 1: .*in a circle: app.js -> app.js"),
        ('import { a } from "./d.js";', r"d.js, line 1: .*in a circle: app.js -> d.js -> app.js"),
    ],
    ids=lambda value: value[:40],
)
def test_what_cannot_be_bundled(source: str, message: str, modules: Callable[..., Path]) -> None:
    folder = modules(
        app=source,
        b="export const a = 1;\n",
        d='import { a } from "./app.js";\nexport const a = 1;',
    )
    with pytest.raises(BundlingError, match=message):
        bundle(folder, "app.js")


# --- the command ----------------------------------------------------------------------------------


def test_share(
    trained: Poet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert cli.main(["share", "--run", str(trained.run.path)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "tiny.html" and (tmp_path / "tiny.html").is_file()
    said = " ".join(out.split())
    for words in ("go on with any text", "words of the text itself", "test "
                  "whether it was in the text", "A statistic of the training text", "loss of",
                  "training text itself is not in the file"):  # fmt: skip
        assert words in said, words
    (tmp_path / "old.html").write_text("old", encoding="utf-8")
    arguments = ["share", "--run", str(trained.run.path), "-o", "old.html", "--with-text"]
    assert cli.main([*arguments, "--weights", "fp16"]) == 0
    assert CANARY in (tmp_path / "old.html").read_text(encoding="utf-8")


def test_where_no_file_can_be(
    trained: Poet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SettingError, match="is a folder; give a file"):
        trained.share(tmp_path)
    with pytest.raises(SettingError, match="There is no folder"):
        trained.share(tmp_path / "no" / "p.html")
    assert cli.main(["share", "--run", str(trained.run.path), "-o", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_sharing_needs_no_torch(trained: Poet, tmp_path: Path) -> None:
    code = (
        "import sys; from babypoet.cli import main; code = main(sys.argv[1:]); "
        "assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules, 'heavy'; exit(code)"
    )
    arguments = ["share", "--run", str(trained.run.path), "-o", str(tmp_path / "p.html")]
    ran = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_in_a_notebook(trained: Poet) -> None:
    shown = trained.show()._repr_html_()
    parsed = Parsed(shown)
    assert [tag for tag, _ in parsed.elements] == ["iframe"]
    frame = parsed.elements[0][1]
    assert frame["sandbox"] == "allow-scripts" and "style" not in frame
    assert Parsed(str(frame["srcdoc"])).ids("section") == [*SCENES, "story", "room", "about"]


def test_nothing_in_the_run_is_changed(trained: Poet) -> None:
    def state() -> list[tuple[str, int, int]]:
        paths = sorted(p for p in trained.run.path.rglob("*") if p.is_file())
        return [(p.name, p.stat().st_mtime_ns, p.stat().st_size) for p in paths]

    before = state()
    page.render(trained.run)
    assert state() == before


def test_damaged_data_are_refused(changed: Callable[..., RunFolder]) -> None:
    run = changed()
    np.save(run.path / "data" / "train.npy", np.zeros(10, np.uint8))
    with pytest.raises(RunError, match="was changed"):
        page.render(run)
