"""Text in, parts out: what is read, what is refused and why, and where the parts begin and end."""

import errno
import gzip
import hashlib
import io
import json
import os
import sys
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from babypoet import corpus
from babypoet.corpus import (
    MINIMUM,
    Corpus,
    Source,
    builtin_poems,
    corpus_of,
    load_parts,
    open_corpus,
    parts_of,
    slug,
)
from babypoet.errors import RunError, SettingError, TextError
from babypoet.tokenizer import CharTokenizer

VERSE = "Shall I compare thee to a summer's day?\nThou art more lovely and more temperate.\n"
UNICODE = "naïve “quotes” — 愛と平和 — مرحبا — 🐦🎻 — й\n"
NAMES = ("train", "validation", "held_out")


def read(path: Path, **settings: Any) -> Corpus:
    return open_corpus(Source((path,)), **settings)


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def jsonl(path: Path, texts: Iterable[Any], field: str = "text") -> Path:
    return put(path, "".join(json.dumps({field: text}) + "\n" for text in texts))


def decoded(found: Corpus, folder: Path) -> list[str]:
    """The three parts of the text, as they were written to the disk."""
    found.write(folder)
    return [found.tokenizer.decode(part) for part in load_parts(folder)]


def message(*paths: Path, error: type[Exception] = TextError, **settings: Any) -> str:
    with pytest.raises(error) as caught:
        open_corpus(Source(paths), **settings)
    return str(caught.value)


# --- what comes out is what went in ---------------------------------------------------------------


def test_the_builtin_poems_are_byte_for_byte_the_ones_that_were_measured() -> None:
    digest = "ad4bc93cfbcc41e8e644c36ed2d9feb4498138018412f07f5b3aeab2a42127bf"
    assert hashlib.sha256(builtin_poems().encode()).hexdigest() == digest
    found = open_corpus(Source())
    assert (found.name, found.digest, found.documents, found.notes) == ("poems", digest, 1, [])
    sizes = (found.characters, found.train_size, found.validation_size, found.held_out_size)
    assert sizes == (223_504, 191_097, 10_057, 22_350)


