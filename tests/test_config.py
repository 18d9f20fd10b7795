"""The settings: what is impossible is refused, in words that say which flag and what to do."""

import ast
import dataclasses
import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babypoet import config
from babypoet.config import RESERVED, RUNG_NAMES, ModelConfig, TrainConfig, flag, reject_unknown
from babypoet.errors import BabyPoetError, SettingError

IMPOSSIBLE: list[tuple[dict[str, Any], list[str]]] = [
    ({"rung": "trigram"}, ["'trigram'", *RUNG_NAMES]),
    ({"vocab_size": 0}, ["--vocab-size is 0", "1 or more"]),
    ({"block_size": -3}, ["--block-size is -3", "1 or more"]),
    ({"n_layer": 0}, ["--n-layer is 0", "1 or more"]),
    ({"n_head": 0}, ["--n-head is 0", "1 or more"]),
    ({"n_kv_head": 0}, ["--n-kv-head is 0", "1 or more"]),
    ({"n_embd": 0}, ["--n-embd is 0", "1 or more"]),
    ({"dropout": 1.0}, ["--dropout is 1.0", "below 1"]),
    ({"dropout": -0.1}, ["--dropout is -0.1", "at least 0"]),
    ({"dropout": float("nan")}, ["--dropout is nan"]),
    ({"n_embd": 130, "n_head": 4}, ["--n-embd 130", "--n-head 4", "try --n-embd 128"]),
    ({"n_embd": 3, "n_head": 8, "n_kv_head": 8}, ["--n-embd 3", "--n-head 8", "try --n-embd"]),
    ({"n_head": 4, "n_kv_head": 3}, ["--n-head 4", "--n-kv-head 3", "must divide"]),
    ({"n_head": 2, "n_kv_head": 4}, ["--n-head 2", "--n-kv-head 4", "must divide"]),
    ({"n_embd": 36, "n_head": 4}, ["--n-embd 36", "--n-head 4", "heads of 9", "even"]),
]


@pytest.mark.parametrize(("settings", "fragments"), IMPOSSIBLE, ids=lambda x: str(x)[:50])
def test_an_impossible_setting_is_refused_with_its_flags_and_values(
    settings: dict[str, Any], fragments: list[str]
) -> None:
    with pytest.raises(SettingError) as caught:
        ModelConfig(**settings)
    for fragment in fragments:
        assert fragment in str(caught.value)


IMPOSSIBLE_TO_TRAIN: list[tuple[dict[str, Any], list[str]]] = [
    ({"rung": "trigram"}, ["'trigram'", *RUNG_NAMES]),
    ({"steps": 100, "minutes": 2.5}, ["--steps 100", "--minutes 2.5", "give one"]),
    ({"batch_size": 10, "accumulate": 4}, ["--batch-size 10", "--accumulate 4", "divide"]),
    ({"dropout": 1.0}, ["--dropout is 1", "below 1"]),
    *(
        ({name: 0}, [f"{flag(name)} is 0", "1 or more"])
        for name in (
            *("steps", "block_size", "n_layer", "n_head", "n_kv_head", "n_embd", "batch_size"),
            *("accumulate", "evaluate_every", "patience", "keep"),
        )
    ),
    *(
        ({name: value}, [f"{flag(name)} is {value:g}", "above 0"])
        for name in ("minutes", "learning_rate", "matrix_learning_rate", "grad_clip", "holdout")
        for value in (0, -0.5, float("nan"), float("inf"))
    ),
    *(
        ({name: -1}, [f"{flag(name)} is -1", "0 or more"])
        for name in ("warmup", "weight_decay", "snapshots")
    ),
]


@pytest.mark.parametrize(("settings", "fragments"), IMPOSSIBLE_TO_TRAIN, ids=lambda x: str(x)[:50])
def test_an_impossible_training_is_refused_with_its_flags_and_values(
    settings: dict[str, Any], fragments: list[str]
) -> None:
    with pytest.raises(SettingError) as caught:
        TrainConfig(**settings)
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_a_training_remembers_what_was_given_by_hand() -> None:
    assert TrainConfig().given() == {}
    train = TrainConfig(steps=7, dropout=0.0, warmup=0, weight_decay=0.0, snapshots=0, minutes=None)
    chosen = {"steps": 7, "dropout": 0.0, "warmup": 0, "weight_decay": 0.0, "snapshots": 0}
    assert train.given() == chosen
    assert TrainConfig.from_dict(train.to_dict()) == train == TrainConfig.from_dict(chosen)


def test_the_settings_of_a_model_and_of_its_training_have_the_same_names() -> None:
    """A flag of `train` that no model knows would be dropped in silence."""
    shared = ("rung", "block_size", "n_layer", "n_head", "n_kv_head", "n_embd", "dropout")
    for cls in (ModelConfig, TrainConfig):
        assert set(shared) <= {field.name for field in dataclasses.fields(cls)}


