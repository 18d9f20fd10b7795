"""The shape comments of ladder.py and reference.py, checked against what is there at run time.

A line that ends in `# (B, T, C)` is caught once it has run: the value it has just assigned, or
returned, must have that shape. No line may be left out, so a comment cannot rot where nobody looks.
"""

import ast
import importlib.util
import io
import re
import sys
import tokenize
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import pytest
import torch

from babypoet import ladder, reference
from babypoet.config import RUNG_NAMES, ModelConfig

DEEP = ("transformer", "modern")
SHAPE = re.compile(r"#\s*(\((?:[A-Z0-9]\b|\w+, )[^)]*\))")


@dataclass(frozen=True)
class Comment:
    """A shape comment and the statement that it ends: None if that is no assignment or return."""

    line: int
    shape: str
    statement: ast.stmt | None

    @property
    def targets(self) -> list[str]:
        """The expressions that were assigned, each of which must have the shape."""
        if isinstance(self.statement, ast.Assign):
            targets = self.statement.targets
        elif isinstance(self.statement, ast.AnnAssign | ast.AugAssign):
            targets = [self.statement.target]
        else:
            return []
        parts = (t.elts if isinstance(t, ast.Tuple) else [t] for t in targets)
        return [ast.unparse(part) for group in parts for part in group]


def shape_comments(source: str) -> list[Comment]:
    """Every trailing shape comment of a source text; those in docstrings are not comments."""
    kinds = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return)
    ends = {s.end_lineno: s for s in ast.walk(ast.parse(source)) if isinstance(s, kinds)}
    return [
        Comment(token.start[0], found[1], ends.get(token.start[0]))
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT and (found := SHAPE.match(token.string))
    ]


def evaluated(shape: str, key: dict[str, int]) -> tuple[int, ...]:
    """A comment under a dimension key: "(T, D/2, 3H)" with T=5, D=4, H=6 -> (5, 2, 18)."""
    arithmetic = re.sub(r"(\d)([A-Z])", r"\1 * \2", shape.replace("/", "//"))
    value: tuple[int, ...] = eval(arithmetic, {}, key)
    return value


class ShapeCheck:
    """Follows the lines of one file as they run and compares values with shape comments."""

    def __init__(self, path: str, own_names: bool = False) -> None:
        """`own_names`: a comment may also use the sizes that its function or its `self` names."""
        self.path, self.own_names = path, own_names
        comments = shape_comments(Path(path).read_text(encoding="utf-8"))
        assert all(c.statement for c in comments), [c.line for c in comments if not c.statement]
        self.at = {  # a statement may take several lines, and any of them can be the last to run
            line: comment
            for comment in comments
            if comment.statement
            for line in range(comment.statement.lineno, comment.line + 1)
        }
        self.unvisited = {comment.line for comment in comments}
        self.wrong: dict[int, str] = {}
        self.key: dict[str, int] = {}

    def run(self, key: dict[str, int], function: Callable[..., Any], *arguments: Any) -> Any:
        """`function(*arguments)`, checked; in a thread, where no other tracer (coverage) works."""

        def traced() -> Any:
            self.key = key
            sys.settrace(self._enter)
            try:
                return function(*arguments)
            finally:
                sys.settrace(None)

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(traced).result()

    def _enter(self, frame: FrameType, event: str, value: Any) -> Callable[..., Any] | None:
        if frame.f_code.co_filename != self.path:
            return None
        running: Comment | None = None  # the commented statement that this call is about to finish

        def follow(frame: FrameType, event: str, value: Any) -> Callable[..., Any]:
            nonlocal running
            if event == "exception":
                running = None
            elif event == "return":
                self._compare(running, frame, value)
            elif event == "line":
                arrived = self.at.get(frame.f_lineno)
                if running and isinstance(running.statement, ast.Return) and not arrived:
                    return follow  # the end of a `with`: the value is on its way
                if running is not arrived:
                    self._compare(running, frame, None)
                running = arrived
            return follow

        return follow

    def _compare(self, comment: Comment | None, frame: FrameType, returned: Any) -> None:
        if comment is None:
            return
        values = [eval(t, frame.f_globals, dict(frame.f_locals)) for t in comment.targets]
        names: dict[str, Any] = {}
        if self.own_names:
            names = {**vars(frame.f_locals.get("self", Comment)), **frame.f_locals}
        expected = evaluated(comment.shape, {**names, **self.key})
        for value in values or [returned]:
            if tuple(value.shape) != expected:
                self.wrong[comment.line] = f"{comment.shape} is {tuple(value.shape)}"
        self.unvisited.discard(comment.line)


