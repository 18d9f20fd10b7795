"""Text in, three encoded parts out, in memory that does not grow with the text.

    corpus = open_corpus(Source((Path("my-poems"),)))   # reads everything once, writes nothing
    corpus.write(Path("runs/my-poems/data"))            # reads it again and encodes it
    train, validation, held_out = load_parts(Path("runs/my-poems/data"))

The first pass finds every mistake there is to find, so that nothing is written before the text is
known to be good; the second encodes in chunks, straight into the files. Only one line of a .jsonl
file is ever held as a whole.

**The parts.** Each document gives its last tenth to the held-out part and 5 % of the rest, again
its end, to the validation part. At most 1,000,000 characters are held out and 500,000 validated on,
however large the text: every one of them is evaluated exactly, which stays within a minute or so on
a CPU, and more of them would not change the digits that are printed. Documents so short that an end
would have fewer than 50 characters are cut together with the ones after them: the last tenth of
a verse of 30 characters is a comma, and a model judged on commas has not been judged.

It does not clean, translate or shuffle the text: but for line ends and the byte order mark, what
you give is what is learned. It knows nothing of runs or models, and never touches the network.
"""

import codecs
import contextlib
import difflib
import hashlib
import importlib.resources
import io
import json
import math
import os
import re
import shutil
import stat
import sys
import tempfile
import unicodedata
import weakref
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from babypoet import diagnosis
from babypoet.errors import RunError, SettingError, TextError
from babypoet.tokenizer import CharTokenizer

MINIMUM = 64
"""The fewest characters that can be learned from: each part then has at least two."""
MOST_HELD_OUT = 1_000_000
MOST_VALIDATION = 500_000
SHORTEST_END = 50
"""Fewer characters than these say more about how documents end than about what is in them."""
SUFFIXES = (".txt", ".md", ".jsonl")
"""What is read in a folder; a file that is named may have any other one."""
CHUNK = 1 << 18
"""Bytes read, and characters encoded, at a time."""

Ids = NDArray[np.unsignedinteger]
Piece = tuple[str, bool]
"""Some text, and whether its document ends with it."""


@dataclass(frozen=True)
class Source:
    """What to read. No path and no `stdin`: the built-in poems."""

    paths: tuple[Path, ...] = ()
    """Files and folders, in this order; folders are read recursively, sorted by name."""
    stdin: bool = False
    """Read standard input, after the paths."""
    field: str = "text"
    """Where the text is in the JSON object of each line of a .jsonl file."""


class Parts(NamedTuple):
    """The encoded text: three 1-D arrays of unsigned integers, mapped if they come from a run."""

    train: Ids
    validation: Ids
    held_out: Ids


