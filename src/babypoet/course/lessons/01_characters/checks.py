"""Lesson 1: what is asked of vocabulary, encode and decode."""

import math
from collections.abc import Callable
from typing import Any

from babypoet.corpus import builtin_poems
from babypoet.course.checking import Check, Mistake

HELLO = ["e", "h", "l", "o"]
LINE = "To be,\nor not to be. Ah!"
TYPESET = "Ein Café — né Kaffee"


def in_vocabulary(text: str) -> tuple[Mistake, ...]:
    mistakes = (
        Mistake(
            "Characters that occur twice are in your list twice. Each must be there once: "
            "take the set of the text first.",
            lambda right: sorted(text),
        ),
        Mistake(
            "Your list is in the order of first appearance. Sort it: then the same characters "
            "give the same ids, whatever text they come from.",
            lambda right: list(dict.fromkeys(text)),
        ),
        Mistake(
            "Your list is in the order of a Python set, which is another one each time Python "
            "starts, and so would the ids be. Sort it.",
            lambda right: list(set(text)),
        ),
        Mistake(
            "That is one string. Give a list with one string for each character.",
            lambda right: "".join(sorted(set(text))),
        ),
        Mistake(
            "That is a set, which has no order. Give a sorted list.",
            lambda right: set(text),
        ),
        Mistake(
            "You made capitals small. T and t are two characters, each with its own id.",
            lambda right: sorted(set(text.lower())),
        ),
        Mistake(
            "You sorted without regard to capitals. Plain sorting, by code point, puts all "
            "capitals before the small letters.",
            lambda right: sorted(sorted(set(text)), key=str.lower),
        ),
        Mistake(
            "The blank and the line break are missing. They are characters too: a poem without "
            "them is no poem.",
            lambda right: sorted(set("".join(text.split()))),
        ),
        Mistake(
            "The line break is missing. It is a character too: it is where a verse ends.",
            lambda right: sorted(set(text.replace("\n", ""))),
        ),
        Mistake(
            "Characters beyond plain English ones are missing. Take whatever the text has.",
            lambda right: sorted({c for c in text if c.isascii()}),
        ),
        Mistake(
            "Only letters are in your list. Punctuation, blanks and line breaks are characters "
            "too.",
            lambda right: sorted({c for c in text if c.isalpha()}),
        ),
    )
    return tuple(m for m in mistakes if m.gives(None) != sorted(set(text)))


def in_encode(text: str, characters: list[str]) -> tuple[Mistake, ...]:
    ids = [characters.index(c) for c in text]
    mistakes = (
        Mistake(
            "Your ids begin at 1. Count places from 0, as Python does: the ids will be used as "
            "row numbers of tables.",
            lambda right: [i + 1 for i in ids],
        ),
        Mistake(
            "Those are code points (`ord`), which run up to 1,114,111. The id is the place in "
            "the list `characters`.",
            lambda right: [ord(c) for c in text],
        ),
        Mistake(
            "You numbered the characters of this text. Use the list that is given: it may hold "
            "characters that this text lacks.",
            lambda right: [sorted(set(text)).index(c) for c in text],
        ),
        Mistake(
            "That is where each character stands in the text. Asked is where it stands in "
            "`characters`.",
            lambda right: [text.index(c) for c in text],
        ),
        Mistake(
            "The ids are strings. Give whole numbers.",
            lambda right: [str(i) for i in ids],
        ),
        Mistake(
            "Each distinct character came out once. Give an id for every character of the text, "
            "in its order.",
            lambda right: [characters.index(c) for c in dict.fromkeys(text)],
        ),
        Mistake(
            "Blanks or line breaks were left out. Each character of the text gets an id, also "
            "those you cannot see.",
            lambda right: [characters.index(c) for c in "".join(text.split())],
        ),
    )
    return tuple(m for m in mistakes if m.gives(None) != ids)


def in_decode(ids: list[int], characters: list[str]) -> tuple[Mistake, ...]:
    return (
        Mistake(
            "That is a list of characters. Join them into one string.",
            lambda right: [characters[i] for i in ids],
        ),
        Mistake(
            "You joined with a blank between the characters. Join with nothing: the text has its "
            "own blanks.",
            lambda right: " ".join(characters[i] for i in ids),
        ),
        Mistake(
            "You took id - 1. Ids are counted from 0, so id 0 is the first character of the list.",
            lambda right: "".join(characters[i - 1] for i in ids),
        ),
        Mistake(
            "Those are code points (`chr`). The id is a place in the list `characters`.",
            lambda right: "".join(chr(i) for i in ids),
        ),
        Mistake(
            "Blanks or line breaks at the ends were stripped off. Give back every character.",
            lambda right: right.decode(ids, characters).strip(),
        ),
    )


def refusal(call: Callable[[], Any]) -> Any:
    """ "an error" where the call raised one, else what it gave."""
    try:
        return call()
    except NotImplementedError:
        raise
    except Exception:
        return "an error"


def is_refused(result: Any) -> str | None:
    if result == "an error":
        return None
    why = "A number that is made up, or a gap, would pass for text that was never there."
    if result == [1, -1]:
        why = (
            "-1 is what str.find gives for `not found`, and in Python index -1 is the last item: "
            "the x would come back as an o."
        )
    elif result == [1]:
        why = "The character was dropped without a word, so decoding gives another text."
    elif result == [1, None]:
        why = "None is what dict.get gives for `not found`. Look it up with [ ], which raises."
    return f'"x" is not in the list, so this must be an error, but it gave {result!r}. {why}'


def there_and_back(module: Any, text: str) -> str:
    characters = module.vocabulary(text)
    decoded: str = module.decode(module.encode(text, characters), characters)
    return decoded


