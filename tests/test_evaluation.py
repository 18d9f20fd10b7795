"""The verdict: every character judged once, measures that mean what they say, plain words."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from babypoet.config import ModelConfig
from babypoet.counting import Baselines
from babypoet.errors import TextError
from babypoet.evaluation import (
    Copied,
    Loss,
    Structure,
    Verdict,
    copied,
    exact_loss,
    loss_on_text,
    overfitting_since,
    spread,
    structure,
    windows,
)
from babypoet.ladder import Rung, build
from babypoet.tokenizer import CharTokenizer

CONFIG = ModelConfig(
    rung="transformer",
    vocab_size=11,
    block_size=7,
    n_layer=2,
    n_head=3,
    n_embd=12,
    dropout=0.5,
)


@pytest.fixture
def model(randomise) -> Rung:
    """Random weights, dropout one half, and in training mode but for one module."""
    model = randomise(build(CONFIG), 5).train()
    model.ln_f.eval()
    return model


def one_by_one(model: Rung, ids: list[int], before: int) -> list[float]:
    """-ln p of each character, from a forward pass of its own that sees its window up to it."""
    T = model.config.block_size
    read = [before, *ids]
    losses = []
    for i, char in enumerate(ids):
        logits, _ = model(torch.tensor([read[i // T * T : i + 1]]))
        losses.append(-torch.log_softmax(logits[0, -1].double(), 0)[char].item())
    return losses


# --- loss -----------------------------------------------------------------------------------------


@given(st.integers(0, 40), st.integers(1, 9), st.integers(1, 4))
def test_windows_judge_every_character_once(length, block_size, batch_size):
    ids = np.arange(1, length + 1, dtype=np.uint8)
    pairs = list(windows(ids, 0, block_size, batch_size))
    judged = [y for _, targets in pairs for y in targets.ravel().tolist()]
    assert judged == ids.tolist()
    for inputs, targets in pairs:
        assert inputs.dtype == targets.dtype == np.int64
        np.testing.assert_array_equal(inputs, targets - 1)  # each input is the character before
        assert len(targets) <= batch_size
        assert targets.shape[1] == block_size or targets.shape == (1, length % block_size)


@pytest.mark.parametrize("length", [1, 7, 29, 35])
@pytest.mark.parametrize("batch_size", [1, 3, None])
def test_exact_loss_is_the_mean_over_single_characters(model, length, batch_size):
    ids = np.random.default_rng(6).integers(0, 11, length).astype(np.uint8)
    expected = np.mean(one_by_one(model.eval(), ids.tolist(), before=4))
    assert exact_loss(model, ids, 4, batch_size) == pytest.approx(expected, abs=1e-5)
    assert exact_loss(model, ids, 5, batch_size) != pytest.approx(expected, abs=1e-5)


def test_judging_changes_nothing(model):
    modes = [module.training for module in model.modules()]
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(7)
    state = torch.get_rng_state()
    ids = np.arange(20) % 11
    assert exact_loss(model, ids, 0) == exact_loss(model, ids, 0)  # no dropout
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in model.modules()] == modes
    assert len(set(modes)) == 2
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_modes_are_put_back_after_an_error(model):
    with pytest.raises(IndexError):
        exact_loss(model, np.array([3, 99, 3]), 0)
    assert model.training


def test_loss_in_bits_and_choices():
    loss = Loss(math.log(8), 10)
    assert loss.bits == pytest.approx(3)
    assert loss.torn_between == pytest.approx(8)
    assert Loss(1e9, 1).torn_between == math.inf
    assert Loss(math.nan, 1).to_dict()["nats"] is None


@pytest.fixture
def tokenizer() -> CharTokenizer:
    return CharTokenizer("\n'abcdefghi")


def test_a_known_text_is_judged_as_it_is(model, tokenizer):
    text = "abc'hi\nfeed a".replace(" ", "")
    loss, share = loss_on_text(model, tokenizer, text)
    ids = tokenizer.encode(text)
    assert loss.nats == pytest.approx(exact_loss(model, np.array(ids), before=0), abs=1e-9)
    assert (loss.characters, share) == (len(text), 0)


@pytest.mark.parametrize("batch_size", [1, 64])
def test_unknown_characters_are_charged_and_stand_in(model, tokenizer, batch_size):
    """é is read as e and Z is skipped; both cost ln V, whatever the model thinks of an e."""
    text = "abéZcdZ’efghiabéc"
    read = "abecd'efghiabec"
    losses = one_by_one(model.eval(), tokenizer.encode(read), before=0)
    known = [x for i, x in enumerate(losses) if i not in (2, 5, 13)]
    loss, share = loss_on_text(model, tokenizer, text, batch_size)
    assert share == 5 / 17
    assert loss.characters == 17
    assert loss.nats == pytest.approx((sum(known) + 5 * math.log(11)) / 17, abs=1e-5)


def test_a_text_of_nothing_known_costs_what_guessing_costs(model, tokenizer):
    loss, share = loss_on_text(model, tokenizer, "愛愛")
    assert (loss.nats, share) == (pytest.approx(math.log(11)), 1)
    with pytest.raises(TextError):
        loss_on_text(model, tokenizer, "")


def test_without_a_newline_a_text_follows_the_first_character(model):
    tokenizer = CharTokenizer("abcdefghijk")
    loss, _ = loss_on_text(model, tokenizer, "kj")
    assert loss.nats == pytest.approx(exact_loss(model, np.array([10, 9]), 0), abs=1e-9)


@pytest.mark.parametrize(
    ("nats", "since"),
    [
        ([], None),
        ([4.0], None),
        ([4.0, 3.0, 3.02], 1),
        ([4.0, 3.0, 3.005], None),
        ([4.0, 3.0, 3.5, 3.0], None),
        ([4.0, 3.0, 3.5, 3.0, 3.2], 1),
        ([math.nan, 4.0, 5.0], 1),
    ],
)
def test_overfitting_starts_where_the_loss_was_lowest(nats, since):
    found = overfitting_since([(100 * i, x) for i, x in enumerate(nats)])
    assert found == (since if since is None else 100 * since)


# --- structure ------------------------------------------------------------------------------------

POEM = """The tide comes in across the bay,
the gulls complain above the foam,
(I could have stayed another day)
and every boat is turning home.

