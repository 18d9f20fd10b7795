"""Mistakes that people can mend, as one family of exceptions.

    BabyPoetError
    ├── TextError               the text cannot be read, or there is too little to learn from
    ├── SettingError            a setting is impossible, alone or beside another
    ├── RunError                a run folder is missing, damaged, in use, or too new
    ├── LessonError             a learner's folder is missing, damaged, or not one; no such lesson
    └── UnknownCharacterError   a character the model never saw, and unknown="error"

Each message says what is wrong, with the values, and what to do. The command line prints it without
a traceback and exits with 2. Our own bugs are asserts and do not belong here."""


class BabyPoetError(Exception):
    """The parent of every error that a person can mend."""


class TextError(BabyPoetError):
    """The text cannot be read, or there is too little in it to learn from."""


class SettingError(BabyPoetError):
    """A setting is impossible, alone or together with another one."""


class RunError(BabyPoetError):
    """A run folder is missing, damaged, in use, or of a newer format."""


class LessonError(BabyPoetError):
    """A learner's folder is missing, damaged or not one, or there is no such lesson."""


class UnknownCharacterError(BabyPoetError):
    """A text holds characters that the model never saw, and they were not to be replaced."""
