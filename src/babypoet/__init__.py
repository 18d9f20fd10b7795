"""babypoet: a language model that you build, train, own and can explain."""

__version__ = "0.1.0"