"It's late," she said. "The light is thin."
He didn't "hear her coming in.

And then the"""


def test_structure_of_a_poem():
    """Six lines in two stanzas; bay, day, thin and in rhyme, foam and home are spelled differently;
    of one bracket and three quotation marks one stays open; the last line is cut off."""
    lines = [line for line in POEM.split("\n")[:-1] if line]
    assert structure(POEM, POEM) == Structure(
        word_share=1,
        line_length=sum(map(len, lines)) / 6,
        stanza_length=3,
        unclosed=1 / 4,
        rhyme_share=4 / 6,
    )


def test_words_are_counted_in_any_case_and_whole():
    assert structure("Öl und ÖL, Ö", "öl").word_share == 2 / 3
    assert structure("some so", "so").word_share == 0
    assert structure("don’t. ", "don’t").word_share == 1
    assert structure("हिन्दी भाषा ", "हिन्दी है").word_share == 1 / 2  # vowel signs do not cut words
    assert structure("12, 3", "12").word_share is None


@pytest.mark.parametrize(
    "text", ["春眠不觉晓，处处闻啼鸟。", "ふるいけや　かわずとびこむ", "สวัสดีครับ", "a" * 30 + " "]
)
def test_without_word_spaces_words_are_not_counted(text):
    assert structure(text, text).word_share is None
    assert structure("abc def. ", text).word_share is None


def test_measures_that_do_not_apply_are_none():
    assert structure("春眠不觉晓，\n处处闻啼鸟。\n\n", "春") == Structure(None, 6, 2, None, None)
    assert structure("one line only", "one") == Structure(0.5, None, None, None, None)
    assert structure([], "x") == structure("", "") == Structure(None, None, None, None, None)
    assert structure("ночь\nпрочь\n\n", "ночь").rhyme_share is None


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("( [ ) ]", 0),
        ("(", 1),
        (")", None),
        ("“a” “b", 1 / 2),
        ("„a“ „b”", 0),
        ("« a » « b", 1 / 2),
        ("»a« »b«", 0),
        ('"a" "b', 1 / 2),
        ("don't (stop", 1),
        ("「愛」（", 1 / 2),
        ("(a\n\nb)\n\n", 1),  # the stanza ends before it is closed
        ("(a\nb)\n\n[c", 0),  # the cut off stanza is not judged
    ],
)
def test_unclosed(text, share):
    assert structure(text, "").unclosed == share


@pytest.mark.parametrize(
    ("lines", "share"),
    [
        ("night light", 1),
        ("night night", 0),  # the same word
        ("time rhyme", 0),  # by spelling
        ("line mine", 1),
        ("line same", 0),  # both end in e, and that is no rhyme
        ("tree free", 1),
        ("day foam say home", 1 / 2),
        ("day x x say", 0),  # three lines away
        ("café olé", 1),
        ("café safe", 0),
        ("Füße Grüße", 1),
        ("LIGHT, night!", 1),
        ("psst pfft", 0),  # nothing to go by
        ("alone", None),
    ],
)
def test_rhymes(lines, share):
    text = "\n".join("it is " + word for word in lines.split()) + "\n\n"
    assert structure(text, "").rhyme_share == share


def test_a_rhyme_stays_inside_its_stanza():
    assert structure("the night\nx\n\nthe light\nx\n\n", "").rhyme_share == 0


def test_samples_are_measured_together():
    one, two = "ab\ncd\n\nx", "abcd\n\nx"
    assert structure([one, two], "ab").line_length == 8 / 3
    assert structure([one, two], "ab").stanza_length == 3 / 2


# --- what was copied ------------------------------------------------------------------------------


def longest_by_force(samples: list[str], training_text: str) -> int:
    spans = {s[i:j] for s in samples for i in range(len(s)) for j in range(i + 1, len(s) + 1)}
    return max((len(span) for span in spans if span in training_text), default=0)


letters = st.text("ab\n", max_size=25)


@settings(max_examples=300)
@given(st.lists(letters, max_size=3), st.text("abc\n", max_size=60))
def test_copied_is_the_longest_shared_passage(samples, training_text):
    found = copied(samples, training_text)
    assert found.length == len(found.longest) == longest_by_force(samples, training_text)
    assert training_text[found.position :].startswith(found.longest)
    assert training_text.find(found.longest) == found.position
    assert any(found.longest in sample for sample in samples) or not samples
    assert found.line == training_text[: found.position].count("\n") + 1


def test_a_passage_does_not_run_from_one_sample_into_the_next():
    assert copied(["xxab", "cdyy"], "abcd").length == 2
    assert copied("xxabcdyy", "abcd").longest == "abcd"


def test_whole_lines_that_were_copied():
    training_text = (
        "I wandered lonely as a cloud\nthat floats on high o'er vales and hills\nshort\n"
    )
    sample = "  I wandered lonely as a cloud \nshort\nI wandered lonely as a crow\nthat floats"
    assert copied(sample, training_text).line_share == 1 / 2
    assert copied("wandered lonely\n", training_text).line_share == 0  # a part of a line
    assert (
        copied("short\nthat floats on high o'er vales and hills", training_text).line_share is None
    )


def test_only_so_much_is_searched():
    found = copied("abc", "xxxxab abc", limit=6)
    assert (found.longest, found.searched) == ("ab", 6)


# --- the verdict ----------------------------------------------------------------------------------

COUNTED = Baselines(4.3, 3.2, 2.4, 1.65, 1.63, 6, 1.58, counted=500, available=500)


def words(nats: float, **changes: object) -> str:
    baselines = dataclasses.replace(COUNTED, **changes.pop("baselines", {}))
    return " ".join(Verdict(Loss(nats, 1000), baselines, **changes).sentences())


def test_better_than_counting_is_said_with_its_margin():
    said = words(1.55)
    assert "It beats the best counter (Kneser-Ney of order 6, 1.650) by 0.100 nats." in said
    assert "Nothing" not in said
    assert "1.580" in said and "1.630" in said
    assert "2.24 bits" in said and "torn between 4.7" in said


def test_worse_than_counting_is_said():
    assert "does not beat the best counter (Kneser-Ney of order 6, 1.650): it is 0.250" in words(
        1.9
    )
    assert "It is as good as the best counter" in words(1.652)


@pytest.mark.parametrize("nats", [3.19, 3.2, 3.9, 5.0])
def test_no_better_than_letter_frequencies_is_said(nats):
    assert "Nothing beyond letter frequencies was learned" in words(nats)
    assert ("no better than guessing blindly" in words(nats)) == (nats > 4.3)


def test_no_better_than_letter_pairs_is_said():
    assert "Nothing beyond pairs of letters was learned" in words(2.39)
    assert "Nothing" not in words(2.37)
    assert "letter frequencies" not in words(2.39)


def test_a_model_that_says_nothing_is_found_out(poems):
    """From the model to the words: the untrained modern rung says every character is as likely."""
    tokenizer = CharTokenizer.from_text(poems)
    model = build(ModelConfig(vocab_size=tokenizer.vocab_size, n_embd=8, n_head=2, n_kv_head=1))
    ids = tokenizer.encode_array(poems[:1000])
    held_out = Loss(exact_loss(model, ids, 0), len(ids))
    assert held_out.nats == pytest.approx(math.log(tokenizer.vocab_size), abs=1e-6)
    said = " ".join(Verdict(held_out, COUNTED).sentences())
    assert "Nothing beyond letter frequencies was learned" in said


def test_a_loss_that_is_no_number_is_the_whole_verdict():
    assert "no number" in words(math.nan)
    assert "beat" not in words(math.nan)


def test_what_the_counters_did_not_read_is_said():
    assert "only the last 500 of 9,000" in words(1.55, baselines={"available": 9000})
    assert "only the last" not in words(1.55)


def test_overfitting_is_said():
    assert "Since step 1,200 it has been learning the text by heart" in words(
        1.55, overfitting_since=1200
    )
    assert "Since step 0" in words(1.55, overfitting_since=0)
    assert "by heart" not in words(1.55)


def test_structure_is_said_beside_that_of_the_held_out_text():
    said = words(
        1.55,
        structure=Structure(0.9, 31.2, None, None, 0.1),
        structure_held_out=Structure(0.95, 33.4, 4.0, 0.0, None),
    )
    assert "90 % of its words are words of the training text (held-out text: 95 %)." in said
    assert "31.2 characters to a line (held-out text: 33.4)." in said
    assert "stanza" not in said
    assert "10 % of its lines rhyme, going by their spelling." in said


def test_copying_is_said_and_reciting_is_warned_of():
    some = Copied("and so\nit goes", 14, 120, 7, 0.0, 500)
    assert "is 14 characters (line 7): ‘and so / it goes’." in words(1.55, copied=some)
    assert "Warning" not in words(1.55, copied=dataclasses.replace(some, length=100))
    long = words(1.55, copied=Copied("x" * 101, 101, 0, 1, 0.25, 500))
    assert "Warning: it recites" in long and "x" * 61 not in long
    assert "25 % of its lines stand in the training text" in long


def test_the_verdict_as_json():
    """The fields that the design promises, and nothing that JSON has no word for."""
    copying = Copied("abc", 3, 0, 1, None, 500)
    full = Verdict(
        Loss(1.5, 1000), COUNTED, 300, Structure(0.9, 30.0, 4.0, 0.1, 0.2), None, copying
    )
    found = json.loads(json.dumps(full.to_dict(), allow_nan=False))
    assert found["held_out"] == {
        "nats": 1.5,
        "bits": pytest.approx(2.164, abs=1e-3),
        "torn_between": pytest.approx(4.4817, abs=1e-3),
        "characters": 1000,
    }
    promised = {"uniform", "unigram", "bigram", "ngram", "ngram_order", "ppmd"}
    assert promised <= set(found["baselines"])
    assert found["overfitting_since"] == 300
    assert found["structure"]["word_share"] == 0.9
    assert found["structure_held_out"] is None
    assert found["copied"]["longest"] == "abc"
    ran_away = Verdict(Loss(math.inf, 1), COUNTED).to_dict()
    assert json.loads(json.dumps(ran_away, allow_nan=False))["held_out"]["nats"] is None


@given(st.integers(1, 500), st.integers(1, 60), st.integers(1, 7))
def test_a_spread_is_all_of_a_short_part_and_even_over_a_long_one(
    length: int, most: int, stretches: int
) -> None:
    most = most * stretches
    found = spread(length, most, stretches)
    if length <= most:
        assert found == [slice(0, length)]
        return
    assert len(found) == stretches and found[0].start == 0
    assert all(at.stop - at.start == most // stretches for at in found)
    assert all(a.stop <= b.start for a, b in itertools.pairwise(found))
    assert found[-1].stop <= length
    gaps = [b.start - a.start for a, b in itertools.pairwise(found)]
    assert not gaps or max(gaps) - min(gaps) <= 1
