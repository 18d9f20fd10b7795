"""Texts of every kind go all the way: trained on, saved, loaded, written, judged."""

import json
import random
import unicodedata
from pathlib import Path

import pytest

import babypoet
from babypoet import corpus
from babypoet.config import TrainConfig
from babypoet.runs import RunFolder

TEXTS = {
    "chinese": """床前明月光，疑是地上霜。
举头望明月，低头思故乡。
白日依山尽，黄河入海流。
欲穷千里目，更上一层楼。
春眠不觉晓，处处闻啼鸟。
夜来风雨声，花落知多少。
""",
    "finnish": """Mieleni minun tekevi, aivoni ajattelevi
lähteäni laulamahan, saa'ani sanelemahan,
sukuvirttä suoltamahan, lajivirttä laulamahan.
Sanat suussani sulavat, puhe'et putoelevat,
kielelleni kerkiävät, hampahilleni hajoovat.
Veli kulta, veikkoseni, kaunis kasvinkumppalini!
""",
    "arabic": """قِفا نَبكِ مِن ذِكرى حَبيبٍ وَمَنزِلِ
بِسِقطِ اللِوى بَينَ الدَخولِ فَحَومَلِ
الليلُ والخيلُ والبيداءُ تعرفني
والسيفُ والرمحُ والقرطاسُ والقلمُ
أعزُّ مكانٍ في الدُّنى سرجُ سابحٍ
وخيرُ جليسٍ في الزمانِ كتابُ
""",
    "code": """def fib(n: int) -> int:
\treturn n if n < 2 else fib(n - 1) + fib(n - 2)
for (let i = 0; i < 10; i++) { sum += a[i] ** 2; }
#define MAX(a, b) ((a) > (b) ? (a) : (b))
SELECT name, count(*) FROM poems WHERE year >= 1926 GROUP BY 1;
<p class="x">&amp; $PATH `ls` \\n | grep -v "%s"</p>
""",
    "emoji": """🌊🌊🐚 the sea 🌅
👩‍👩‍👧‍👦 at the 🏖️ with a 🏳️‍🌈
🇫🇮 🇳🇴 ☕️ and 🍰🍰
I ❤️ you 💌💌 👍🏽👍🏿
🐈‍⬛ sleeps 💤💤💤
😀😃😄😁 or 🥲
""",
}
SETTINGS = {
    "steps": 10, "n_layer": 1, "n_head": 2, "n_kv_head": 1, "n_embd": 8, "block_size": 32,
    "batch_size": 4, "evaluate_every": 5, "snapshots": 3,
}  # fmt: skip


def varied(name: str, length: int = 2400) -> str:
    """A text of about `length` characters out of the lines, in ever new orders."""
    lines = TEXTS[name].splitlines()
    shuffled = random.Random(0)
    text = ""
    while len(text) < length:
        text += "\n".join(shuffled.sample(lines, len(lines))) + "\n\n"
    return text


@pytest.mark.parametrize("name", TEXTS)
def test_any_script_goes_all_the_way(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = varied(name)
    (tmp_path / f"{name}.txt").write_bytes(text.encode())
    trained = babypoet.train(f"{name}.txt", **SETTINGS)
    assert trained.run.path == Path(f"runs/{name}-modern")
    poet = babypoet.load(trained.run.path)
    assert poet.tokenizer.characters == "".join(sorted(set(text)))
    parts = corpus.load_parts(poet.run.path / "data")
    assert "".join(poet.tokenizer.decode(part.tolist()) for part in parts) == text
    prompt = text[:7]
    written = poet.write(prompt, length=60)
    assert written.startswith(prompt) and len(written) == 67
    assert set(written) <= set(text), "it writes only what it knows"
    verdict = poet.evaluate()
    assert 0 < verdict.held_out.nats < verdict.baselines.uniform + 0.5
    assert json.loads(json.dumps(verdict.to_dict(), allow_nan=False))
    assert verdict.structure_held_out is not None
    has_words = verdict.structure_held_out.word_share is not None
    assert has_words == (name != "chinese"), "Chinese puts no spaces between its words"


def test_jsonl_and_folders_are_texts_too(tmp_path: Path) -> None:
    poems = varied("finnish").strip().split("\n\n")
    (tmp_path / "in/deep").mkdir(parents=True)
    records = [{"n": i, "poem": poem} for i, poem in enumerate(poems)]
    (tmp_path / "in/a.jsonl").write_text(
        "".join(json.dumps(r, ensure_ascii=i % 2 == 0) + "\n" for i, r in enumerate(records)),
        encoding="utf-8",
    )
    (tmp_path / "in/deep/b.md").write_text(varied("emoji"), encoding="utf-8")
    (tmp_path / "in/skipped.png").write_bytes(b"\x89PNG")
    poet = babypoet.train(tmp_path / "in", field="poem", out=tmp_path / "run", **SETTINGS)
    record = poet.run.load_run()
    assert record["text"]["documents"] == len(poems) + 1 and record["text"]["name"] == "in"
    assert {"ä", "🌊"} <= set(poet.tokenizer.characters)
    assert any("1 file not ending" in note for note in record["notes"]), record["notes"]
    assert poet.write(length=20) and poet.evaluate().held_out.characters > 100


def test_a_short_text_shrinks_the_context_and_says_so(tmp_path: Path, poems: str) -> None:
    short = {k: v for k, v in SETTINGS.items() if k != "block_size"}
    text = poems[:600]
    poet = babypoet.train(text=text, out=tmp_path / "run", **short)
    T = poet.config.block_size
    assert 8 <= T <= 150
    notes = RunFolder.open(poet.run.path).load_run()["notes"]
    assert any(f"the context is {T} characters" in note for note in notes), notes
    assert poet.write("a", length=3 * T)
    assert poet.evaluate().held_out.characters == 60


def test_two_kilobytes_train_with_everything_left_to_the_plan(tmp_path: Path) -> None:
    text = varied("finnish", 1900)
    given = TrainConfig(steps=2, snapshots=0)
    poet = babypoet.train(text=text, out=tmp_path / "run", **given.given())
    assert poet.config.block_size <= len(text) // 4
    assert poet.write("Veli", length=10).startswith("Veli")


def test_what_looks_the_same_stays_what_it_was(tmp_path: Path) -> None:
    """Composed and decomposed letters are different characters: the text is not normalised."""
    text = ("é" + unicodedata.normalize("NFD", "é") + " ") * 100
    poet = babypoet.train(text=text, out=tmp_path / "run", **{**SETTINGS, "block_size": 8})
    assert poet.tokenizer.characters == " eé\u0301"