@dataclass
class Corpus:
    """A text that was read once and found good. Nothing has been written yet; `write` does."""

    name: str
    """A short name for the run folder: lower-case letters, digits and ._- only."""
    tokenizer: CharTokenizer
    characters: int
    """How many there are in all."""
    documents: int
    digest: str
    """The SHA-256 of all documents in order: decoded, with LF line ends, in UTF-8."""
    notes: list[str]
    """What was changed or left out, and should be said."""
    train_size: int
    validation_size: int
    held_out_size: int
    _cuts: "list[_Cut]" = field(repr=False)
    _read: "Callable[[_Changes], Iterator[Piece]]" = field(repr=False)

    def write(self, folder: Path) -> None:
        """Read the text again and write train.npy, validation.npy and held_out.npy into `folder`.

        Each appears under its name only once all three are whole and on the disk. A text that
        changed since it was first read is a TextError, a disk that cannot take it an OSError;
        neither leaves a half-written file behind.
        """
        folder.mkdir(parents=True, exist_ok=True)
        temporaries = [folder / f"{name}.npy.tmp" for name in Parts._fields]
        try:
            self._encode(temporaries)
            for temporary in temporaries:
                os.replace(temporary, temporary.with_suffix(""))
        except BaseException:
            for temporary in temporaries:
                temporary.unlink(missing_ok=True)
            raise

    def _encode(self, paths: Sequence[Path]) -> None:
        # Plain writes and no memory map: on a full disk they raise an error that can be told, where
        # writing to a map ends the process; and Windows cannot rename a file while it is mapped.
        sizes = (self.train_size, self.validation_size, self.held_out_size)
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(path.open("wb")) for path in paths]
            for file, size in zip(files, sizes, strict=True):
                _write_header(file, self.tokenizer.dtype, size)
            self._scatter(files)
            for file in files:
                file.flush()
                os.fsync(file.fileno())

    def _scatter(self, files: Sequence[BinaryIO]) -> None:
        """Write each character's id to the file of its part."""
        spans = ((file, size) for cut in self._cuts for file, size in zip(files, cut, strict=True))
        file, room = next(spans)
        for ids in self._ids():
            while len(ids):
                while not room:
                    file, room = self._next(spans)
                file.write(ids[:room].tobytes())
                ids, room = ids[room:], max(0, room - len(ids))

    def _next(self, spans: Iterator[tuple[BinaryIO, int]]) -> tuple[BinaryIO, int]:
        try:
            return next(spans)
        except StopIteration:  # there are more characters than were counted
            raise self._changed() from None

    def _ids(self) -> Iterator[Ids]:
        digest = hashlib.sha256()
        for block in _blocks(self._read(_Changes()), array("q")):
            digest.update(block.encode())
            yield self.tokenizer.ranks(block).astype(self.tokenizer.dtype)
        if digest.hexdigest() != self.digest:  # also where a character was new
            raise self._changed()

    def _changed(self) -> TextError:
        return TextError(
            f"The text {self.name!r} changed while it was being read: it is no longer the one that "
            "was counted. Start again once nothing writes to it."
        )


def open_corpus(source: Source, holdout: float | int | None = None) -> Corpus:
    """Read the text once: check it, count it, and decide its parts. Nothing is written.

    `holdout` is a share (0.2) or a number of characters (5000) of the whole text; None is a tenth,
    at most 1,000,000 characters. Raises TextError where the text cannot be read or learned from,
    SettingError for a `holdout` that cannot be.
    """
    _check_holdout(holdout)
    if not source.paths and not source.stdin:
        return corpus_of(builtin_poems(), "poems", holdout)
    changes = _Changes()
    inputs = _inputs(source, changes)

    def read(changes: _Changes) -> Iterator[Piece]:
        return _terminated(piece for each in inputs for piece in _documents(each, changes))

    return _survey(_name(source), read, holdout, changes)


def corpus_of(text: str, name: str = "text", holdout: float | int | None = None) -> Corpus:
    """`open_corpus` for a text that is in memory already.

    >>> corpus_of("To be, or not to be, that is the question:\\r\\n" * 2).characters
    86
    """
    _check_holdout(holdout)
    _check_surrogates(text, "The text")

    def read(changes: _Changes) -> Iterator[Piece]:
        if text.startswith("\ufeff"):
            changes["removed the byte order mark of {}"] += 1
        whole = text.removeprefix("\ufeff")
        chunks = (whole[start : start + CHUNK] for start in range(0, len(whole), CHUNK))
        return _terminated(_document(_line_feeds(chunks, changes)))

    return _survey(slug(name), read, holdout, _Changes("text"))


def builtin_poems() -> str:
    """The poems that come with the package (CC0)."""
    return (importlib.resources.files("babypoet") / "poems.txt").read_bytes().decode()


def read_text(path: Path) -> str:
    """The text of a file or folder as one string, read with the same care and the same errors."""
    changes = _Changes()
    inputs = _inputs(Source((path,)), changes)
    return "".join(piece for source in inputs for piece, _ in _documents(source, changes))


def load_parts(folder: Path) -> Parts:
    """The three parts that `Corpus.write` wrote to `folder`, as read-only memory maps."""
    return Parts(*(_load_part(folder / f"{name}.npy") for name in Parts._fields))


def _load_part(path: Path) -> Ids:
    try:
        part: Ids = np.load(path, mmap_mode="r")
    except FileNotFoundError:
        raise RunError(
            f"{path} is missing, so the run's text is not complete. Train again."
        ) from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error}. Train again.") from error
    if part.ndim != 1 or part.dtype.kind != "u":
        raise RunError(
            f"{path} holds {part.dtype} of shape {part.shape}, not a row of ids. Train again."
        )
    return part


