"""Checks of a whole config tree."""

from typing import Literal

from ml_collections import ConfigDict

from fairjax.config.bind import as_config_error, bind_section, bind_settings, registry_of
from fairjax.config.errors import ConfigError
from fairjax.config.values import check_value
from fairjax.core.settings import (
    EvalSettings,
    InitSettings,
    InputSettings,
    OptimSettings,
    TrainSettings,
    need,
)


def validate(config: ConfigDict) -> None:
    """Refuses impossible values, in one line that says what to type instead; touches no device.

    Raises:
      ConfigError: On the first wrong value.
    """
    images = bind_settings(InputSettings, config.input, "config.input")
    bind_settings(InitSettings, config.init, "config.init")
    bind_settings(OptimSettings, config.optim, "config.optim")
    train = bind_settings(TrainSettings, config.train, "config.train")
    evaluation = bind_settings(EvalSettings, config.eval, "config.eval")
    where = "config.eval.protocol"
    protocols = registry_of("eval.protocol").entries
    as_config_error(where, bind_section(protocols, config.eval.protocol, where))()

    def across_sections() -> None:
        warmup = config.optim.schedule.warmup_epochs
        is_seed = isinstance(config.seed, int) and 0 <= config.seed < 2**32
        need(is_seed, "config.seed", config.seed, "a whole number, 0 or more and below 2**32")
        check_value(config.title, str, "config.title")
        dtypes = Literal["float32", "bfloat16"]
        check_value(config.compute_dtype, dtypes, "config.compute_dtype")
        check_value(warmup, float, "config.optim.schedule.warmup_epochs")
        need(
            warmup <= train.epochs,
            "config.optim.schedule.warmup_epochs",
            warmup,
            f"at most config.train.epochs={train.epochs}",
        )
        need(
            train.batch_size % train.accumulate == 0,
            "config.train.batch_size",
            train.batch_size,
            f"a multiple of config.train.accumulate={train.accumulate}",
        )
        if each := images.images_per_identity:
            fits = train.batch_size % each == 0 and train.accumulate == 1
            need(
                fits,
                "config.input.images_per_identity",
                each,
                f"a divisor of config.train.batch_size={train.batch_size}, with "
                "config.train.accumulate=1, so that a person's images stay together",
            )
        need(
            evaluation.weights == "last" or train.keep_best > 0,
            "config.train.keep_best",
            train.keep_best,
            "1 for eval.weights='best'",
        )

    as_config_error("config", across_sections)()


def validate_devices(train: TrainSettings, evaluation: EvalSettings, device_count: int) -> None:
    """Refuses batches and shards that the devices of all processes cannot share evenly.

    Raises:
      ConfigError: Says what to type instead.
    """
    if device_count % train.head_shards:
        raise ConfigError(
            f"config.train.head_shards={train.head_shards} must be a divisor of the "
            f"{device_count} devices."
        )
    for key, size, unit in (
        ("train.batch_size", train.batch_size, device_count * train.accumulate),
        ("eval.batch_size", evaluation.batch_size, device_count),
    ):
        if size % unit:
            what = f"the {device_count} devices"
            if unit != device_count:
                what += f" times {train.accumulate} micro-batches"
            fitting = -(-size // unit) * unit
            raise ConfigError(f"config.{key}={size} must be a multiple of {what}; try {fitting}.")