@pytest.mark.parametrize(
    "settings",
    [
        {"vocab_size": 1, "block_size": 1, "n_layer": 1, "n_head": 1, "n_kv_head": 1, "n_embd": 2},
        {"dropout": 0.999},
        {"n_head": 4, "n_kv_head": 1},
        {"rung": "transformer", "n_head": 4, "n_kv_head": 3},  # only modern shares heads
        {"rung": "transformer", "n_head": 4, "n_embd": 36},  # and only RoPE needs even ones
    ],
    ids=str,
)
def test_what_is_just_possible_is_accepted(settings: dict[str, Any]) -> None:
    assert ModelConfig(**settings).to_dict().items() >= settings.items()


@given(st.integers(1, 300), st.integers(1, 16))
def test_the_proposed_width_can_be_cut_into_the_heads(n_embd: int, n_head: int) -> None:
    sizes: dict[str, Any] = {"rung": "transformer", "n_head": n_head}
    try:
        ModelConfig(n_embd=n_embd, **sizes)
    except SettingError as error:
        proposed = int(str(error).rpartition("--n-embd ")[2].rstrip("."))
        ModelConfig(n_embd=proposed, **sizes)
        assert abs(proposed - n_embd) < n_head


def test_the_sizes_that_follow_from_the_settings() -> None:
    model = ModelConfig(vocab_size=11, n_embd=24, n_head=6, n_kv_head=3)
    assert (model.rows, model.head_size, model.n_hidden) == (13, 4, 64)
    assert len(RESERVED) == 2


@given(st.integers(1, 4096))
def test_the_feed_forward_width_is_eight_thirds_rounded_up_to_eights(n_embd: int) -> None:
    n_hidden = ModelConfig(rung="transformer", n_embd=n_embd, n_head=1).n_hidden
    assert n_hidden % 8 == 0
    assert 8 * n_embd <= 3 * n_hidden < 8 * n_embd + 24


@given(
    st.sampled_from(RUNG_NAMES),
    st.integers(1, 500),
    st.integers(1, 500),
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(1, 5),
    st.floats(0, 0.99),
    st.floats(1, 1e6),
)
def test_from_dict_is_the_inverse_of_to_dict(
    rung: str, V: int, T: int, layers: int, K: int, group: int, pairs: int, drop: float, base: float
) -> None:
    model = ModelConfig(rung, V, T, layers, K * group, K, K * group * pairs * 2, drop, base)
    assert ModelConfig.from_dict(model.to_dict()) == model
    assert list(model.to_dict()) == [field.name for field in dataclasses.fields(ModelConfig)]


def test_a_setting_left_out_is_its_default() -> None:
    assert ModelConfig.from_dict({}) == ModelConfig()
    assert ModelConfig.from_dict({"n_layer": 2}) == ModelConfig(n_layer=2)


@pytest.mark.parametrize("cls", [ModelConfig, TrainConfig])
@pytest.mark.parametrize(
    ("name", "nearest"), [("n_embed", "n_embd"), ("n_heads", "n_head"), ("blocksize", "block_size")]
)
def test_an_unknown_setting_is_answered_with_the_nearest(
    cls: type[ModelConfig | TrainConfig], name: str, nearest: str
) -> None:
    with pytest.raises(SettingError, match=f"'{name}'.*Did you mean '{nearest}'"):
        cls.from_dict({"n_layer": 2, name: 1})


def test_an_unknown_setting_that_resembles_nothing_is_answered_with_all() -> None:
    with pytest.raises(SettingError, match="'zzz'") as caught:
        reject_unknown({"zzz": 1}, ModelConfig)
    assert all(field.name in str(caught.value) for field in dataclasses.fields(ModelConfig))


def test_a_setting_error_is_one_that_people_can_mend() -> None:
    assert issubclass(SettingError, BabyPoetError)


def test_settings_do_not_change_once_made() -> None:
    for settings in (ModelConfig(), TrainConfig()):
        with pytest.raises(dataclasses.FrozenInstanceError):
            settings.n_layer = 3


def test_flag_is_the_fields_name_on_the_command_line() -> None:
    assert (flag("n_kv_head"), flag("dropout")) == ("--n-kv-head", "--dropout")


def undocumented(source: str) -> list[str]:
    """The annotated fields of a module's classes that no docstring follows."""
    missing = []
    for cls in (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)):
        for field, after in zip(cls.body, [*cls.body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign) and not (
                isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            ):
                missing.append(f"{cls.name}.{ast.unparse(field.target)}")
    return missing


def test_every_field_has_its_help() -> None:
    assert undocumented(inspect.getsource(config)) == []


def test_a_field_without_help_is_seen() -> None:
    assert undocumented('class A:\n    x: int = 1\n    "help"\n    y: int = 2\n') == ["A.y"]


def test_a_holdout_is_a_share_or_a_whole_number() -> None:
    assert TrainConfig(holdout=0.25).holdout == 0.25
    whole = TrainConfig(holdout=5000.0).holdout
    assert whole == 5000 and isinstance(whole, int)
    with pytest.raises(SettingError, match=r"--holdout is 2\.5; .* a share below 1.* whole number"):
        TrainConfig(holdout=2.5)