def parts_of(text: str, tokenizer: CharTokenizer, holdout: float | int | None = None) -> Parts:
    """The parts of one document in memory, cut where `open_corpus` cuts a file with the same text.

    The text is taken as it is: line ends are not converted, and characters that `tokenizer` does
    not know are replaced.

    >>> [len(part) for part in parts_of("0123456789" * 20, CharTokenizer("0123456789"))]
    [171, 9, 20]
    """
    _check_holdout(holdout)
    ids = tokenizer.encode_array(text)
    ends = np.cumsum(_cut([len(ids)], holdout)[0])
    return Parts(*np.split(ids, ends[:2]))


def slug(name: str) -> str:
    """A name that every file system takes: lower case, [a-z0-9._-], 1 to 40 characters.

    >>> slug("Éluard — Œuvres (1926)"), slug("愛")
    ('eluard-uvres-1926', 'text')
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9._-]+", "-", plain)[:40].strip("._-") or "text"


# --- the first pass -------------------------------------------------------------------------------


class _Changes(Counter[str]):
    """What was done to the texts, as sentences with a {}, and to how many of them."""

    def __init__(self, noun: str = "file") -> None:
        super().__init__()
        self.noun = noun

    def notes(self) -> list[str]:
        """
        >>> changes = _Changes()
        >>> changes["converted CRLF line ends to LF in {}"] += 3
        >>> changes.notes()
        ['converted CRLF line ends to LF in 3 files']
        """
        counted = ((what, count) for what, count in self.items() if count)
        return [what.format(_number(count, self.noun)) for what, count in counted]


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _survey(
    name: str,
    read: Callable[[_Changes], Iterator[Piece]],
    holdout: float | int | None,
    changes: _Changes,
) -> Corpus:
    seen, digest, lengths = np.zeros(0x110000, dtype=np.bool_), hashlib.sha256(), array("q")
    for block in _blocks(read(changes), lengths):
        seen[np.frombuffer(block.encode("utf-32-le"), dtype=np.uint32)] = True
        digest.update(block.encode())
    characters = "".join(map(chr, np.flatnonzero(seen)))
    _check_enough(sum(lengths), characters)
    cuts = _cut(lengths, holdout)
    sizes = _total(cuts)
    return Corpus(
        name=name,
        tokenizer=CharTokenizer(characters),
        characters=sum(lengths),
        documents=len(lengths),
        digest=digest.hexdigest(),
        notes=changes.notes(),
        train_size=sizes.train,
        validation_size=sizes.validation,
        held_out_size=sizes.held_out,
        _cuts=cuts,
        _read=read,
    )


def _check_enough(length: int, characters: str) -> None:
    if not length:
        raise TextError("There is no text in it: it is empty. Give one with something in it.")
    if length < MINIMUM:
        raise TextError(
            f"The text has {_number(length, 'character')}, and at least {MINIMUM} are needed to "
            "learn something and to judge it. Give a longer one."
        )
    if len(characters) == 1:
        raise TextError(
            f"The text is {characters!r} {length:,} times over: with one distinct character there "
            "is nothing to guess. Give a text with at least two."
        )


def _write_header(file: BinaryIO, dtype: np.dtype[np.unsignedinteger], size: int) -> None:
    """What `np.save` writes before the values."""
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": (size,),
    }
    np.lib.format.write_array_header_1_0(file, header)


# --- where the parts begin and end ----------------------------------------------------------------


class _Cut(NamedTuple):
    """How many characters of a stretch of text go where, in this order."""

    train: int
    validation: int
    held_out: int


def _check_holdout(holdout: float | int | None) -> None:
    possible = holdout is None or (holdout >= 1 if isinstance(holdout, int) else 0 < holdout < 1)
    if not possible:
        raise SettingError(
            f"--holdout {holdout} is neither a share between 0 and 1, like 0.1, nor a whole number "
            "of characters, like 5000. Give one of these, or leave it out for a tenth."
        )


def _check_sizes(sizes: _Cut, holdout: float | int) -> None:
    """Half of the text is there to be learned, and each part has a character to guess."""
    characters = sum(sizes)
    if 2 * sizes.train >= characters and min(sizes) >= 2:
        return
    # of what is not held out, a twentieth is validation, which has its two characters from 40 on
    most = max(2, min(characters * 9 // 19, characters - 40))
    raise SettingError(
        f"--holdout {holdout} holds out {_number(sizes.held_out, 'character')} of {characters:,}. "
        "At least 2 are needed to judge by, and at least half of the text to learn from: "
        f"give 2 to {most:,}, or a share of at most {math.floor(100 * most / characters) / 100}."
    )


def _held_share(characters: int, holdout: float | int | None) -> Fraction:
    if holdout is None:
        return min(Fraction(1, 10), Fraction(MOST_HELD_OUT, max(1, characters)))
    if isinstance(holdout, int):
        return Fraction(holdout, max(1, characters))
    return Fraction(repr(float(holdout)))  # as it was typed: in binary, 0.29 of 100 is below 29


def _validation_share(rest: int | Fraction) -> Fraction:
    return min(Fraction(1, 20), MOST_VALIDATION / Fraction(max(1, rest)))


def _cut(lengths: Sequence[int], holdout: float | int | None) -> list[_Cut]:
    """Where documents of these lengths are cut; short ones in a row share one cut."""
    characters = sum(lengths)
    held = _held_share(characters, holdout)
    validation = (1 - held) * _validation_share((1 - held) * characters)
    smaller = min(held, validation)
    shortest = math.ceil(SHORTEST_END / smaller) if smaller > 0 else characters
    stretches = _stretches(lengths, shortest)
    held_out = [math.floor(length * held) for length in stretches]
    share = _validation_share(characters - sum(held_out))
    pairs = zip(stretches, held_out, strict=True)
    cuts = [_cut_one(length, held_out, share) for length, held_out in pairs]
    if holdout is not None:  # a tenth needs no check: it suits every text that is long enough
        _check_sizes(_total(cuts), holdout)
    return cuts


def _total(cuts: Iterable[_Cut]) -> _Cut:
    return _Cut(*map(sum, zip(*cuts, strict=True)))


def _cut_one(length: int, held_out: int, validation_share: Fraction) -> _Cut:
    validation = math.floor((length - held_out) * validation_share)
    return _Cut(length - held_out - validation, validation, held_out)


def _stretches(lengths: Iterable[int], shortest: int) -> list[int]:
    """Documents, or as many in a row as have `shortest` characters; what is left joins the last.

    >>> _stretches([500, 30, 30, 40, 200, 10], 100)
    [500, 100, 210]
    """
    stretches, length = [], 0
    for document in lengths:
        length += document
        if length >= shortest:
            stretches.append(length)
            length = 0
    if length or not stretches:
        stretches[-1:] = [sum(stretches[-1:]) + length]
    return stretches


# --- from documents to blocks of text -------------------------------------------------------------


def _document(chunks: Iterable[str]) -> Iterator[Piece]:
    """A document in chunks; none at all if there is no text in it."""
    empty = True
    for chunk in chunks:
        empty = empty and not chunk
        yield chunk, False
    if not empty:
        yield "", True


def _terminated(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Where there are several documents, each ends in a line feed; a lone one stays as it is."""
    first_ended = several = False
    last = ""
    for text, ends in pieces:
        if first_ended and text:  # so there is a second one, and the first may end
            yield "" if last == "\n" else "\n", True
            first_ended, several = False, True
        last = text[-1:] or last
        closed = ends and several
        yield text + "\n" if closed and last != "\n" else text, closed
        first_ended |= ends and not several
    if first_ended:
        yield "", True


