"""A run as one HTML file: the model, a page that runs it, and nothing that needs a network.

    shared = share(RunFolder.open("runs/poems-modern"), Path("poet.html"))
    shared.bytes, shared.said           # 3_912_345, ["The training text itself is not ...", ...]
    render(run).html                    # the same as a string, for a notebook

page/ holds the parts: page.html, style.css, still.css, strings.json and the ES modules, which
`bundling.py` makes into one script. The facts come from `scenes.py`, the static pictures from
`still.py`. The file's first line of defence against anything in a text is a Content-Security-Policy
that lets only this script and this style in; the second is that a text never becomes markup.

Of the training part only statistics leave (weights, hashes, the pair table's guesses), unless
`with_text` is given. Nothing in the run is changed, and torch is not needed."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

from babypoet import __version__, corpus, gradients, heads, reference, values
from babypoet.config import ModelConfig
from babypoet.errors import BabyPoetError, RunError, SettingError
from babypoet.exporting import copies, packing, scenes
from babypoet.exporting.bundling import bundle
from babypoet.exporting.packing import Precision
from babypoet.exporting.still import Still
from babypoet.exporting.words import Html, plain, safe, translated
from babypoet.reference import Reference
from babypoet.runs import RunFolder, disk_errors, write_atomic
from babypoet.tokenizer import _PLAIN_OF, CharTokenizer

FORMAT = 1
BUDGET = 5_000_000  # bytes: what a mail carries without asking
SAID = 1_000  # bytes: what is said about a model once it is in
TABLED = 8_000  # bytes: the values of one more rung
SCENES = ("guess", "training", "dice", "looking", "copying", "room")
_HARMFUL = re.compile("[<>&\u2028\u2029\x7f-\x9f\ufdd0-\ufdef\ufeff\ufffe\uffff\ud800-\udfff]")


@dataclass(frozen=True)
class Shared:
    """A page, and what there is to say about it."""

    html: str
    contents: list[dict[str, Any]]
    """What is in it: `what`, its `bytes`, and what it `tells` whoever has the file."""
    said: list[str]
    """What is not in it, what it lost in packing, and what was left out."""
    path: Path | None = None

    @property
    def bytes(self) -> int:
        """How large the file is."""
        return len(self.html.encode())


def share(
    run: RunFolder,
    path: Path,
    weights: Precision = "int8",
    with_text: bool = False,
    strings: Path | None = None,
    opponents: Mapping[str, float] | None = None,
) -> Shared:
    """Write a run to one HTML file, whole or not at all; one that is there is replaced.

    `weights`: int8, fp16 or fp32. `strings`: a JSON file with words in another language.
    `opponents`: what counting reaches on the validation part, in nats, by name. A folder at `path`,
    or none to put it in, is a SettingError."""
    if path.is_dir():
        raise SettingError(f"{path} is a folder; give a file to write: -o {path / 'poet.html'}")
    if not path.parent.is_dir():
        raise SettingError(f"There is no folder {path.parent}; make it, or give another -o.")
    made = render(run, weights, with_text, strings, opponents)
    with disk_errors(str(path), "Make room, or give another -o."):
        write_atomic(path, made.html.encode())
    return Shared(made.html, made.contents, made.said, path)


@dataclass(frozen=True)
class Inline:
    """A page that a notebook shows in the place of an object."""

    html: str
    height: int = 800

    def _repr_html_(self) -> str:
        """A frame with the whole page in it, which can reach neither the notebook nor a network."""
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" width="100%" height="{self.height}" '
            'sandbox="allow-scripts" title="babypoet" frameborder="0"></iframe>'
        )


@dataclass
class Model:
    """One set of weights in the page."""

    id: str
    run: RunFolder
    step: int
    config: ModelConfig
    content: bytes
    tensors: list[dict[str, Any]]
    exact: Reference
    precision: Precision
    nats: float | None = None
    held_out_nats: float | None = None

    @property
    def packed(self) -> Reference:
        """The model with the weights that are in the file."""
        return Reference(self.config, packing.unpack(self.content, self.tensors))

    @property
    def block(self) -> str:
        """The id of its data block."""
        return f"weights-{self.id}"

    @property
    def parameters(self) -> int:
        """How many numbers it is made of."""
        return sum(int(np.prod(shape)) for shape in reference.shapes(self.config).values())

    def to_dict(self) -> dict[str, Any]:
        """As the page reads it."""
        derived = {name: getattr(self.config, name) for name in ("n_hidden", "head_size", "rows")}
        return {
            "id": self.id,
            "step": self.step,
            "rung": self.config.rung,
            "config": self.config.to_dict() | derived,
            "precision": self.precision,
            "block": self.block,
            "parameters": self.parameters,
            "tensors": self.tensors,
            "held_out_nats": self.held_out_nats,
            "nats": self.nats,
        }


@dataclass
class Draft:
    """A page in the making: what it says, and the blocks of bytes that lie beside it."""

    data: dict[str, Any]
    words: dict[str, str]
    precision: Precision
    end: Model
    filter: copies.Copies
    text: str | None
    models: list[Model] = field(default_factory=list)


def render(
    run: RunFolder,
    weights: Precision = "int8",
    with_text: bool = False,
    strings: Path | None = None,
    opponents: Mapping[str, float] | None = None,
) -> Shared:
    """The page of a run; see `share`."""
    words = translated(strings)
    run.check_data()
    parts = corpus.load_parts(run.path / "data")
    tokenizer = run.tokenizer()
    config = run.model_config()
    end = _model("end", run, config, int(run.load_run()["best"]["step"]), run.weights(), weights)
    judged = scenes.first_held_out(parts, config.block_size)
    end.nats = scenes.held_out_nats(end.packed, parts, judged)
    exact = scenes.held_out_nats(end.exact, parts, judged)

    found = heads.measure(end.exact, parts.held_out, tokenizer.characters)
    chosen = heads.choose(found)
    told = scenes.game(parts.held_out, parts.train, tokenizer.characters, config.block_size)
    prompt = scenes.prompt(tokenizer, parts.held_out)
    line = scenes.line_to_look_at(told, tokenizer.encode(prompt), config.block_size)
    glimpse = scenes.glimpse(line, tokenizer.characters)
    moments = scenes.history(run, end.exact, parts, chosen, glimpse)
    remembered = copies.build(parts.train, tokenizer.characters)
    place = None if chosen is None else {"layer": chosen.layer, "head": chosen.head}
    data = {
        **_about(run, tokenizer, with_text),
        "language": words.get("page.language", "en"),
        "prompt": prompt,
        "parameters": end.parameters,
        "opponents": {k: scenes.finite(v) for k, v in (opponents or {}).items()},
        "packing": {
            "precision": weights,
            "nats_exact": exact,
            "nats_packed": end.nats,
            "characters": len(judged),
        },
        "curve": [[step, scenes.finite(nats)] for step, nats in run.curve() if np.isfinite(nats)],
        "game": told,
        "heads": [_head(head) for head in found],
        "chosen_head": place,
        "history_head": place,
        "history_ids": glimpse,
        "line": line,
        "copies": {**remembered.spec(), "block": "filter"},
        "weights": [{"name": weight.name, "shape": weight.shape} for weight in values.WEIGHTS],
        "models": [],
        "history": [],
        "values": [],
        "gradients": [],
        "contents": [],
    }
    text = tokenizer.decode(parts.train.tolist()) if with_text else None
    draft = Draft(data, words, weights, end, remembered, text, models=[end])
    candidates = _candidates(run, end, moments, weights, data["opponents"].get("letter pairs"))
    left_out = _fill(draft, moments, candidates, parts, judged, tokenizer.encode(prompt))
    made = _assembled(draft, moments, tokenizer.encode(prompt))
    return Shared(made, data["contents"], list(_said(draft, left_out, len(made.encode()))))


def _about(run: RunFolder, tokenizer: CharTokenizer, with_text: bool) -> dict[str, Any]:
    """What run.json and tokenizer.json know."""
    record = run.load_run()
    verdict = record.get("verdict")
    if verdict and verdict.get("copied") and not with_text:
        # what was copied is a passage of the training text; that there is one may be told
        verdict = {**verdict, "copied": {**verdict["copied"], "longest": None}}
    metrics = run.lines("metrics.jsonl")
    sizes = {name: record["data"][name] for name in ("train", "validation", "held_out")}
    text = {name: record["text"][name] for name in ("name", "characters")}
    return {
        "format": FORMAT,
        "babypoet": __version__,
        "name": run.path.resolve().name,
        "rung": record["model"]["rung"],
        "created": record["created"],
        "seed": 0,
        "characters": list(tokenizer.characters),
        "plain": _PLAIN_OF,
        "text": {**text, "distinct": tokenizer.vocab_size, **sizes},
        "training": {
            "steps": metrics[-1]["step"] if metrics else record["best"]["step"],
            "best_step": record["best"]["step"],
            "seconds": metrics[-1]["seconds"] if metrics else None,
        },
        "verdict": verdict,
    }


def _head(head: heads.Head) -> dict[str, Any]:
    """A head as the page reads it, six decimals each."""
    rounded = {
        kind: {name: round(x, 6) for name, x in getattr(head, kind).items()}
        for kind in ("mass", "expected")
    }
    return {**asdict(head), **rounded, "score": round(head.score, 6)}


def _values(draft: Draft) -> list[dict[str, Any]]:
    """The table of named values, for the rungs that are in the file, the run's own first."""
    rungs = list(dict.fromkeys(model.config.rung for model in draft.models))
    found = []
    for rung in rungs:
        for value in values.TABLE:
            has = [name for name in rungs if name in value.rungs]
            if has and has[0] == rung:
                file, line = values.source(value.name, rung)
                shape, equation = value.shape, value.equation
                found.append({"name": value.name, "equation": equation, "shape": shape,
                              "file": file, "line": line, "rungs": has})  # fmt: skip
    return found