def run_every_rung(module: ModuleType) -> ShapeCheck:
    """Build and run every rung of a ladder, written out, in sizes that no two dimensions share."""
    assert module.__file__
    check = ShapeCheck(module.__file__)
    B, T, V, R, block_size = 2, 5, 11, 13, 7
    idx = torch.zeros(B, T, dtype=torch.long)
    for rung in RUNG_NAMES:
        H, K = (1, 1) if rung == "attention" else (6, 3)  # one head, as wide as the model
        config = ModelConfig(rung, V, block_size, 1, H, K, n_embd=24)
        C, D = 24, 24 // H
        F = config.n_hidden if rung == "modern" else 4 * C
        assert rung == "attention" or len({B, T, V, R, C, D, H, K, F, block_size}) == 10
        # RoPE's tables are made for the longest window
        model = check.run({"T": block_size, "D": D}, module.build, config)
        key = {"B": B, "T": T, "V": V, "R": R, "C": C, "D": D, "H": H, "K": K, "F": F}
        with module.written_out():
            check.run(key, model, idx, idx)
    return check


def run_every_reference(module: ModuleType) -> ShapeCheck:
    """Build every rung of the numpy reference, and let it read T characters after others."""
    assert module.__file__
    check = ShapeCheck(module.__file__, own_names=True)
    T, N, V, R, block_size = 2, 5, 11, 13, 7
    for rung in RUNG_NAMES:
        H, K = {"attention": (1, 1), "modern": (6, 3)}.get(rung, (6, 6))
        config = ModelConfig(rung, V, block_size, 2, H, K, n_embd=24)
        C, D = 24, 24 // H
        F = config.n_hidden if rung == "modern" else 4 * C
        weights = {name: w.numpy() for name, w in ladder.build(config).state_dict().items()}
        key = {"V": V, "R": R, "C": C, "D": D, "H": H, "K": K, "F": F}
        # RoPE's tables are made for the longest window
        model = check.run({**key, "T": block_size}, module.Reference, config, weights)
        layers = {"n_layer": 2 if rung in DEEP else 1}
        if rung == "bigram":  # it remembers nothing
            layers = {"n_layer": 0, "K": 0, "D": 0}
        cache = check.run({**key, **layers}, model.start)
        cache.extend(range(N - T))
        check.run({**key, "T": T, "N": N}, cache.extend, range(T))
        check.run({**key, **layers, "T": N, "N": N}, model.trace, range(N))
    return check


def planted(
    tmp_path: Path, old: str, new: str, original: Path = Path(ladder.__file__)
) -> ModuleType:
    """A copy of a module, ladder.py unless told otherwise, with its first `old` made `new`."""
    source = original.read_text(encoding="utf-8")
    assert old in source
    path = tmp_path / "planted.py"
    path.write_text(source.replace(old, new, 1), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("planted", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_shape_comment_of_the_ladder_is_true() -> None:
    check = run_every_rung(ladder)
    assert check.wrong == {}
    assert check.unvisited == set()
    assert len({id(comment) for comment in check.at.values()}) > 30


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# (B, K, T, D)", "# (B, H, T, D)"),
        ("# (B, H, T, D)", "# (B, T, H, D)"),
        ("# (T, D/2)", "# (T, D)"),
        ("return self.lm_head(x)  # (B, T, R)", "return self.lm_head(x)  # (B, T, V)"),
        ("x = gelu(self.c_fc(x))  # (B, T, F)", "x = gelu(self.c_fc(x))  # (B, T, C)"),
        ("x = layer(x, cosine, sine)  # (B, T, C)", "x = layer(x, cosine, sine)  # (B, T)"),
        ("weight = softmax(score)  # (B, H, T, T)", "weight = softmax(score)  # (B, H, T, D)"),
    ],
)
def test_a_wrong_comment_is_seen(tmp_path: Path, old: str, new: str) -> None:
    check = run_every_rung(planted(tmp_path, old, new))
    assert len(check.wrong) == 1
    assert check.unvisited == set()


