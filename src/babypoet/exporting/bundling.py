"""Many plain ES modules in, one classic script out.

    script = bundle(Path("src/babypoet/page"), "app.js")

A browser refuses to import a module from a file that was opened by double click, so a page that
should work there carries one script. Each module becomes a function that is called once and returns
what it exports, in an order in which whatever is imported is there already.

This is no JavaScript parser. It knows just two forms, at the top level and at the start of a line:

    import { a, b } from "./x.js";      (also over several lines)
    export function f     (also async function, function*, class and const)

Every other `import` or `export`, a circle, a name that nobody exports, a top-level `await` and
whatever would end the script's element are errors that name file and line. They are mistakes in our
own files, so they are a ValueError and no BabyPoetError."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_IMPORT = re.compile(r'import\s*\{\s*([\w$\s,]*?)\s*,?\s*\}\s*from\s*"\./([\w-]+\.js)";')
_EXPORT = re.compile(
    r"export\s+(?=(?:async\s+function\b\s*\*?|function\b\s*\*?|class\b|const\b)\s*([\w$]+))"
)
_WORD = re.compile(r"(?<![\w$.])(import|export|await)(?![\w$])")
_NAME = re.compile(r"[A-Za-z_$][\w$]*")
_ENDS_THE_ELEMENT = re.compile(r"</script|<!--|\]\]>|\r|\0", re.IGNORECASE)
# after these words a slash begins a regular expression, as it does after most punctuation
_BEFORE_A_PATTERN = {"return", "typeof", "case", "in", "of", "delete", "void", "throw", "new"}
_BEFORE_A_PATTERN |= {"else", "do", "yield", "await", "instanceof"}


class BundlingError(ValueError):
    """A module that cannot be turned into a part of a classic script."""


def bundle(folder: Path, entry: str) -> str:
    """The module `entry` in `folder` and all that it imports, as one classic script."""
    modules: dict[str, Module] = {}
    _collect(folder, entry, modules, [])
    for module in modules.values():
        for found in module.imports:
            for name in found.names:
                if name not in modules[found.source].exports:
                    raise module.error(found.place, f"{found.source} exports no {name}")
    parts = "\n".join(module.rewritten() for module in modules.values())
    return f'\n"use strict";\n(() => {{\n{parts}\n}})();\n'


def _collect(folder: Path, name: str, modules: "dict[str, Module]", above: list[str]) -> None:
    """Put a module into `modules`, after those that it imports."""
    path = folder / name
    module = Module(name, path.read_text(encoding="utf-8"))
    for found in module.imports:
        trail = [*above, name]
        if found.source in trail:
            circle = " -> ".join([*trail[trail.index(found.source) :], found.source])
            raise module.error(found.place, f"modules must not import in a circle: {circle}")
        if not (folder / found.source).is_file():
            raise module.error(found.place, f"there is no {found.source}")
        if found.source not in modules:
            _collect(folder, found.source, modules, trail)
    modules[name] = module


@dataclass(frozen=True)
class Import:
    """One import statement: from `place` to `end` of the text."""

    place: int
    end: int
    source: str
    names: tuple[str, ...]


class Module:
    """One file, taken apart as far as bundling needs it."""

    def __init__(self, name: str, text: str) -> None:
        """Raises BundlingError for whatever it does not know."""
        self.name, self.text = name, text
        self.code = blanked(text)
        if broken := _ENDS_THE_ELEMENT.search(text):
            raise self.error(
                broken.start(),
                f"{broken.group()!r} must not stand in a script of a page; put a backslash into it",
            )
        self.imports: list[Import] = []
        self.exports: list[str] = []
        self._marks: list[tuple[int, int]] = []  # each `export ` that is taken out
        self._read()

    def error(self, place: int, what: str) -> BundlingError:
        """An error that says where in this file."""
        line = self.text.count("\n", 0, place) + 1
        return BundlingError(f"{self.name}, line {line}: {what}.")

    def _read(self) -> None:
        depth = _Depth(self.code)
        for word in _WORD.finditer(self.code):
            place = word.start()
            at_top = depth.at(place) == 0
            line = self.text[place:].split("\n", 1)[0].strip()
            if word.group() == "await":
                if at_top:
                    raise self.error(place, "a classic script has no top-level await")
                continue
            starts_line = place == 0 or self.text[place - 1] == "\n"
            if not (at_top and starts_line):
                raise self.error(place, f"only at the start of a line can this stand: {line}")
            if word.group() == "import":
                self._take_import(place, line)
            else:
                self._take_export(place, line)

    def _take_import(self, place: int, line: str) -> None:
        match = _IMPORT.match(self.text, place)
        names = tuple(re.split(r"\s*,\s*", match.group(1))) if match else ()
        if match is None or not all(map(_NAME.fullmatch, names)):
            raise self.error(
                place, f'the only import is `import {{ a, b }} from "./x.js";`, not: {line}'
            )
        if self.code[self.imports[-1].end if self.imports else 0 : place].strip():
            raise self.error(place, "imports stand at the top, before anything else")
        self.imports.append(Import(place, match.end(), match.group(2), names))

    def _take_export(self, place: int, line: str) -> None:
        match = _EXPORT.match(self.code, place)
        if match is None:
            raise self.error(
                place,
                "only a function, an async function, a class or a const can be exported, each "
                f"where it is made, not: {line}",
            )
        if match.group(1) in self.exports:
            raise self.error(place, f"{match.group(1)} is exported twice")
        self.exports.append(match.group(1))
        self._marks.append((place, match.end()))

    def rewritten(self) -> str:
        """The module as a function that is called once; its lines keep their number."""
        text = self.text
        changes = [(start, end, "") for start, end in self._marks]
        for found in self.imports:
            lines = "\n" * text.count("\n", found.place, found.end)
            names = f"const {{ {', '.join(found.names)} }} = {variable(found.source)};{lines}"
            changes.append((found.place, found.end, names))
        for start, end, new in sorted(changes, reverse=True):
            text = text[:start] + new + text[end:]
        returned = f"return {{ {', '.join(self.exports)} }};" if self.exports else ""
        return f"// {self.name}\nconst {variable(self.name)} = (() => {{\n{text}\n{returned}}})();"


def variable(name: str) -> str:
    """What a module's exports are called inside the script.

    >>> variable("room-map.js")
    '$room_map'
    """
    return "$" + name.removesuffix(".js").replace("-", "_")


class _Depth:
    """How many brackets are open at a place; places must be asked for in order."""

    def __init__(self, code: str) -> None:
        self.code, self.place, self.depth = code, 0, 0

    def at(self, place: int) -> int:
        stretch = self.code[self.place : place]
        self.depth += sum(map(stretch.count, "([{")) - sum(map(stretch.count, ")]}"))
        self.place = place
        return self.depth


def blanked(text: str) -> str:
    """JavaScript with the inside of comments, strings, templates and regular expressions blanked.

    Line breaks stay, and so does the code inside a template's ${}; every character keeps its place.

    >>> blanked("a = 'import'; // export")
    'a =         ;          '
    """
    return "".join(_scan(text))


def _scan(text: str) -> Iterator[str]:
    place, last = 0, ""  # `last`: the word or sign before, which tells a division from a pattern
    templates: list[int] = []  # for each open ${ how many { are open inside it
    while place < len(text):
        char = text[place]
        if text.startswith(("//", "/*"), place):
            end = _comment_end(text, place)
        elif char in "'\"":
            end, last = _string_end(text, place), "'"
        elif char == "`" or (char == "}" and templates and templates[-1] == 0):
            if char == "}":
                templates.pop()
            end, opened = _template_end(text, place + 1)
            if opened:
                templates.append(0)
            last = "(" if opened else "'"
        elif char == "/" and _pattern_follows(last):
            end, last = _pattern_end(text, place), "'"
        else:
            if templates and char in "{}":
                templates[-1] += 1 if char == "{" else -1
            word = _NAME.match(text, place)
            piece = word.group() if word else char
            last = piece if not piece.isspace() else last
            place += len(piece)
            yield piece
            continue
        yield "".join(c if c == "\n" else " " for c in text[place:end])
        place = end


def _pattern_follows(last: str) -> bool:
    """Whether a slash after this word or sign begins a regular expression and is no division."""
    return last in _BEFORE_A_PATTERN or not (last[:1].isalnum() or last[:1] in ("_", *"$)]}'"))


def _comment_end(text: str, place: int) -> int:
    """Where the comment that begins at `place` is over."""
    if text.startswith("//", place):
        end = text.find("\n", place)
        return end if end >= 0 else len(text)
    end = text.find("*/", place + 2)
    return end + 2 if end >= 0 else len(text)


def _string_end(text: str, place: int) -> int:
    """Where the string that begins at `place` is over."""
    match = re.compile(r"(['\"])(?:\\.|(?!\1).)*\1", re.DOTALL).match(text, place)
    return match.end() if match else len(text)


def _template_end(text: str, place: int) -> tuple[int, bool]:
    """Where a template's text from `place` on is over, and whether a ${ ended it."""
    match = re.compile(r"(?:\\.|(?!\$\{)[^`\\])*(\$\{|`)", re.DOTALL).match(text, place)
    return (match.end(), match.group(1) == "${") if match else (len(text), False)


def _pattern_end(text: str, place: int) -> int:
    """Where the regular expression that begins at `place` is over."""
    match = re.compile(r"/(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\\n])+/\w*").match(text, place)
    return match.end() if match else place + 1