def _gradients(draft: Draft) -> list[dict[str, Any]]:
    """How the gradient of each named value is found, for the rungs that are in the file."""
    rungs = {model.config.rung for model in draft.models}
    return [
        {"name": name, "formula": formula, "rungs": [rung for rung in has if rung in rungs]}
        for name, formula, has in gradients.FORMULAS
        if rungs.intersection(has)
    ]


# --- which weights --------------------------------------------------------------------------------


def _model(
    id: str,
    run: RunFolder,
    config: ModelConfig,
    step: int,
    weights: Mapping[str, Any],
    precision: Precision,
) -> Model:
    exact = Reference(config, weights)
    if not all(np.isfinite(tensor).all() for tensor in weights.values()):
        raise RunError(
            f"The weights of {run.path} at update {step} are no longer numbers, so there is "
            "nothing to share: its training went astray. Train again with a smaller "
            "--learning-rate."
        )
    content, tensors = packing.pack(weights, precision)
    verdict = run.load_run().get("verdict") or {}
    judged = verdict.get("held_out", {}).get("nats") if not id.startswith("step") else None
    return Model(id, run, step, config, content, tensors, exact, precision, held_out_nats=judged)


def _candidates(
    run: RunFolder,
    end: Model,
    moments: list[scenes.Moment],
    precision: Precision,
    pairs: float | None,
) -> Iterator[Callable[[], Model]]:
    """What else may go into the file, the most wanted first; nothing is loaded before its turn."""

    def moment(step: int) -> Callable[[], Model]:
        return lambda: _model(
            f"step-{step}", run, end.config, step, run.load_history(step)[0], precision
        )

    def rung(other: RunFolder) -> Callable[[], Model]:
        config, step = other.model_config(), int(other.load_run()["best"]["step"])
        return lambda: _model(
            f"rung-{config.rung}", other, config, step, other.weights(), precision
        )

    if (middle := scenes.half_way(moments, pairs)) is not None:
        yield moment(middle.step)
    if moments[0].step == 0 and moments[0].model is None:
        yield moment(0)
    siblings = list(scenes.ladder(run))
    yield from (rung(other) for other in sorted(siblings, key=_size))


