"""Wrong answers to lesson 1: (what the solution says, what is written instead, what names it)."""

WRONG = [
    ("return sorted(set(text))", "return list(dict.fromkeys(text))", "order of first appearance"),
    ("return sorted(set(text))", "return list(set(text))", "Sort it"),
    ("return sorted(set(text))", "return sorted(text)", "occur twice are in your list twice"),
    ("return sorted(set(text))", "return sorted(set(text.lower()))", "made capitals small"),
    (
        "return sorted(set(text))",
        "return sorted(set(text), key=lambda c: (c.lower(), c))",
        "without regard to capitals",
    ),
    (
        "return sorted(set(text))",
        'return sorted(set("".join(text.split())))',
        "blank and the line break are missing",
    ),
    (
        "return sorted(set(text))",
        "return sorted(set(''.join(text.splitlines())))",
        "line break is missing",
    ),
    (
        "return sorted(set(text))",
        "return sorted(c for c in set(text) if ord(c) < 128)",
        "beyond plain English",
    ),
    ("return sorted(set(text))", "return ''.join(sorted(set(text)))", "one string"),
    ("enumerate(characters)", "enumerate(characters, start=1)", "begin at 1"),
    (
        "return [place[character] for character in text]",
        "return [ord(character) for character in text]",
        "code points (`ord`)",
    ),
    ("enumerate(characters)", "enumerate(sorted(set(text)))", "numbered the characters of this"),
    (
        "return [place[character] for character in text]",
        "return [place[character] for character in text if not character.isspace()]",
        "Blanks or line breaks were left out",
    ),
    (
        "return [place[character] for character in text]",
        "return [''.join(characters).find(character) for character in text]",
        "-1 is what str.find gives",
    ),
    (
        "return [place[character] for character in text]",
        "return [place.get(character) for character in text]",
        "None is what dict.get gives",
    ),
    (
        "return [place[character] for character in text]",
        "return [place[character] for character in text if character in place]",
        "dropped without a word",
    ),
    ('return "".join(', 'return " ".join(', "joined with a blank"),
    ('"".join(characters[i] for i in ids)', "[characters[i] for i in ids]", "Join them into one"),
    ("characters[i] for i in ids", "characters[i - 1] for i in ids", "You took id - 1"),
    (
        '"".join(characters[i] for i in ids)',
        '"".join(characters[i] for i in ids).strip()',
        "stripped off",
    ),
]
