"""The words of a page: one flat table of sentences, another language's put over it, HTML filled in.

    table = translated(Path("suomi.json"))          # SettingError for an unknown key or placeholder
    fill(table["story.loss"], first=number(4.37))   # Html: everything else is escaped

All of them lie in page/strings.json. A file given with --strings replaces some of them or all."""

import difflib
import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from babypoet import values
from babypoet.errors import SettingError

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_PLURAL = re.compile(r"(.+)\.(?:zero|one|two|few|many)")  # what languages have beside `.other`


class Html(str):
    """Markup, as opposed to text that has to be escaped."""


def translated(path: Path | None) -> dict[str, str]:
    """All words of the page, those in the file at `path` in their language."""
    table = dict(values.strings())
    if path is not None:
        given = _read(path)
        for key, sentence in given.items():
            _check(path, key, sentence, table)
        table.update(given)
    return table


def _read(path: Path) -> dict[str, Any]:
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(
            f"--strings {path} cannot be read: {error.strerror or error}. Give a JSON file."
        ) from error
    except ValueError as error:
        raise SettingError(
            f"--strings {path} is not JSON in UTF-8: {error}. It should look like "
            '{"page.language": "fi", ...}.'
        ) from error
    if not isinstance(given, dict):
        raise SettingError(
            f"--strings {path} should hold one JSON object of keys and sentences, "
            f"not {_kind(given)}."
        )
    return given


def _check(path: Path, key: str, sentence: object, table: Mapping[str, str]) -> None:
    """Raise SettingError for what cannot stand in the table's place under `key`."""
    plural = _PLURAL.fullmatch(key)
    known = key if key in table or plural is None else f"{plural.group(1)}.other"
    if known not in table:
        near = difflib.get_close_matches(key, table, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "They are those of page/strings.json."
        raise SettingError(f"--strings {path}: there is no sentence {key!r}. {hint}")
    if not isinstance(sentence, str):
        raise SettingError(
            f"--strings {path}: {key!r} should be a sentence in quotation marks, "
            f"not {_kind(sentence)}."
        )
    there = _placeholders(table[known])
    if foreign := sorted(_placeholders(sentence) - there):
        has = ", ".join(f"{{{name}}}" for name in sorted(there)) or "none"
        raise SettingError(
            f"--strings {path}: {key!r} has the placeholder {{{foreign[0]}}}, which nothing "
            f"fills. The English sentence has: {has}."
        )


def _kind(value: object) -> str:
    """What a JSON value is, in words."""
    names = {dict: "an object", list: "a list", bool: "true or false", type(None): "null"}
    return names.get(type(value), "text" if isinstance(value, str) else "a number")


def _placeholders(sentence: str) -> set[str]:
    return set(_PLACEHOLDER.findall(sentence))


def fill(sentence: str, **parts: str | int) -> Html:
    """A sentence as HTML, with its {placeholders} filled: Html as it is, all else escaped.

    >>> fill("{n} < {what}", n=3, what="<b>")
    '3 &lt; &lt;b&gt;'
    """
    pieces = _PLACEHOLDER.split(sentence)
    filled = (
        safe(piece) if i % 2 == 0 else _part(parts[piece]) if piece in parts else f"{{{piece}}}"
        for i, piece in enumerate(pieces)
    )
    return Html("".join(filled))


def plain(sentence: str, **parts: str | int) -> str:
    """A sentence as text, with its {placeholders} filled."""
    return _PLACEHOLDER.sub(lambda m: str(parts.get(m.group(1), m.group())), sentence)


def _part(part: str | int) -> str:
    if isinstance(part, Html):
        return part
    return safe(f"{part:,}" if isinstance(part, int) else part)


def safe(text: str) -> Html:
    """Text as HTML. What no page can hold is shown: a NUL as ␀, half of a surrogate pair as �.

    >>> safe("a<b>\\0\\ud800")
    'a&lt;b&gt;␀�'
    """
    return Html(html.escape("".join(map(_shown, text))))


def _shown(char: str) -> str:
    code = ord(char)
    if code < 0x20 and char not in "\n\t":
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    forbidden = 0x80 <= code < 0xA0 or 0xD800 <= code < 0xE000 or 0xFDD0 <= code < 0xFDF0
    return "\ufffd" if forbidden or code & 0xFFFE == 0xFFFE else char


def glyph(char: str) -> str:
    """One character that can be seen: the space as ␣, a line break as ↵, a tab as ⇥."""
    return {" ": "␣", "\n": "↵", "\t": "⇥", "\xa0": "⍽"}.get(char, _shown(char))
