"""What can be asked of an explanation without understanding it.

A program can count words, look for an example and see whether the boxes are ticked. Whether the
explanation is good, the learner judges, with the rubric and with somebody who listens.
"""

import re
import textwrap
from collections import Counter
from pathlib import Path

from babypoet.course.checking import Check

HERE = Path(__file__).resolve().parent
SHORTEST, LONGEST = 200, 700  # 250 to 450 are asked for; nobody should have to count
RUN = 8  # so many words in a row are no accident
ALOUD = 140  # words a minute

TERMS = (
    "attention", "backpropagation", "batch", "context window", "cross-entropy", "embedding",
    "embeddings", "gradient", "gradients", "hyperparameter", "hyperparameters", "layer", "layers",
    "logits", "loss", "matrix", "mechanism", "multi-head", "neural network", "neural networks",
    "optimiser", "optimizer", "parameters", "probability distribution", "residual",
    "self-attention", "softmax", "tensor", "tensors", "token", "tokens", "transformer",
    "transformers", "vector", "vectors", "weights",
)  # fmt: skip
TICK = re.compile(r"^\s*[-*+]\s*\[( |x|X|)\]\s*(.+?)\s*$")


def start() -> str:
    return (HERE / "start.md").read_text(encoding="utf-8")


def boxes(text: str) -> dict[str, bool]:
    """The lines with a box, and whether each is ticked."""
    found = (TICK.match(line) for line in text.splitlines())
    return {match[2]: match[1] in ("x", "X") for match in found if match}


def explanation(text: str) -> str:
    """What the learner wrote: without comments, headings, boxes and what the file began with."""
    text = re.sub(r"<!--.*?(-->|\Z)", "", text, flags=re.DOTALL)
    given = {line.strip() for line in start().splitlines()}
    lines = (
        line
        for line in text.splitlines()
        if line.strip() not in given and not TICK.match(line) and not line.startswith("#")
    )
    return "\n".join(lines).strip()


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text)


def plain(text: str) -> str:
    """Lower case words with one space between them, and one on each side."""
    return f" {' '.join(words(text)).lower()} "


def terms(text: str) -> Counter[str]:
    """The technical words, and how often each stands there."""
    counts = {term: plain(text).count(f" {plain(term).strip()} ") for term in TERMS}
    return Counter({term: count for term, count in counts.items() if count})


def says_written(text: str) -> str | None:
    if not text.strip():
        return (
            "explain.md is empty. Delete it, and `babypoet learn start` with the name of your "
            "folder gives you the template again."
        )
    if not words(explanation(text)):
        return (
            "Not written yet: explain.md is still the template. Put your explanation above the "
            "rubric, in place of the comment."
        )
    return None


def says_long_enough(text: str) -> str | None:
    count = len(words(explanation(text)))
    if count < SHORTEST:
        return (
            f"It is too short: {count} words, where 250 to 450 are asked for. Which of the "
            "rubric's questions has no sentence yet?"
        )
    if count > LONGEST:
        return (
            f"It is too long: {count} words, where 250 to 450 are asked for. What could your "
            "listener do without?"
        )
    return None


def says_own_words(text: str) -> str | None:
    """Long runs of the lesson's own words are no explanation of the learner's."""
    mine = plain(explanation(text)).split()
    lesson = plain((HERE / "lesson.md").read_text(encoding="utf-8"))
    runs = [mine[i : i + RUN] for i in range(len(mine) - RUN + 1)]
    copied = [" ".join(run) for run in runs if f" {' '.join(run)} " in lesson]
    if len(copied) > len(runs) / 8:
        return (
            f"Much of it is copied from the lesson: “{copied[0]} ...” Say it in your own words; "
            "they are the only ones that show you what you have understood."
        )
    repeated = Counter(" ".join(run) for run in runs).most_common(1)
    if repeated and repeated[0][1] > 3:
        return (
            f"It repeats itself: “{repeated[0][0]} ...” stands there {repeated[0][1]} times. Say "
            "each thing once."
        )
    return None