def _size(run: RunFolder) -> int:
    return sum(int(np.prod(shape)) for shape in reference.shapes(run.model_config()).values())


def _fill(
    draft: Draft,
    moments: list[scenes.Moment],
    candidates: Iterator[Callable[[], Model]],
    parts: corpus.Parts,
    judged: Any,
    prompt: list[int],
) -> list[Model]:
    """Put in what fits into the budget; the models for which there was no room."""
    size = len(_assembled(draft, moments, prompt).encode())
    left_out = []
    for load in candidates:
        try:
            model = load()
        except BabyPoetError:  # damaged, or of numbers that half-precision floats cannot hold
            continue
        cost = len(_base64(model.content)) + len(_json(model.to_dict())) + SAID
        cost += TABLED if model.config.rung != draft.end.config.rung else 0
        if size + cost > BUDGET:
            left_out.append(model)
            continue
        size += cost
        model.nats = scenes.held_out_nats(model.packed, parts, judged)
        draft.models.append(model)
        for moment in moments:
            if model.id == f"step-{moment.step}":
                moment.model = model.id
    return left_out


# --- the file -------------------------------------------------------------------------------------


def _assembled(draft: Draft, moments: list[scenes.Moment], prompt: list[int]) -> str:
    """The whole file. Fills in what depends on which models are in it."""
    data, words = draft.data, draft.words
    data["models"] = [model.to_dict() for model in draft.models]
    data["history"] = [moment.to_dict() for moment in moments]
    data["values"] = _values(draft)
    data["gradients"] = _gradients(draft)
    with as_file(files("babypoet") / "page") as folder:
        styles = (folder / name for name in ("style.css", "still.css"))
        style = "\n".join(path.read_text(encoding="utf-8") for path in styles)
        template = (folder / "page.html").read_text(encoding="utf-8")
        script = bundle(folder, "app.js")
    assert "</style" not in style.lower() and "\r" not in style, "style.css would end its element"
    still = Still(data, words, draft.end.packed, prompt)
    fragments: dict[str, str] = {
        "language": safe(data["language"]),
        "policy": policy(script, style),
        "version": safe(__version__),
        "title": still.say("story.page_title", name=data["name"]),
        "style": style,
        "lead": still.lead(),
        "story": still.story(),
        "script": script,
        **{f"scene:{name}": _scene(still, name) for name in SCENES},
    }
    data["contents"] = _contents(draft, sum(len(part.encode()) for part in fragments.values()))
    fragments |= {"contents": still.contents(), "blocks": _blocks(draft)}

    def fragment(match: re.Match[str]) -> str:
        name = match.group(1)
        return still.say(name[4:]) if name.startswith("say:") else fragments[name]

    return re.sub(r"\{\{([\w:.-]+)\}\}", fragment, template)


