"""Characters to numbers and back: text in, whole numbers out, and the same text again."""


def vocabulary(text: str) -> list[str]:
    """Every distinct character of `text`, once, sorted: "hello" -> ["e", "h", "l", "o"]."""
    return sorted(set(text))


def encode(text: str, characters: list[str]) -> list[int]:
    """The place of each character of `text` in `characters`, counted from 0.

    A character that is not in the list is an error, never a number.
    """
    place = {character: i for i, character in enumerate(characters)}
    return [place[character] for character in text]


def decode(ids: list[int], characters: list[str]) -> str:
    """The text that `encode` made into `ids`."""
    return "".join(characters[i] for i in ids)