def _blocks(pieces: Iterable[Piece], lengths: "array[int]") -> Iterator[str]:
    """The text in blocks of `CHUNK` characters or more, each worth a call to numpy.

    On the way the length of each document is appended to `lengths`: 8 bytes and not an object.
    """
    waiting: list[str] = []
    size = length = 0
    for text, ends in pieces:
        waiting.append(text)
        size += len(text)
        length += len(text)
        if ends:
            lengths.append(length)
            length = 0
        if size >= CHUNK:
            yield "".join(waiting)
            waiting, size = [], 0
    yield "".join(waiting)


def _line_feeds(chunks: Iterable[str], changes: _Changes) -> Iterator[str]:
    """The text with every CRLF and CR as an LF, also where a CRLF is split between two chunks."""
    decoder = io.IncrementalNewlineDecoder(None, translate=True)
    for chunk in chunks:
        yield decoder.decode(chunk)
    yield decoder.decode("", final=True)
    found = decoder.newlines or ()
    for end, name in (("\r\n", "CRLF"), ("\r", "CR")):
        if end in ((found,) if isinstance(found, str) else found):
            changes[f"converted {name} line ends to LF in {{}}"] += 1


# --- from bytes to documents ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Input:
    """One file, or what came in on standard input."""

    label: str
    open_bytes: Callable[[], BinaryIO]
    field: str | None = None
    """The field of a .jsonl file; None for plain text."""
    named: bool = True
    """An empty file that was asked for by name is a mistake; one in a folder is left out."""
    path: Path | None = None
    """Where it lies; None for standard input."""

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """Its bytes from `start` on."""
        with _readable(self.label), self.open_bytes() as file:
            file.seek(start)
            while chunk := file.read(CHUNK):
                yield chunk

    def head(self, start: int = 0, size: int = 1 << 16) -> bytes:
        """Up to `size` bytes from `start` on."""
        with _readable(self.label), self.open_bytes() as file:
            file.seek(start)
            return file.read(size)