def policy(script: str, style: str) -> str:
    """The Content-Security-Policy that lets this script and this style in and nothing else."""
    hashes = (
        base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        for part in (script, style)
    )
    return "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'".format(*hashes)


def _scene(still: Still, name: str) -> str:
    """A section: its heading and lead, what can be seen without JavaScript, and where the living
    scene goes."""
    shown: Html = getattr(still, name)()
    return (
        f'<section id="{name}" class="scene" aria-labelledby="{name}-heading">\n'
        f'<h2 id="{name}-heading">{still.say(f"{name}.title")}</h2>\n'
        f'<p class="lead">{still.say(f"{name}.lead")}</p>\n'
        f'<div class="still">{shown}</div>\n<div class="live" hidden></div>\n</section>'
    )


def _blocks(draft: Draft) -> str:
    """The data, as elements that no browser runs."""

    def block(id: str, kind: str, content: str) -> str:
        return f'<script type="{kind}" id="{id}">{content}</script>'

    binary = "application/octet-stream"
    found = [
        block("data", "application/json", _json(draft.data)),
        block("strings", "application/json", _json(draft.words)),
        *(block(model.block, binary, _base64(model.content)) for model in draft.models),
        block("filter", binary, _base64(draft.filter.content)),
    ]
    if draft.text is not None:
        found.append(block("training-text", "application/json", _json(draft.text)))
    return "\n".join(found)


