"""Types and ranges of every setting, by its annotation and its name."""

import math

import pytest

from fairjax.config import ConfigError, base_config, keys, leaf, load, validate
from fairjax.config.bind import bind_section
from fairjax.config.values import RANGES, check_value, number_or_word, takes_words
from fairjax.run.build import build_run

CONFIGS = (
    "quickstart:smoke",
    "recognition/margin:smoke,method=fpr_penalty",
    "utkface/tfc:smoke",
    "utkface/vit:smoke",
)


def set_to(name, path, value):
    config = load(name)
    with config.ignore_type():
        config.update_from_flattened_dict({path: value})
    return config


@pytest.mark.parametrize("name", CONFIGS[:2])
def test_every_key_refuses_what_is_not_finite_or_of_another_type_and_says_so(name):
    config = load(name)
    for path in keys(config):
        old = leaf(config, path)
        value = {int: 2**63, float: math.nan}.get(type(old), object)
        with config.ignore_type():
            config.update_from_flattened_dict({path: value})
        try:
            validate(config)
            build_run(config)
        except ConfigError as error:
            said = str(error)
            assert path.rpartition(".")[2] in said and "\n" not in said, (path, value)
        else:
            pytest.fail(f"{path}={value} was taken")
        with config.ignore_type():
            config.update_from_flattened_dict({path: old})


@pytest.mark.parametrize(
    ("name", "path", "value", "said"),
    [
        (0, "optim.freeze", (5,), r"config.optim.freeze=\(5,\) must be texts in brackets"),
        (0, "optim.freeze", "backbone", "must be texts in brackets, such as"),
        (0, "input.image_size", 33, "config.input.image_size=33 must be above 0 and even"),
        (0, "input.hide.ratio", 1.5, "config.input.hide.ratio=1.5 must be at least 0 and below 1"),
        (0, "method.label_smoothing", 1.0, "must be at least 0 and below 1"),
        (0, "method.tasks.age.weight", -1.0, "config.method.tasks.age.weight=-1.0 must be 0 or"),
        (0, "method.tasks.age.loss", "l3", "must be one of 'mse', 'l1', 'huber'"),
        (0, "method.tasks.age.kind", "x", "known: bins, classes, regression"),
        (0, "backbone.width", 0, "config.backbone.width=0 must be above 0"),
        (0, "backbone.stem", "x", "config.backbone.stem='x' must be one of 'imagenet', 'small'"),
        (0, "optim.algorithm.b1", 1.5, "config.optim.algorithm.b1=1.5 must be at least 0 and"),
        (0, "optim.schedule.final_factor", 2.0, "must be at least 0 and at most 1"),
        (0, "eval.published", "x", "must be one of '', 'resnet50', 'tfc'"),
        (0, "eval.protocol.age_rate", "x", "must be one of 'threshold', 'ovr_macro'"),
        (0, "input.augment.crop_scale", (0.5,), "must be 2 finite numbers in brackets"),
        (0, "seed", 2**32, r"config.seed=4294967296 must be a whole number, 0 or more and"),
        (1, "eval.protocol.tolerance", -1.0, "config.eval.protocol.tolerance=-1.0 must be 0 or"),
        (1, "eval.protocol.fmrs", (0.1, 2.0), r"fmrs=\(0.1, 2.0\) must each be above 0 and below"),
        (1, "method.gamma_u", 1.0, "config.method.gamma_u=1.0 must be at least 0 and below 1"),
        (1, "method.margin.scale", 0.0, "config.method.margin.scale=0.0 must be above 0"),
        (2, "backbone.heads", 0, "must be above 0 and at most 1000"),
        (2, "method.temperature", -1.0, "config.method.temperature=-1.0 must be above 0"),
        (3, "backbone.dropout", 1000.0, "must be at least 0 and below 1"),
        (3, "backbone.positions", "sin-cos", "must be one of 'learned', 'sincos'"),
        (3, "train.epochs", 1e30, "must be above 0 and at most 1e\\+06"),
    ],
)
def test_a_value_that_means_nothing_is_refused_with_what_is_expected(name, path, value, said):
    with pytest.raises(ConfigError, match=said):
        config = set_to(CONFIGS[name], path, value)
        validate(config)
        build_run(config)


def test_a_word_stands_where_numbers_and_words_are_taken():
    for value in ("auto", 0.01, 0):
        build_run(set_to(CONFIGS[1], "method.gamma_u", value))
    assert takes_words(float | str) and not takes_words(float) and not takes_words(str)
    assert number_or_word("auto") == "auto" and number_or_word("1e-3") == 0.001


def test_every_range_is_of_a_setting_and_holds_its_default():
    base = base_config()
    found = {path.rpartition(".")[2] for path in keys(base)}
    for name in CONFIGS:
        found |= {path.rpartition(".")[2] for path in keys(load(name))}
    assert len(found & RANGES.keys()) > 15
    for path in keys(base):
        check_value(leaf(base, path), None, f"config.{path}")


def test_entries_without_annotations_take_what_they_are_given():
    def entry(*, size, ratio=0.5):
        return size, ratio

    assert bind_section({"e": entry}, {"name": "e", "size": "x"}, "config.x")() == ("x", 0.5)
    with pytest.raises(ConfigError, match=r"config.x.ratio=1.0 must be at least 0 and below 1"):
        bind_section({"e": entry}, {"name": "e", "size": 1, "ratio": 1}, "config.x")
