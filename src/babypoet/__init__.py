"""babypoet: a language model that you build, train, own and can explain.

    import babypoet
    poet = babypoet.train("my.txt", steps=500)
    print(poet.write("love this", length=200))

Nothing is loaded before it is used: `import babypoet` brings neither torch nor numpy.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from babypoet.comparison import compare
    from babypoet.poet import Poet, evaluate, load, train

__version__ = "0.1.0"
__all__ = ["Poet", "__version__", "compare", "evaluate", "load", "train"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'babypoet' has no attribute {name!r}")
    from babypoet import poet

    if name == "compare":
        from babypoet.comparison import compare

        return compare
    return getattr(poet, name)