CHECKS = [
    Check(
        what="The characters of hello, each once, sorted.",
        call=lambda m: m.vocabulary("hello"),
        shown='vocabulary("hello")',
        by_hand="hello has h, e, l, l, o. Each once: h, e, l, o. Sorted: e, h, l, o.",
        mistakes=in_vocabulary("hello"),
    ),
    Check(
        what="Capitals, commas, blanks and line breaks are characters too.",
        call=lambda m: m.vocabulary(LINE),
        shown=f"vocabulary({LINE!r})",
        by_hand='Of "A a\\n": the line break, the blank, "A", "a", in this order.',
        mistakes=in_vocabulary(LINE),
    ),
    Check(
        what="So are letters with accents and long dashes.",
        call=lambda m: m.vocabulary(TYPESET),
        shown=f"vocabulary({TYPESET!r})",
        by_hand='Of "né": n, é. Python sorts é after z, and that is fine.',
        mistakes=in_vocabulary(TYPESET),
    ),
    Check(
        what="An empty text has no characters.",
        call=lambda m: m.vocabulary(""),
        shown='vocabulary("")',
        by_hand="The set of nothing is empty, and so is the list.",
    ),
    Check(
        what="hole, with the characters of hello.",
        call=lambda m: m.encode("hole", list(HELLO)),
        shown='encode("hole", ["e", "h", "l", "o"])',
        by_hand="e is 0, h is 1, l is 2, o is 3. So h, o, l, e becomes 1, 3, 2, 0.",
        mistakes=in_encode("hole", HELLO),
    ),
    Check(
        what="A text that does not use the whole list, and uses a character twice.",
        call=lambda m: m.encode("lee", list(HELLO)),
        shown='encode("lee", ["e", "h", "l", "o"])',
        by_hand="l is 2 and e is 0, so l, e, e becomes 2, 0, 0. That h is missing changes nothing.",
        mistakes=in_encode("lee", HELLO),
    ),
    Check(
        what="Blanks and line breaks have ids like all others.",
        call=lambda m: m.encode("o he\nl ", ["\n", " ", *HELLO]),
        shown='encode("o he\\nl ", ["\\n", " ", "e", "h", "l", "o"])',
        by_hand="The line break is 0, the blank 1, e 2, h 3, l 4, o 5.",
        mistakes=in_encode("o he\nl ", ["\n", " ", *HELLO]),
    ),
    Check(
        what="An empty text has no ids.",
        call=lambda m: m.encode("", list(HELLO)),
        shown='encode("", ["e", "h", "l", "o"])',
        by_hand="No characters, no ids: an empty list.",
    ),
    Check(
        what="A character that is not in the list is an error.",
        call=lambda m: refusal(lambda: m.encode("hx", list(HELLO))),
        shown='encode("hx", ["e", "h", "l", "o"])',
        by_hand='["e", "h"].index("x") raises a ValueError, {"e": 0}["x"] a KeyError.',
        verify=is_refused,
    ),
    Check(
        what="The ids 1, 3, 2, 0 as text.",
        call=lambda m: m.decode([1, 3, 2, 0], list(HELLO)),
        shown='decode([1, 3, 2, 0], ["e", "h", "l", "o"])',
        by_hand="1 is h, 3 is o, 2 is l, 0 is e: hole.",
        mistakes=in_decode([1, 3, 2, 0], HELLO),
    ),
    Check(
        what="No ids give an empty text.",
        call=lambda m: m.decode([], list(HELLO)),
        shown='decode([], ["e", "h", "l", "o"])',
        by_hand='Nothing joined to nothing is "".',
        mistakes=(
            Mistake("That is an empty list. No ids give an empty string.", lambda right: []),
        ),
    ),
    Check(
        what="Blanks and line breaks come back where they were.",
        call=lambda m: m.decode([0, 3, 2, 1, 4, 0], ["\n", " ", *HELLO]),
        shown='decode([0, 3, 2, 1, 4, 0], ["\\n", " ", "e", "h", "l", "o"])',
        by_hand="0 is the line break, 1 the blank: a line break, h, e, a blank, l, a line break.",
        mistakes=in_decode([0, 3, 2, 1, 4, 0], ["\n", " ", *HELLO]),
    ),
    Check(
        what="The first poems, there and back: not a character is lost.",
        call=lambda m: there_and_back(m, builtin_poems()[:3000]),
        shown="decode(encode(poems, vocabulary(poems)), vocabulary(poems))",
        by_hand='"hole" becomes [1, 3, 2, 0], and that becomes "hole".',
    ),
]


def reward(theirs: Any) -> str:
    poems = builtin_poems()
    characters = theirs.vocabulary(poems)
    ids = theirs.encode(poems, characters)
    V = len(characters)
    share = {c: ids.count(i) / len(ids) for i, c in enumerate(characters)}
    letters = sum(-p * math.log2(p) for p in share.values())
    names = {" ": "blank", "\n": "line break"}
    common = sorted(share, key=lambda c: -share[c])[:10]
    bars = "\n".join(
        f"{names.get(c, c):>12}  {share[c]:5.1%}  {'█' * round(share[c] * 200)}" for c in common
    )
    stored = len(poems.encode())
    alphabet = "".join(characters).replace("\n", "↵").replace(" ", "␣")
    return f"""The alphabet of the {len(ids):,} characters of the poems, {V} of them:

    {alphabet}

The ten you meet most:

{bars}

bits for each character        the poems take
  {8 * stored / len(ids):.2f}  as in the file          {stored:9,} bytes
  {math.log2(V):.2f}  as one of {V} ids        {len(ids) * math.log2(V) / 8:9,.0f} bytes
  {letters:.2f}  knowing the bars above  {len(ids) * letters / 8:9,.0f} bytes
  2.2   with the last model of the course, two minutes trained

To know what comes next and to need less room are the same thing."""