@contextlib.contextmanager
def _readable(label: str) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise TextError(
            f"{label} cannot be read: permission denied. Give yourself the right to read it."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = getattr(error, "strerror", None) or error
        raise TextError(f"{label} cannot be read: {why}. Check the path and the disk.") from error


def _documents(source: _Input, changes: _Changes) -> Iterator[Piece]:
    pieces = _plain(source, changes) if source.field is None else _json_lines(source, changes)
    empty = True
    for piece in pieces:
        empty = empty and not piece[1]
        yield piece
    if empty and source.named:
        raise TextError(f"{source.label} is empty: there is no text in it. Give one with text.")
    changes["left out {} with no text inside"] += empty


def _plain(source: _Input, changes: _Changes) -> Iterator[Piece]:
    return _document(_line_feeds(_decoded(source, changes), changes))


def _decoded(source: _Input, changes: _Changes) -> Iterator[str]:
    """The text of UTF-8 bytes, without a byte order mark, in chunks."""
    head = source.head(size=16)
    _check_magic(source, head)
    position = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    changes["removed the byte order mark of {}"] += position > 0
    decoder = codecs.getincrementaldecoder("utf-8")()
    for chunk in source.chunks(position):
        pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(chunk)
        except UnicodeDecodeError as error:
            raise _refused(source, position - pending + error.start) from None
        if "\0" in text:
            raise _refused(source, position + chunk.index(0))
        yield text
        position += len(chunk)
    if pending := len(decoder.getstate()[0]):  # the last character was cut short
        raise _refused(source, position - pending)


def _json_lines(source: _Input, changes: _Changes) -> Iterator[Piece]:
    """One document a line: the string under `source.field`."""
    assert source.field is not None
    converted = empty = False
    for number, line in enumerate(_lines(_decoded(source, changes)), 1):
        if not line or line.isspace():
            continue
        text = _json_text(line, source.field, f"{source.label}, line {number:,}")
        if "\r" in text:
            text, converted = text.replace("\r\n", "\n").replace("\r", "\n"), True
        if text:
            yield text, True
        empty |= not text
    changes["converted CRLF or CR line ends to LF in the texts of {}"] += converted
    changes["left out lines whose text is empty in {}"] += empty


def _lines(chunks: Iterable[str]) -> Iterator[str]:
    """Lines without their line feed. (`str.splitlines` cuts at U+2028 too, which JSON may hold.)"""
    parts: list[str] = []
    for chunk in chunks:
        first, *others = chunk.split("\n")
        parts.append(first)
        for line in others:
            yield "".join(parts)
            parts = [line]
    yield "".join(parts)


def _json_text(line: str, field: str, where: str) -> str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        what = (
            f"{error.msg}, column {error.colno}"
            if isinstance(error, json.JSONDecodeError)
            else error
        )
        raise TextError(
            f"{where} is not JSON: {what}. Each line of a .jsonl file is one JSON object; "
            "if this is plain text, name it .txt."
        ) from error
    text = _field(value, field, where)
    _check_surrogates(text, where)
    return text


def _field(value: Any, field: str, where: str) -> str:
    if not isinstance(value, dict):
        raise TextError(
            f"{where} is {_json_kind(value)}, not a JSON object. "
            f'Write each text as {{"{field}": "..."}}, one a line.'
        )
    fields = [f"{name!r} ({_json_kind(each)})" for name, each in value.items()]
    listed = f"It has {', '.join(fields[:10])}" if fields else "It has no fields at all"
    remedy = (
        f"{listed}{' and more' if len(fields) > 10 else ''}. Name the one with the text (--field)."
    )
    if field not in value:
        raise TextError(f"{where} has no field {field!r}. {remedy}")
    if not isinstance(text := value[field], str):
        kind = _json_kind(text)
        raise TextError(f"{where}: the field {field!r} is {kind}, not a string. {remedy}")
    return text


def _json_kind(value: Any) -> str:
    kinds = {str: "a string", bool: "true or false", dict: "an object", list: "a list"}
    return "null" if value is None else kinds.get(type(value), "a number")


def _check_surrogates(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TextError(
            f"{where} has half a character: the surrogate U+{ord(text[error.start]):04X} alone, as "
            f"character {error.start + 1:,}. Write both halves of it, or leave it out."
        ) from None


# --- bytes that are not UTF-8 ---------------------------------------------------------------------

_TO_PLAIN_TEXT = "Open it in the program it belongs to, and save its text as plain text in UTF-8."


def _check_magic(source: _Input, head: bytes) -> None:
    if kind := diagnosis.kind_of(head):
        raise TextError(f"{source.label} is not text: it is {kind}. {_TO_PLAIN_TEXT}")


def _refused(source: _Input, offset: int) -> TextError:
    """The error for the byte at `offset`, which is NUL or not UTF-8. UTF-16 is full of NUL bytes,
    programs and pictures have some, text has none."""
    head = source.head()
    if encoding := diagnosis.wide_encoding(head):
        return _not_utf8(source, offset, encoding)
    nul = head.find(0) if 0 in head else offset
    if source.head(nul, 1) == b"\0":
        return TextError(
            f"{source.label} is not text: there is a NUL byte at offset {nul:,}. {_TO_PLAIN_TEXT}"
        )
    # a line begins a character in every encoding that is guessed at, so the sample starts with one
    before = source.head(max(0, offset - 4096), min(4096, offset))
    sample = before.rpartition(b"\n")[2] + source.head(offset)
    return _not_utf8(source, offset, diagnosis.narrow_encoding(sample))


def _not_utf8(source: _Input, offset: int, encoding: str) -> TextError:
    byte = source.head(offset, 1)[0]
    line = 1 + sum(chunk.count(b"\n") for chunk in _until(source.chunks(), offset))
    return TextError(
        f"{source.label} is not UTF-8: the byte 0x{byte:02X} at offset {offset:,} (line {line:,}) "
        f"does not fit. It looks like {encoding}. "
        f"Save it as UTF-8{_conversion(source.path, encoding)}."
    )


def _until(chunks: Iterator[bytes], offset: int) -> Iterator[bytes]:
    """The bytes before `offset`."""
    for chunk in chunks:
        yield chunk[:offset]
        offset -= len(chunk[:offset])
        if not offset:
            return


def _conversion(path: Path | None, encoding: str) -> str:
    if path is None:
        return " before it is piped in"
    copy = path.with_stem(f"{path.stem}-utf8")
    return (
        f' in your editor, or run: python -c "from pathlib import Path; Path({str(copy)!r})'
        f".write_text(Path({str(path)!r}).read_text('{encoding}'), 'utf-8')\""
    )


# --- what to read ---------------------------------------------------------------------------------


def _inputs(source: Source, changes: _Changes) -> list[_Input]:
    """The files to read, each once, and standard input last, for it may take waiting."""
    found: dict[str, _Input] = {}
    for path in map(Path, source.paths):
        for each in _files(path, source.field, changes):
            real = os.path.realpath(each.label)
            changes["read {} once that the paths name more than once"] += real in found
            found.setdefault(real, each)
    return [*found.values(), *([_standard_input()] if source.stdin else [])]


def _files(path: Path, field: str, changes: _Changes) -> Iterator[_Input]:
    mode = _mode(path)
    if stat.S_ISDIR(mode):
        yield from _files_inside(path, field, changes)
    elif stat.S_ISREG(mode):
        yield _file(path, field, named=True)
    else:
        raise TextError(
            f"{path} is a pipe or a device, which cannot be read twice. "
            "Give a file, or pipe it in (--stdin)."
        )


def _mode(path: Path) -> int:
    with _readable(str(path)):
        try:
            return os.stat(path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            raise _missing(path) from None


def _file(path: Path, field: str, named: bool) -> _Input:
    is_jsonl = path.suffix.lower() == ".jsonl"
    return _Input(str(path), lambda: path.open("rb"), field if is_jsonl else None, named, path)


def _files_inside(folder: Path, field: str, changes: _Changes) -> Iterator[_Input]:
    paths = list(_walk(folder, set(), changes))
    texts = [path for path in paths if path.suffix.lower() in SUFFIXES]
    looked_for = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
    if not texts:
        raise TextError(
            f"There is no text in the folder {folder}: no file in it ends in {looked_for}. "
            "Name the files to read, or rename them."
        )
    changes[f"left out {{}} not ending in {looked_for}"] += len(paths) - len(texts)
    for path in sorted(texts, key=Path.as_posix):
        yield _file(path, field, named=False)


def _walk(folder: Path, visited: set[str], changes: _Changes) -> Iterator[Path]:
    """The files in a folder, without the hidden ones and without runs, from whose samples no
    model should learn. A folder that a link leads back to is walked once."""
    real = os.path.realpath(folder)
    if real in visited:
        return
    visited.add(real)
    with _readable(f"The folder {folder}"):
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    if any(entry.name == "run.json" for entry in entries):
        changes["left out folders that hold a run"] += 1
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(folder / entry.name, visited, changes)
        elif entry.is_file():
            yield folder / entry.name


def _missing(path: Path) -> TextError:
    if not path.parent.is_dir():
        return TextError(
            f"There is no folder {path.parent} to read {path.name} from. Check the path."
        )
    try:
        names = os.listdir(path.parent)
    except OSError:
        names = []
    near = difflib.get_close_matches(path.name, names, n=1)
    hint = f"Did you mean {path.with_name(near[0])}?" if near else "Check the path."
    return TextError(f"There is no file or folder {path}. {hint}")


def _standard_input() -> _Input:
    """Standard input can be read only once: it is kept in a file that ends with its last reader."""
    kept = tempfile.TemporaryFile()  # noqa: SIM115 - closed when nobody can read it any more

    def open_bytes() -> BinaryIO:
        return os.fdopen(os.dup(kept.fileno()), "rb")

    weakref.finalize(open_bytes, kept.close)
    shutil.copyfileobj(sys.stdin.buffer, kept)
    kept.flush()
    return _Input("Standard input", open_bytes)


def _name(source: Source) -> str:
    """From what was named: `poems`, or `poems-2-more` for three."""
    names = [_stem(path) for path in dict.fromkeys(map(Path, source.paths))]
    names += ["stdin"] * source.stdin
    more = f"-{len(names) - 1}-more" if len(names) > 1 else ""
    return slug(names[0])[: 40 - len(more)].rstrip("._-") + more


def _stem(path: Path) -> str:
    return path.resolve().name if path.is_dir() else path.stem
