"""Characters to numbers and back: text in, whole numbers out, and the same text again.

A model computes with numbers. Here you choose them: a character's number, its id, is its place in
the sorted list of all the characters that the text uses.
"""


def vocabulary(text: str) -> list[str]:
    """Every distinct character of `text`, once, sorted: "hello" -> ["e", "h", "l", "o"].

    text  any string, also an empty one
    ->    a list of one-character strings
    """
    raise NotImplementedError


def encode(text: str, characters: list[str]) -> list[int]:
    """The place of each character of `text` in `characters`, counted from 0.

    text        any string
    characters  what `vocabulary` gave
    ->          a list of whole numbers, as long as the text. A character that is not in the list
                is an error (any exception will do), never a number
    """
    raise NotImplementedError


def decode(ids: list[int], characters: list[str]) -> str:
    """The text that `encode` made into `ids`.

    ids         a list of whole numbers, each below len(characters)
    characters  what `vocabulary` gave
    ->          one string
    """
    raise NotImplementedError