def test_a_wrong_tensor_is_seen(tmp_path: Path) -> None:
    """The comment stays, the code beneath it changes: a table loses its last position."""
    old, new = "self.cosine[:T]  # (T, D)", "self.cosine[: T - 1]  # (T, D)"
    module = planted(tmp_path, old, new)
    check = ShapeCheck(str(module.__file__))
    model = module.build(ModelConfig("modern", 11, 5, 1, 1, 1, 4))
    idx, key = torch.zeros(2, 5, dtype=torch.long), {"B": 2, "T": 5, "D": 4, "H": 1, "K": 1, "C": 4}
    with pytest.raises(RuntimeError):
        check.run(key, model, idx)
    assert list(check.wrong.values()) == ["(T, D) is (4, 4)"]


def test_a_comment_on_a_line_that_never_runs_is_seen(tmp_path: Path) -> None:
    old = "def rope("
    new = "def unused(x: Tensor) -> Tensor:\n    return x  # (B, T)\n\n\ndef rope("
    assert len(run_every_rung(planted(tmp_path, old, new)).unvisited) == 1


def test_a_comment_beside_no_value_is_seen(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        run_every_rung(planted(tmp_path, "math.sqrt(2 /", "(  # (B, T)\n        math.sqrt(2) /"))


SAMPLE = '''
def f(x):
    """y = x  # (B, T, C)"""
    y = (  # the first line says nothing
        x
    )  # (B, 2)
    a, b = y, y  # (B, 2)
    for _ in range(2):
        y = y + 0  # (B, 2)
    with open(__file__):
        return (
            y[:1]
        )  # (1, 2)
'''


def test_comments_are_found_where_python_finds_them(tmp_path: Path) -> None:
    """Not in docstrings; after several lines; on pairs; at the end of a loop or of a `with`."""
    path = tmp_path / "sample.py"
    path.write_text(SAMPLE, encoding="utf-8")
    names: dict[str, Any] = {"__file__": str(path)}
    exec(compile(SAMPLE, str(path), "exec"), names)
    check = ShapeCheck(str(path))
    assert sorted(check.unvisited) == [6, 7, 9, 13]
    check.run({"B": 3}, names["f"], torch.zeros(3, 2))
    assert (check.unvisited, check.wrong) == (set(), {})
    check.run({"B": 4}, names["f"], torch.zeros(3, 2))
    assert list(check.wrong) == [6, 7, 9]


def test_whoever_else_is_tracing_is_left_alone() -> None:
    before = sys.gettrace()
    with pytest.raises(ZeroDivisionError):
        ShapeCheck(ladder.__file__).run({}, divmod, 1, 0)
    assert sys.gettrace() is before


def test_every_shape_comment_of_the_reference_is_true() -> None:
    check = run_every_reference(reference)
    assert check.wrong == {}
    assert check.unvisited == set()
    assert len({id(comment) for comment in check.at.values()}) > 40


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# (K, H/K, T, N)", "# (K, H/K, N, T)"),
        ("# (T, 2F)", "# (T, F)"),
        ("# (1, N, C) each", "# (1, T, C) each"),
        (".swapaxes(1, 2)  # (blocks, inputs, rows)", ".swapaxes(1, 2)  # (blocks, rows, inputs)"),
    ],
)
def test_a_wrong_comment_of_the_reference_is_seen(tmp_path: Path, old: str, new: str) -> None:
    check = run_every_reference(planted(tmp_path, old, new, Path(reference.__file__)))
    assert len(check.wrong) == 1