def _json(value: Any) -> str:
    """JSON in which nothing can end its element, and every character is one that HTML may hold.

    >>> _json("</script>")
    '"\\\\u003c/script\\\\u003e"'
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _HARMFUL.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


# --- what is said about it ------------------------------------------------------------------------


def _contents(draft: Draft, page: int) -> list[dict[str, Any]]:
    """What the file holds and what it gives away."""
    data, words = draft.data, draft.words
    lines: list[dict[str, Any]] = []

    def line(key: str, size: int, tells: str, **parts: str | int) -> None:
        written = {k: f"{v:,}" if isinstance(v, int) else v for k, v in parts.items()}
        lines.append(
            {
                "what": plain(words[f"file.{key}"], **written),
                "bytes": size,
                "tells": plain(words[f"file.{tells}_tells"], **written),
            }
        )

    for model in draft.models:
        kind = {"s": "weights_step", "r": "weights_rung"}.get(model.id[0], "weights")
        about = {"n": model.parameters, "precision": model.precision}
        size = len(_base64(model.content))
        tells = "weights_step" if kind == "weights_step" else "weights"
        line(kind, size, tells, **about, step=model.step, rung=model.config.rung)
    game = data["game"]["lines"]
    if game:
        quoted = [{**entry, "pairs": []} for entry in game]
        characters = sum(len(entry["context"]) + len(entry["ids"]) for entry in game)
        line("game", len(_json(quoted)), "game", n=len(game), characters=characters)
        line("pairs", len(_json([entry["pairs"] for entry in game])), "pairs")
    samples = [moment["sample"] for moment in data["history"]]
    line("samples", len(_json(samples).encode()), "samples", n=len(samples))
    if draft.filter.bits:
        key = "filter" if draft.filter.covered == draft.filter.of else "filter_partly"
        line(key, len(_base64(draft.filter.content)), "filter", **draft.filter.spec())
    size = len(_json(data["characters"]).encode())
    line("vocabulary", size, "vocabulary", n=len(data["characters"]))
    counted = {"game", "characters", "models", "contents", "values", "weights", "plain"}
    rest = {name: value for name, value in data.items() if name not in counted}
    rest["history"] = [{**moment, "sample": ""} for moment in data["history"]]
    line("losses", len(_json(rest).encode()), "losses")
    if draft.text is not None:
        line("text", len(_json(draft.text).encode()), "text")
    tables = _json([data["values"], data["weights"], data["models"], data["plain"], words])
    line("page", page + len(tables.encode()), "page")
    return lines


def _said(draft: Draft, left_out: list[Model], size: int) -> Iterator[str]:
    """What the command adds to the list of contents."""
    words, packed = draft.words, draft.data["packing"]
    if draft.text is None:
        yield words["file.no_text"]
    if packed["nats_exact"] is not None and packed["nats_packed"] is not None:
        yield plain(
            words["file.packed"],
            precision=draft.precision,
            packed=f"{packed['nats_packed']:.4f}",
            exact=f"{packed['nats_exact']:.4f}",
            n=f"{packed['characters']:,}",
        )
    if left_out:
        named = (
            plain(words["file.left_out_rung"], rung=model.config.rung)
            if model.id.startswith("rung")
            else plain(words["file.left_out_step"], step=f"{model.step:,}")
            for model in left_out
        )
        yield plain(words["file.left_out"], limit=f"{BUDGET:,}", what=", ".join(named))
    if size > BUDGET:
        text = len(_json(draft.text).encode()) if draft.text is not None else 0
        why, remedy = "model", "retrain" if draft.precision == "int8" else "int8"
        if text > size - BUDGET:
            why, remedy = "text", "without"
        yield plain(
            words["file.too_big"],
            bytes=f"{size:,}",
            limit=f"{BUDGET:,}",
            what=words[f"file.too_big_{why}"],
            remedy=words[f"file.too_big_{remedy}"],
        )
