"""Paths into the config tree, and the copy that one run of a study gets."""

import pytest

from fairjax.config import (
    Column,
    ConfigError,
    Row,
    Study,
    base_config,
    leaves,
    method,
    schedule,
    study,
    variant,
)


@pytest.fixture
def shared():
    return study(base_config(), Study("T", "", (Row("A"),), (Column("C", "accuracy"),)))


def test_leaves_are_dotted_paths_with_lists_for_tuples():
    tree = {"a": {"b": (1, 2), "c": {"d": "x"}}, "e": None}
    assert dict(leaves(tree)) == {"a.b": [1, 2], "a.c.d": "x", "e": None}


def test_a_variant_is_a_copy_whose_changes_come_before_overrides(shared):
    section = schedule("cosine", warmup_epochs=2.0)
    changes = {"optim.schedule": section, "seed": 4}
    overrides = {"seed": 9, "optim.peak_lr": 0.5, "method.label": "x"}
    own = variant(shared, changes, overrides)
    assert (own.seed, own.optim.peak_lr, own.optim.schedule.warmup_epochs) == (4, 0.5, 2.0)
    assert "study" not in own and "study" in shared
    own.optim.schedule.warmup_epochs = 1.0  # the section is the copy's own
    assert section.warmup_epochs == 2.0
    assert shared.optim.peak_lr == base_config().optim.peak_lr
    other = variant(shared, {"method": method("cosine_margin")}, {"method.margin_ramp_epochs": 8.0})
    assert other.method.margin_ramp_epochs == 8.0


def test_a_variant_refuses_an_unknown_key_and_another_type(shared):
    with pytest.raises(ConfigError, match="train.epoch cannot be set to 3; did you mean"):
        variant(shared, {"train.epoch": 3}, {})
    with pytest.raises(ConfigError, match="seed cannot be set to 'x'"):
        variant(shared, {"seed": "x"}, {})