def says_example(text: str) -> str | None:
    body = explanation(text)
    quoted = re.search(r"[\"“”„«»`‘][^\"“”„«»`]{1,80}?[\"“”„«»`’]|\*[^*\n]+\*|^\s*>", body, re.M)
    number = re.search(r"\d", body)
    found = terms(body)
    crowd = ""
    if sum(found.values()) > len(words(body)) / 15:
        most = ", ".join(f"“{term}”" for term, _ in found.most_common(3))
        crowd = f" Instead there are many technical words ({most}), which say nothing to Dad."
    if not quoted:
        return (
            "There is no example: nothing stands in quotation marks. Take a line, like “The sea "
            "was cal”, "
            f"and follow it through.{crowd}"
        )
    if not number:
        return (
            "There is no number in it. Take one that you have seen yourself: how many characters "
            "there "
            f"are, how many letters your model is torn between.{crowd}"
        )
    if crowd:
        return (
            f"It is full of technical words: {sum(found.values())} of {len(words(body))}, most of "
            f"all "
            f"{most}. Show the thing first; then name it, if the name is needed at all."
        )
    return None


def says_ticked(text: str) -> str | None:
    asked, found = list(boxes(start())), boxes(text)
    gone = [line for line in asked if line not in found]
    if gone:
        return (
            f"A line of the rubric is gone: “{gone[0]}” Put it back, with its box; the rubric is "
            "how you judge your text."
        )
    empty = [line for line in asked if not found[line]]
    if empty:
        many = f"{len(empty)} boxes are" if len(empty) > 1 else "One box is"
        return (
            f"{many} not ticked yet. The first: “{empty[0]}” Read your text for just that. No "
            "program can tell whether it is so: you are the judge. If it is, tick it, `- [x]`; if "
            "not, mend the text."
        )
    return None


CHECKS = [
    Check(
        what="Something is written.",
        call=lambda text: text,
        shown="explain.md",
        by_hand="A first sentence could be: Cover the end of this line with your thumb.",
        verify=says_written,
    ),
    Check(
        what="It is long enough to explain something, and short enough to be listened to.",
        call=lambda text: text,
        shown="explain.md",
        by_hand="250 to 450 words are two to three minutes read aloud: seven questions, two or "
        "three sentences each.",
        verify=says_long_enough,
    ),
    Check(
        what="The words are your own.",
        call=lambda text: text,
        shown="explain.md",
        by_hand="Close the lesson, and write down what you would say at the kitchen table.",
        verify=says_own_words,
    ),
    Check(
        what="It has an example: something in quotation marks, and a number.",
        call=lambda text: text,
        shown="explain.md",
        by_hand="“After ‘q’ the poems have ‘u’ 76 times of 79” has both: letters that one can see, "
        "and a number. Find one of your own.",
        verify=says_example,
    ),
    Check(
        what="All boxes of the rubric are ticked, by you: you are the judge.",
        call=lambda text: text,
        shown="explain.md",
        by_hand="`- [ ]` is an empty box, `- [x]` a ticked one.",
        verify=says_ticked,
    ),
]


def reward(theirs: str) -> str:
    """How it sounds: its length read aloud, the longest sentence, the technical words."""
    body = explanation(theirs)
    sentences = [" ".join(s.split()) for s in re.split(r"(?<=[.!?…])[\"”’)]*\s+", body) if words(s)]
    longest = max(sentences, key=lambda sentence: len(words(sentence)))
    count = len(words(body))
    seconds = round(60 * count / ALOUD)
    found = terms(body)
    named = ", ".join(f"{term} ({often})" if often > 1 else term for term, often in found.items())
    return "\n".join(
        [
            f"{count} words in {len(sentences)} sentences: {seconds // 60}:{seconds % 60:02} read "
            f"aloud.",
            f"The longest sentence has {len(words(longest))} words:",
            textwrap.fill(f"“{longest}”", 88, initial_indent="  ", subsequent_indent="  "),
            f"Technical words: {named}. Does each say what it means?"
            if found
            else "Technical words: none. That is the hard way, and the good one.",
            "",
            "Whether it is good no program can tell: you have judged it. Now read it to somebody, "
            "and",
            "listen to where they ask. You have built a language model from empty files, and you "
            "can",
            "explain it.",
        ]
    )
