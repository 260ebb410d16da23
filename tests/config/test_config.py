import pytest
from ml_collections import ConfigDict

from fairjax.config import (
    ConfigError,
    base_config,
    bind_section,
    differences,
    margin,
    method,
    parse_arg,
    suggest_key,
    validate,
    validate_devices,
)
from fairjax.config.bind import bind_settings
from fairjax.core.settings import EvalSettings, TrainSettings


def changed(path, value):
    config = base_config()
    config.update_from_flattened_dict({path: value})
    return config


def validate_on(device_count, config):
    train = bind_settings(TrainSettings, config.train, "config.train")
    evaluation = bind_settings(EvalSettings, config.eval, "config.eval")
    validate_devices(train, evaluation, device_count)


def test_parse_arg_reads_words_and_values():
    options = parse_arg("small, seed=3,rate=0.5", small=False, smoke=False, seed=0, rate=1.0)
    assert (options.small, options.smoke, options.seed, options.rate) == (True, False, 3, 0.5)


@pytest.mark.parametrize(
    ("arg", "said"),
    [
        ("smal", "knows: small, seed=..."),
        ("seed=x", "not a valid int; write for example seed=0"),
        ("small=yes", "true or false"),
    ],
)
def test_parse_arg_refuses_what_it_does_not_know(arg, said):
    with pytest.raises(ConfigError, match=said):
        parse_arg(arg, small=False, seed=0)


def test_base_config_is_valid_and_locked():
    config = base_config()
    validate(config)
    validate_on(4, config)
    with pytest.raises(AttributeError):
        config.train.epoch = 3


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("train.epochs", 0.0, "config.train.epochs=0.0 must be above 0"),
        ("train.batch_size", -8, "config.train.batch_size=-8 must be above 0"),
        ("train.ema_decay", 1.0, "at least 0 and below 1"),
        ("train.accumulate", 3, "must be a multiple of config.train.accumulate=3"),
        ("optim.schedule.warmup_epochs", 61.0, "at most config.train.epochs=60"),
        ("compute_dtype", "float16", "one of 'float32', 'bfloat16'"),
        ("input.images_per_identity", 1, "must be 0, or 2 or more"),
        ("input.images_per_identity", 3, "must be a divisor of config.train.batch_size="),
        ("input.normalise", "none", "one of 'imagenet', 'half'"),
        ("eval.protocol.level", 95.0, "between 0 and 1"),
        ("eval.weights", "first", "one of 'last', 'best'"),
    ],
)
def test_validate_names_the_key_and_what_to_type(path, value, said):
    with pytest.raises(ConfigError, match=said):
        validate(changed(path, value))


def test_the_shards_of_a_head_divide_the_devices():
    config = changed("train.head_shards", 2)
    validate_on(4, config)
    with pytest.raises(ConfigError, match="train.head_shards=2 must be a divisor of the 3 devices"):
        validate_on(3, config)


def test_a_batch_must_divide_over_devices_and_micro_batches():
    config = changed("train.batch_size", 10)
    validate(config)
    with pytest.raises(ConfigError, match="multiple of the 4 devices; try 12"):
        validate_on(4, config)
    config.train.update(batch_size=12, accumulate=2)
    with pytest.raises(ConfigError, match="4 devices times 2 micro-batches; try 16"):
        validate_on(4, config)


def test_a_persons_images_stay_together_in_one_batch_that_nothing_else_balances():
    config = changed("input.images_per_identity", 2)
    validate(config)
    config.train.accumulate = 2
    with pytest.raises(ConfigError, match="with config.train.accumulate=1, so that a person's"):
        validate(config)
    config.input.balance = "gender"
    with pytest.raises(ConfigError, match="balance='gender' must be '' or 'identity' beside"):
        validate(config)


def thing(*, size, colour, given):
    return size, colour, given


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"name": "thin", "size": 1, "colour": 2}, "did you mean 'thing'"),
        ({"name": "thing", "size": 1, "color": 2}, "did you mean 'colour'"),
        ({"name": "thing", "size": 1}, "config.x.colour is missing"),
        ({"name": "thing", "size": 1, "colour": 2, "given": 3}, "given is not a setting"),
    ],
)
def test_bind_section_refuses_wrong_names_and_keys(section, said):
    with pytest.raises(ConfigError, match=said):
        bind_section({"thing": thing}, ConfigDict(section), "config.x", supplied={"given"})


def test_bind_section_passes_settings_on():
    section = ConfigDict({"name": "thing", "size": 1, "colour": 2})
    assert bind_section({"thing": thing}, section, "config.x", supplied={"given"})(given=3) == (
        1,
        2,
        3,
    )


def test_differences_name_keys_but_not_those_that_change_no_number():
    old, new = base_config().to_dict(), base_config().to_dict()
    new["optim"]["peak_lr"] = 1.0
    new["data"]["root"] = "elsewhere"
    assert differences(old, new) == ["optim.peak_lr: 0.0003 -> 1.0"]


def test_a_run_without_a_head_in_its_config_has_the_dense_one():
    config = base_config()
    config.method = method("cosine_margin", margin=margin("cosface"))
    old, new = config.to_dict(), config.to_dict()
    del old["method"]["head"], old["train"]["head_shards"]
    assert differences(old, new) == []
    new["method"]["head"]["name"] = "streamed"
    assert differences(old, new) == ["method.head.name: 'dense' -> 'streamed'"]


def test_differences_see_tuples_and_lists_as_one():
    config = base_config()
    stored = config.to_dict()
    stored["eval"]["protocol"]["age_bins"] = list(stored["eval"]["protocol"]["age_bins"])
    assert differences(stored, config.to_dict()) == []


def test_suggest_key_finds_the_nearest():
    assert suggest_key(base_config(), "optim.peak_rl") == "did you mean 'optim.peak_lr'?"


def test_a_setting_that_an_older_config_lacks_differs_only_from_its_default():
    old, new = base_config().to_dict(), base_config().to_dict()
    del old["method"]["mixup"], old["init"]
    assert differences(old, new) == []
    new["method"]["mixup"] = 0.2
    assert differences(old, new) == ["method.mixup: 0.0 -> 0.2"]