@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=200), chunk=st.integers(1, 9)
)
@example(text="a last line that ends in CR\r", chunk=4)
def test_any_text_survives_any_chunk_border(
    text: str, chunk: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A character or a CRLF split between two chunks would come out changed."""
    text = "a\r\n🐦b\r愛" + VERSE + text.replace("\0", "")
    folder = tmp_path_factory.mktemp("chunks")
    path = put(folder / "poem.txt", text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "CHUNK", chunk)
        found = read(path)
        parts = decoded(found, folder / "data")
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    assert "".join(parts) == plain
    assert found.characters == len(plain)
    assert found.tokenizer == CharTokenizer.from_text(plain)
    assert found.digest == hashlib.sha256(plain.encode()).hexdigest()


@given(
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=12),
    chunk=st.integers(1, 400),
    ended=st.booleans(),
)
def test_documents_are_cut_in_order_and_nothing_is_lost(
    sizes: list[int], chunk: int, ended: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("documents")
    texts = [("x" * 70 + chr(0x4E00 + i) * size) + "\n" * ended for i, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "CHUNK", chunk)
        patch.setattr(corpus, "SHORTEST_END", 1)
        found = read(jsonl(folder / "poems.jsonl", texts))
        parts = decoded(found, folder / "data")
    if len(texts) > 1:
        texts = [text if ended else text + "\n" for text in texts]
    cuts = [_tenth(len(text)) for text in texts]
    expected = [
        "".join(text[cut[part] : cut[part + 1]] for text, cut in zip(texts, cuts, strict=True))
        for part in range(3)
    ]
    assert parts == expected
    assert found.documents == len(texts)


def _tenth(length: int) -> tuple[int, int, int, int]:
    """Where the parts of a document begin, by the words of the design."""
    held_out = length // 10
    validation = (length - held_out) // 20
    return 0, length - held_out - validation, length - held_out, length


@pytest.mark.parametrize("chunk", [1, 7, 1 << 18])
def test_the_files_hold_what_parts_of_says(
    tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "CHUNK", chunk)
    text = UNICODE * 40
    found = read(put(tmp_path / "poem.txt", text))
    found.write(tmp_path / "data")
    for name, mapped, array in zip(
        NAMES, load_parts(tmp_path / "data"), parts_of(text, found.tokenizer), strict=True
    ):
        assert isinstance(mapped, np.memmap)
        assert mapped.dtype == array.dtype == found.tokenizer.dtype
        assert np.array_equal(mapped, array)
        assert len(array) == getattr(found, f"{name}_size") > 0
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == sorted(
        f"{name}.npy" for name in NAMES
    )


@pytest.mark.parametrize(("characters", "dtype"), [(256, np.uint8), (257, np.uint16)])
def test_a_larger_vocabulary_takes_larger_numbers(
    tmp_path: Path, characters: int, dtype: type
) -> None:
    text = "".join(chr(0x4E00 + i) for i in range(characters)) * 2
    corpus_of(text).write(tmp_path)
    parts = load_parts(tmp_path)
    assert {part.dtype for part in parts} == {np.dtype(dtype)}
    assert max(part.max() for part in parts) == characters - 1


def test_a_text_in_memory_is_treated_like_the_file_with_the_same_text(tmp_path: Path) -> None:
    text = "\ufeff" + (VERSE + UNICODE).replace("\n", "\r\n")
    from_file = read(put(tmp_path / "poem.txt", text))
    from_memory = corpus_of(text, "My Poem!")
    assert from_memory.name == "my-poem"
    assert from_memory.digest == from_file.digest
    assert decoded(from_memory, tmp_path / "a") == decoded(from_file, tmp_path / "b")
    assert from_memory.notes == [
        "removed the byte order mark of 1 text",
        "converted CRLF line ends to LF in 1 text",
    ]


def test_parts_of_takes_any_text_and_replaces_what_the_tokenizer_does_not_know() -> None:
    tokenizer = CharTokenizer.from_text("cafe")
    assert tokenizer.decode(np.concatenate(parts_of("café!", tokenizer))) == "cafe"
    assert [len(part) for part in parts_of("", tokenizer)] == [0, 0, 0]


def test_a_large_text_takes_no_more_memory_than_its_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """6 MB as a str with one em dash is 12 MB; read a chunk at a time it is a few chunks. The floor
    is the table of code points, 1.1 MB."""
    monkeypatch.setattr(corpus, "CHUNK", 1 << 14)
    path = put(tmp_path / "large.txt", (VERSE + "—\n") * 72_000)
    open_corpus(Source((path,)))  # what is imported or cached on the first call is not counted
    tracemalloc.start()
    read(path).write(tmp_path / "data")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 6_000_000
    assert peak < 3_000_000


# --- where the parts begin and end ----------------------------------------------------------------


@given(length=st.integers(MINIMUM, 5000))
def test_one_document_is_cut_exactly(length: int) -> None:
    found = corpus_of(("ab" * length)[:length])
    held_out = length // 10
    validation = (length - held_out) // 20
    assert (found.held_out_size, found.validation_size) == (held_out, validation)
    assert found.train_size == length - held_out - validation
    assert min(found.train_size, validation, held_out) >= 2


@pytest.mark.parametrize(
    ("holdout", "held_out"), [(0.29, 29), (29, 29), (0.2, 20), (2, 2), (0.02, 2), (47, 47)]
)
def test_holdout_is_a_share_or_a_number_of_characters(holdout: float, held_out: int) -> None:
    """0.29 * 100 is 28.999... in binary; what was typed is 29."""
    assert corpus_of("ab" * 50, holdout=holdout).held_out_size == held_out


def test_a_number_of_characters_is_spread_over_the_documents(tmp_path: Path) -> None:
    for name, size in (("a", 30_000), ("b", 10_000)):
        put(tmp_path / "poems" / f"{name}.txt", "xy" * (size // 2 - 1) + f"{name}\n"[-2:])
    found = read(tmp_path / "poems", holdout=4000)
    assert [cut.held_out for cut in found._cuts] == [3000, 1000]


def test_a_large_text_holds_out_no_more_than_can_be_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "MOST_HELD_OUT", 600)
    monkeypatch.setattr(corpus, "MOST_VALIDATION", 300)
    found = corpus_of("ab" * 10_000)
    assert (found.train_size, found.validation_size, found.held_out_size) == (19_100, 300, 600)
    asked = corpus_of("ab" * 10_000, holdout=0.1)
    assert (asked.validation_size, asked.held_out_size) == (300, 2000)
    for name in "abc":
        put(tmp_path / f"{name}.txt", f"{name}\n" * 10_000)
    several = read(tmp_path)
    assert several.held_out_size == 600
    assert several.validation_size == 300
    assert len(several._cuts) == 3


def test_a_million_verses_are_one_stream_with_ends_worth_judging(tmp_path: Path) -> None:
    """Cut one by one, 30 characters would hold out 3 and validate on 1. (20,000 verses stand for
    the million: the time grows with the number and is measured in bench/.)"""
    verses = [f"the {i:06d}th line of verse" for i in range(20_000)]
    found = read(jsonl(tmp_path / "verses.jsonl", verses))
    characters = sum(len(verse) + 1 for verse in verses)
    assert (found.documents, found.characters) == (20_000, characters)
    assert all(cut.held_out >= 50 and cut.validation >= 50 for cut in found._cuts)
    assert found.held_out_size == pytest.approx(characters / 10, rel=0.01)
    assert found.validation_size == pytest.approx(characters * 0.9 / 20, rel=0.03)
    parts = decoded(found, tmp_path / "data")
    assert sorted("".join(parts)) == sorted("".join(verse + "\n" for verse in verses))


def test_a_few_short_documents_leave_no_part_empty(tmp_path: Path) -> None:
    found = read(jsonl(tmp_path / "couplets.jsonl", ["abcdefg"] * 8))
    assert (found.train_size, found.validation_size, found.held_out_size) == (56, 2, 6)


@pytest.mark.parametrize("holdout", [0, -3, 0.0, -0.1, 1.0, 1.5, float("nan"), float("inf")])
def test_an_impossible_holdout_names_its_flag(holdout: float) -> None:
    for attempt in (
        lambda: open_corpus(Source(), holdout=holdout),
        lambda: corpus_of(VERSE, holdout=holdout),
        lambda: parts_of(VERSE, CharTokenizer.from_text(VERSE), holdout),
    ):
        with pytest.raises(SettingError, match=f"--holdout {holdout} is neither a share .* nor"):
            attempt()


@pytest.mark.parametrize("holdout", [1, 0.001, 0.6, 600, 999, 1000, 1001, 10**12])
def test_a_holdout_that_leaves_too_little_says_what_would_do(holdout: float) -> None:
    text = "ab" * 500
    with pytest.raises(SettingError) as caught:
        corpus_of(text, holdout=holdout)
    assert f"--holdout {holdout} holds out" in str(caught.value)
    assert "give 2 to 473, or a share of at most 0.47" in str(caught.value)
    for remedy in (2, 473, 0.47):
        assert corpus_of(text, holdout=remedy).train_size >= 500


def test_what_the_message_about_the_holdout_offers_works_for_the_shortest_text() -> None:
    text = ("ab" * MINIMUM)[:MINIMUM]
    with pytest.raises(SettingError, match=r"give 2 to 24, or a share of at most 0\.37"):
        corpus_of(text, holdout=31)
    for remedy in (24, 0.37):
        found = corpus_of(text, holdout=remedy)
        assert min(found.validation_size, found.held_out_size) >= 2


# --- files and folders ----------------------------------------------------------------------------


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    folder = tmp_path / "My Poems"
    for name in ("b.txt", "a/z.md", "a/y.TXT", "c.jsonl"):
        put(folder / name, f'{{"text": "{name} {VERSE[:39]}"}}' if "json" in name else name + VERSE)
    for hidden in (".hidden.txt", ".git/poem.txt", "a/.DS_Store"):
        put(folder / hidden, "HIDDEN")
    for other in ("picture.png", "a/notes"):
        put(folder / other, b"\x89PNG")
    found = read(folder)
    text = "".join(decoded(found, tmp_path / "data"))
    assert found.documents == 4
    assert found.name == "my-poems"
    assert found.notes == ["left out 2 files not ending in .txt, .md or .jsonl"]
    assert "HIDDEN" not in text
    digest = hashlib.sha256()
    for name in ("a/y.TXT", "a/z.md", "b.txt"):
        digest.update((name + VERSE).encode())
    digest.update(f"c.jsonl {VERSE[:39]}\n".encode())
    assert found.digest == digest.hexdigest()


def test_a_loop_of_links_is_walked_once(tmp_path: Path) -> None:
    put(tmp_path / "poems/a/poem.txt", VERSE)
    try:
        (tmp_path / "poems/a/back").symlink_to(tmp_path / "poems", target_is_directory=True)
        (tmp_path / "poems/gone.txt").symlink_to(tmp_path / "nowhere.txt")
    except OSError:
        pytest.skip("this system lets no one make links")
    assert read(tmp_path / "poems").characters == len(VERSE)


def test_a_path_named_twice_is_read_once_and_said(tmp_path: Path) -> None:
    poem = put(tmp_path / "poems/poem.txt", VERSE)
    once = read(poem)
    twice = open_corpus(Source((poem, tmp_path / "poems", tmp_path / "poems/../poems/poem.txt")))
    assert twice.digest == once.digest
    assert twice.documents == 1
    assert once.notes == []
    assert twice.notes == ["read 2 files once that the paths name more than once"]


def test_a_named_file_is_read_whatever_its_suffix(tmp_path: Path) -> None:
    found = read(put(tmp_path / "POEM.tex", VERSE))
    assert (found.name, found.characters) == ("poem", len(VERSE))


def test_documents_get_a_last_line_feed_only_where_there_are_several(tmp_path: Path) -> None:
    a, b = put(tmp_path / "a.txt", VERSE.rstrip()), put(tmp_path / "b.txt", VERSE)
    empty = put(tmp_path / "poems/empty.txt", "")
    put(tmp_path / "poems/only.txt", VERSE.rstrip())
    assert read(a).characters == len(VERSE) - 1
    assert open_corpus(Source((a, b))).characters == 2 * len(VERSE)
    assert open_corpus(Source((b, a))).characters == 2 * len(VERSE)
    only = read(empty.parent)
    assert (only.characters, only.documents) == (len(VERSE) - 1, 1)
    assert only.notes == ["left out 1 file with no text inside"]


def test_notes_count_the_files_that_were_changed(tmp_path: Path) -> None:
    put(tmp_path / "a.txt", b"\xef\xbb\xbf" + VERSE.replace("\n", "\r\n").encode())
    put(tmp_path / "b.txt", VERSE.replace("\n", "\r\n"))
    put(tmp_path / "c.txt", VERSE.replace("\n", "\r"))
    put(tmp_path / "d.txt", VERSE)
    jsonl(tmp_path / "e.jsonl", ["one\r\ntwo", ""])
    found = read(tmp_path)
    assert found.notes == [
        "removed the byte order mark of 1 file",
        "converted CRLF line ends to LF in 2 files",
        "converted CR line ends to LF in 1 file",
        "converted CRLF or CR line ends to LF in the texts of 1 file",
        "left out lines whose text is empty in 1 file",
    ]
    assert "\r" not in found.tokenizer.characters
    assert "\ufeff" not in found.tokenizer.characters
    assert found.characters == 4 * len(VERSE) + len("one\ntwo\n")


def test_only_the_first_character_is_a_byte_order_mark(tmp_path: Path) -> None:
    found = read(put(tmp_path / "poem.txt", "\ufeff" + VERSE + "\ufeff\n"))
    assert found.characters == len(VERSE) + 2


def test_lines_of_json_may_hold_any_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """U+2028 ends a line for `str.splitlines`, not for JSON; the last line needs no line feed."""
    monkeypatch.setattr(corpus, "CHUNK", 5)
    texts = [f"a\u2028b\u0085{UNICODE}", "🐦" * 70]
    lines = [json.dumps({"poem": text}, ensure_ascii=i == 0) for i, text in enumerate(texts)]
    path = put(tmp_path / "poems.jsonl", "\r\n\r\n".join(lines))
    found = open_corpus(Source((path,), field="poem"))
    assert (found.documents, found.notes) == (2, [])
    assert found.digest == hashlib.sha256(f"{texts[0]}{texts[1]}\n".encode()).hexdigest()


def test_the_digest_depends_on_the_text_alone(tmp_path: Path) -> None:
    one = read(put(tmp_path / "a/one.txt", VERSE))
    other = read(put(tmp_path / "b/other.md", VERSE.replace("\n", "\r\n")), holdout=0.2)
    assert one.digest == other.digest == hashlib.sha256(VERSE.encode()).hexdigest()
    assert one.digest != read(put(tmp_path / "c.txt", VERSE + " ")).digest


def test_white_space_is_a_text_too(tmp_path: Path) -> None:
    assert read(put(tmp_path / "space.txt", " \n" * 40)).tokenizer.characters == "\n "


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Poems", "poems"),
        ("Ōkina 翁.v2", "okina-.v2"),
        ("../..", "text"),
        ("", "text"),
        ("愛", "text"),
        ("x" * 99, "x" * 40),
        ("a+b  c", "a-b-c"),
    ],
)
def test_a_slug_is_a_name_for_every_file_system(given: str, expected: str) -> None:
    assert slug(given) == expected


def test_several_paths_are_named_after_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [put(tmp_path / f"{'poem' * 12}{i}.txt", VERSE) for i in range(3)]
    name = open_corpus(Source(tuple(paths))).name
    assert name == ("poem" * 12)[: 40 - len("-2-more")] + "-2-more"
    assert len(name) == 40
    monkeypatch.chdir(tmp_path)
    assert open_corpus(Source((Path("."),))).name == slug(tmp_path.name)


# --- standard input -------------------------------------------------------------------------------


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    def pipe(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))

    return pipe


def test_standard_input_is_read_once_and_leaves_nothing_behind(
    tmp_path: Path, pipe: Callable[[bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Any] = []
    original = corpus.tempfile.TemporaryFile
    monkeypatch.setattr(
        corpus.tempfile, "TemporaryFile", lambda: kept.append(original()) or kept[-1]
    )
    pipe((VERSE + UNICODE).replace("\n", "\r\n").encode())
    found = open_corpus(Source(stdin=True))
    assert found.name == "stdin"
    assert found.notes == ["converted CRLF line ends to LF in 1 file"]
    assert "".join(decoded(found, tmp_path / "a")) == VERSE + UNICODE
    assert "".join(decoded(found, tmp_path / "b")) == VERSE + UNICODE
    assert not kept[0].closed
    del found
    assert kept[0].closed


def test_standard_input_comes_after_the_files(
    tmp_path: Path, pipe: Callable[[bytes], None]
) -> None:
    pipe(b"piped")
    found = open_corpus(Source((put(tmp_path / "poem.txt", VERSE),), stdin=True))
    assert (found.name, found.documents) == ("poem-1-more", 2)
    assert found.digest == hashlib.sha256(f"{VERSE}piped\n".encode()).hexdigest()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "Standard input is empty"),
        (VERSE.encode("utf-16"), "Standard input is not UTF-8: the byte 0xFF at offset 0 (line 1)"),
        (b"caf\xe9" * 20, "It looks like cp1252. Save it as UTF-8 before it is piped in."),
    ],
)
def test_standard_input_that_cannot_be_learned(
    pipe: Callable[[bytes], None], content: bytes, expected: str
) -> None:
    pipe(content)
    with pytest.raises(TextError) as caught:
        open_corpus(Source(stdin=True))
    assert expected in str(caught.value)


# --- what cannot be learned from ------------------------------------------------------------------


def test_a_missing_file_is_answered_with_the_nearest_name(tmp_path: Path) -> None:
    put(tmp_path / "sonnets.txt", VERSE)
    assert message(tmp_path / "sonets.txt") == (
        f"There is no file or folder {tmp_path / 'sonets.txt'}. "
        f"Did you mean {tmp_path / 'sonnets.txt'}?"
    )
    assert message(tmp_path / "q").endswith("Check the path.")
    assert f"There is no folder {tmp_path / 'no'}" in message(tmp_path / "no" / "poem.txt")
    assert f"There is no folder {tmp_path / 'sonnets.txt'}" in message(
        tmp_path / "sonnets.txt" / "x"
    )


def test_a_path_that_no_system_takes(tmp_path: Path) -> None:
    assert "cannot be read" in message(tmp_path / ("x" * 5000))
    assert "cannot be read: embedded null byte" in message(tmp_path / "a\0b")


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["poem.txt", "poem.jsonl"])
def test_an_empty_file(tmp_path: Path, content: bytes, name: str) -> None:
    path = put(tmp_path / name, content)
    assert message(path) == f"{path} is empty: there is no text in it. Give one with text."


def test_lines_of_json_without_any_text(tmp_path: Path) -> None:
    assert "is empty" in message(jsonl(tmp_path / "poems.jsonl", ["", ""]))
    assert "is empty" in message(put(tmp_path / "blank.jsonl", "\n \n"))


def test_a_folder_without_text(tmp_path: Path) -> None:
    put(tmp_path / "poem.doc", VERSE)
    assert "no file in it ends in .txt, .md or .jsonl" in message(tmp_path)
    put(tmp_path / "poem.txt", "")
    assert "There is no text in it" in message(tmp_path)


def test_too_short_a_text_says_how_much_is_there_and_how_much_it_takes(tmp_path: Path) -> None:
    text = (VERSE * 2)[: MINIMUM - 1]
    assert message(put(tmp_path / "poem.txt", text)).startswith(
        "The text has 63 characters, and at least 64 are needed"
    )
    with pytest.raises(TextError, match="has 1 character,"):
        corpus_of("a")
    with pytest.raises(TextError, match="There is no text in it"):
        corpus_of("")
    assert corpus_of((VERSE * 2)[:MINIMUM]).characters == MINIMUM


def test_one_distinct_character_is_nothing_to_guess(tmp_path: Path) -> None:
    assert "The text is 'a' 80 times over" in message(put(tmp_path / "a.txt", "a" * 80))


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-16", VERSE),
        ("utf-16-le", VERSE),
        ("utf-16-be", VERSE),
        ("utf-16", "愛と平和の詩を書く\n" * 9),
        ("utf-32", VERSE),
        ("cp1252", "L'été où j'ai rêvé d'être poète, déjà là-bas…\n" * 3),
        ("cp1252", "Über allen Gipfeln ist Ruh, in allen Wipfeln spürest du\n" * 3),
        ("latin-1", "L'\x81été où j'ai rêvé d'être poète\n" * 3),
        ("cp1251", "Мой дядя самых честных правил, когда не в шутку занемог\n" * 3),
        ("shift_jis", "古池や蛙飛びこむ水の音\n春の海ひねもすのたりのたりかな\n" * 3),
        ("gb18030", "床前明月光，疑是地上霜。举头望明月，低头思故乡。\n" * 3),
    ],
)
def test_another_encoding_is_recognised_and_the_remedy_works(
    tmp_path: Path, encoding: str, text: str
) -> None:
    path = put(tmp_path / "poem.txt", text.encode(encoding))
    found = message(path)
    assert f"{path} is not UTF-8: the byte 0x" in found
    assert f"It looks like {encoding}. Save it as UTF-8 in your editor" in found
    program = found.partition('python -c "')[2].removesuffix('".')
    exec(compile(program, "remedy", "exec"), {})
    assert read(tmp_path / "poem-utf8.txt").digest == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("chunk", [1, 2, 5, 1 << 18])
def test_the_first_wrong_byte_is_found(
    tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "CHUNK", chunk)
    good = "\ufeffone 🐦\ntwo\n愛".encode()
    expected = f"the byte 0xE9 at offset {len(good)} (line 3) does not fit"
    assert expected in message(put(tmp_path / "a.txt", good + b"\xe9 and more\n"))
    assert expected in message(put(tmp_path / "b.txt", good + b"\xe9"))
    half = "🐦".encode()[:3]
    assert f"0xF0 at offset {len(good)}" in message(put(tmp_path / "c.txt", good + half))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"%PDF-1.7\n%\xe2\xe3", "it is a PDF."),
        (b"PK\x03\x04\x14\x00", "it is a zip archive, as .docx, .odt and .epub are."),
        (b"\x89PNG\r\n\x1a\n\x00", "it is a PNG image."),
        (gzip.compress(VERSE.encode()), "it is gzip-compressed."),
        (b"{\\rtf1\\ansi", "it is an RTF document."),
        (b"abc\x00\xff\x01\x02\x03" * 9, "there is a NUL byte at offset 3."),
        (b"\xff\xfabc\x00\x01\x02\x03" * 9, "there is a NUL byte at offset 4."),
        (VERSE.encode() + b"\x00\x01\x02", f"there is a NUL byte at offset {len(VERSE)}."),
    ],
)
def test_what_is_not_text_at_all(tmp_path: Path, content: bytes, expected: str) -> None:
    path = put(tmp_path / "poem.txt", content)
    found = message(path)
    assert found.startswith(f"{path} is not text: ")
    assert expected in found
    assert "save its text as plain text in UTF-8" in found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"text": "half', "is not JSON: Unterminated string starting at, column 10."),
        ("plain words", "is not JSON: Expecting value, column 1."),
        ("[" * 100_000, "is not JSON: maximum recursion depth exceeded"),
        ('["text"]', 'is a list, not a JSON object. Write each text as {"text": "..."}'),
        ('"words"', "is a string, not a JSON object."),
        ('{"title": "T", "body": 3}', "has no field 'text'. It has 'title' (a string), 'body'"),
        ("{}", "has no field 'text'. It has no fields at all."),
        ('{"text": null, "body": true}', "the field 'text' is null, not a string. It has 'text'"),
        ('{"text": 3.5}', "the field 'text' is a number, not a string."),
        ('{"text": "a\\ud83d"}', "the surrogate U+D83D alone, as character 2."),
    ],
)
def test_a_line_that_is_not_what_was_asked_for(tmp_path: Path, line: str, expected: str) -> None:
    path = put(tmp_path / "poems.jsonl", f'{{"text": {json.dumps(VERSE)}}}\n\n{line}\n')
    found = message(path)
    assert found.startswith(f"{path}, line 3")
    assert expected in found


def test_a_missing_field_names_the_flag_and_not_every_field(tmp_path: Path) -> None:
    line = json.dumps({f"f{i}": None for i in range(30)})
    found = message(put(tmp_path / "poems.jsonl", line))
    assert "'f9' (null) and more. Name the one with the text (--field)." in found
    assert "'f10'" not in found


def test_both_halves_of_a_surrogate_pair_are_one_character(tmp_path: Path) -> None:
    found = read(put(tmp_path / "p.jsonl", f'{{"text": "\\ud83d\\udc26{"x" * 70}"}}'))
    assert found.tokenizer.characters == "x🐦"


def test_half_a_character_in_memory() -> None:
    with pytest.raises(TextError, match=r"the surrogate U\+DC26 alone, as character 3"):
        corpus_of("ab\udc26" + VERSE)


def test_permission_denied_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated: whoever runs the tests as root may read everything."""

    def refuse(path: Any, *_: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    poem = put(tmp_path / "poem.txt", VERSE)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        assert f"{poem} cannot be read: permission denied." in message(poem)
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        assert f"The folder {tmp_path} cannot be read: permission denied." in message(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", refuse)  # so there are no names to compare with
        assert message(tmp_path / "poen.txt").endswith("poen.txt. Check the path.")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are not files here")
def test_a_pipe_cannot_be_read_twice(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "cannot be read twice. Give a file, or pipe it in (--stdin)" in message(
        tmp_path / "pipe"
    )


# --- the second pass ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "later",
    [
        VERSE + "more lovely\n",
        VERSE[:-1],
        VERSE.replace("S", "T", 1),
        VERSE.replace("S", "§", 1),
        VERSE[:1],
    ],
    ids=["longer", "shorter", "another letter", "a new character", "nearly gone"],
)
def test_a_text_that_changed_meanwhile_leaves_nothing_behind(tmp_path: Path, later: str) -> None:
    path = put(tmp_path / "poem.txt", VERSE)
    found = read(path)
    put(path, later)
    with pytest.raises(TextError, match=r"'poem' changed while it was being read.* Start again"):
        found.write(tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_text_that_is_gone_meanwhile_leaves_nothing_behind(tmp_path: Path) -> None:
    path = put(tmp_path / "poem.txt", VERSE)
    found = read(path)
    path.unlink()
    with pytest.raises(TextError, match="No such file"):
        found.write(tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_full_disk_leaves_the_old_text_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    old = decoded(corpus_of(VERSE), tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            corpus_of(UNICODE * 3).write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{n}.npy" for n in NAMES)
    tokenizer = CharTokenizer.from_text(VERSE)
    assert [tokenizer.decode(part) for part in load_parts(tmp_path)] == old


def test_reading_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "poem.txt", VERSE)
    monkeypatch.chdir(tmp_path)
    read(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (Path.unlink, "is missing"),
        (lambda path: path.write_bytes(b"nothing"), "is damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "is damaged"),
        (lambda path: np.save(path, np.zeros((2, 2), np.uint8)), "holds uint8 of shape (2, 2)"),
        (lambda path: np.save(path, np.zeros(4)), "holds float64"),
    ],
)
def test_a_damaged_part_is_a_run_error(
    tmp_path: Path, damage: Callable[[Path], Any], expected: str
) -> None:
    corpus_of(VERSE).write(tmp_path)
    damage(tmp_path / "validation.npy")
    with pytest.raises(RunError) as caught:
        load_parts(tmp_path)
    assert f"{tmp_path / 'validation.npy'} {expected}" in str(caught.value)


def test_runs_inside_a_folder_are_not_read(tmp_path: Path) -> None:
    """Or the second training on a folder would learn from the samples of the first."""
    (tmp_path / "verse.txt").write_text("the sea, the sea\n" * 20, encoding="utf-8")
    run = tmp_path / "runs" / "verse-modern"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}", encoding="utf-8")
    (run / "samples.jsonl").write_text('{"step": 0, "text": "XXXX"}\n', encoding="utf-8")
    found = open_corpus(Source((tmp_path,)))
    assert "X" not in found.tokenizer.characters
    assert "left out folders that hold a run" in found.notes
