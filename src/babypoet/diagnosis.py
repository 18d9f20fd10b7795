"""What a file is that is not UTF-8 text: guesses for error messages, from its first bytes.

    >>> kind_of(b"%PDF-1.7"), wide_encoding("poem".encode("utf-16-le"))
    ('a PDF', 'utf-16-le')

Nothing here reads files or decides what is text; `corpus.py` does.
"""

import codecs
import re

_MAGIC = {
    b"%PDF-": "a PDF",
    b"PK\x03\x04": "a zip archive, as .docx, .odt and .epub are",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an old Office document",
    b"{\\rtf": "an RTF document",
    b"\x89PNG\r\n": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF87a": "a GIF image",
    b"GIF89a": "a GIF image",
    b"\x1f\x8b\x08": "gzip-compressed",
    b"BZh91AY": "bzip2-compressed",
    b"\xfd7zXZ\x00": "xz-compressed",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x7fELF": "a program",
    b"SQLite format 3\x00": "an SQLite database",
    b"\x93NUMPY": "a numpy array",
}
_UTF_16_AND_32 = {  # the longer marks first: UTF-16's begins UTF-32's
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def kind_of(head: bytes) -> str | None:
    """What begins with these bytes, if it is something well known that is not text."""
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)


def wide_encoding(head: bytes) -> str | None:
    """UTF-16 or UTF-32: by its mark, or by the NUL beside each ASCII character, always on one side.

    >>> wide_encoding("poem".encode("utf-16-le")), wide_encoding(b"poem")
    ('utf-16-le', None)
    """
    for mark, encoding in _UTF_16_AND_32.items():
        if head.startswith(mark):
            return encoding
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) * 5 < len(head) or min(even, odd) * 10 > max(even, odd):
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def narrow_encoding(sample: bytes) -> str:
    """The likely encoding of bytes that are not UTF-8, guessed by what each script is full of."""
    japanese = _decodable(sample, "shift_jis")
    foreign = [char for char in japanese if char > "\x7f"]
    if sum("ぁ" <= char <= "ヿ" for char in foreign) * 5 > len(foreign):  # kana, in a fifth
        return "shift_jis"
    chinese = [char for char in _decodable(sample, "gb18030") if char > "\x7f"]
    if sum(map(_is_common_chinese, chinese)) * 10 > len(chinese) * 7:
        return "gb18030"
    runs = re.findall(rb"[\x80-\xff]+", sample)
    letters = sum(byte >= 0xC0 for run in runs for byte in run)
    total = sum(map(len, runs))
    if total > 2.5 * len(runs) and letters * 10 > total * 9:  # whole words of letters above ASCII
        return "cp1251"
    return "cp1252" if _decodable(sample, "cp1252") else "latin-1"


def _decodable(sample: bytes, encoding: str) -> str:
    """The sample decoded, but for a character cut off at its end; nothing if it cannot be."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return ""


def _is_common_chinese(char: str) -> bool:
    """Is it punctuation or one of the 3,755 common characters of GB 2312?"""
    code = char.encode("gb18030", "replace")
    return len(code) == 2 and code[1] >= 0xA1 and (code[0] <= 0xA3 or 0xB0 <= code[0] <= 0xD7)
