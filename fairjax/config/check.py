"""Checks of config values, and the door from a section to the function that it names."""

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from ml_collections import ConfigDict

from fairjax.config.keys import _suggest
from fairjax.config.tree import ConfigError

T = TypeVar("T")


def validate(config: ConfigDict, *, device_count: int | None = None) -> None:
    """Refuses impossible values, in one line that says what to type instead.

    Args:
      config: The resolved config.
      device_count: Devices over all processes; None skips what depends on them, so that the rest
        can be checked before a device is touched.

    Raises:
      ConfigError: On the first wrong value.
    """
    train, optim, data_input, evaluation = config.train, config.optim, config.input, config.eval

    def need(ok: bool, key: str, value: Any, rule: str) -> None:
        if not ok:
            raise ConfigError(f"config.{key}={value!r} must be {rule}.")

    def one_of(key: str, value: str, known: tuple[str, ...]) -> None:
        need(value in known, key, value, "one of " + ", ".join(map(repr, known)))

    for key, value in (
        ("train.epochs", train.epochs),
        ("train.batch_size", train.batch_size),
        ("train.accumulate", train.accumulate),
        ("train.head_shards", train.head_shards),
        ("train.log_every", train.log_every),
        ("train.evaluate_every", train.evaluate_every),
        ("train.keep_last", train.keep_last),
        ("optim.peak_lr", optim.peak_lr),
        ("eval.batch_size", evaluation.batch_size),
        ("input.image_size", data_input.image_size),
    ):
        need(value > 0, key, value, "above 0")
    for key, value in (
        ("seed", config.seed),
        ("optim.weight_decay", optim.weight_decay),
        ("optim.clip_norm", optim.clip_norm),
        ("optim.schedule.warmup_epochs", optim.schedule.warmup_epochs),
        ("train.checkpoint_every", train.checkpoint_every),
        ("train.keep_best", train.keep_best),
        ("train.patience", train.patience),
        ("eval.protocol.resamples", evaluation.protocol.resamples),
        ("input.cache_mb", data_input.cache_mb),
    ):
        need(value >= 0, key, value, "0 or more")
    need(0 <= train.ema_decay < 1, "train.ema_decay", train.ema_decay, "at least 0 and below 1")
    level = evaluation.protocol.level
    need(0 < level < 1, "eval.protocol.level", level, "between 0 and 1, such as 0.95")
    need(
        optim.schedule.warmup_epochs <= train.epochs,
        "optim.schedule.warmup_epochs",
        optim.schedule.warmup_epochs,
        f"at most config.train.epochs={train.epochs}",
    )
    need(
        train.batch_size % train.accumulate == 0,
        "train.batch_size",
        train.batch_size,
        f"a multiple of config.train.accumulate={train.accumulate}",
    )
    need(data_input.views in (1, 2), "input.views", data_input.views, "1 or 2")
    release = optim.unfreeze
    need(release.every_epochs > 0, "optim.unfreeze.every_epochs", release.every_epochs, "above 0")
    need(0 < release.factor <= 1, "optim.unfreeze.factor", release.factor, "in (0, 1]")
    one_of("compute_dtype", config.compute_dtype, ("float32", "bfloat16"))
    one_of("input.normalise", data_input.normalise, ("imagenet", "half"))
    one_of("input.hide.direction", data_input.hide.direction, ("sensitive", "nonsensitive"))
    one_of("input.hide.value", data_input.hide.value, ("mean", "black"))
    need(0 < optim.layer_decay <= 1, "optim.layer_decay", optim.layer_decay, "in (0, 1]")
    one_of("eval.weights", evaluation.weights, ("last", "best"))
    looks = evaluation.sensitivity
    one_of("eval.sensitivity.source", looks.source, ("cls", "mean_query", "rollout"))
    one_of("eval.sensitivity.layers", looks.layers, ("all", "last"))
    one_of("eval.sensitivity.images", looks.images, ("all", "correct"))
    if evaluation.weights == "best":
        need(train.keep_best > 0, "train.keep_best", train.keep_best, "1 for eval.weights='best'")

    if device_count is None:
        return
    need(
        device_count % train.head_shards == 0,
        "train.head_shards",
        train.head_shards,
        f"a divisor of the {device_count} devices",
    )
    for key, size, parts in (
        ("train.batch_size", train.batch_size, device_count * train.accumulate),
        ("eval.batch_size", evaluation.batch_size, device_count),
    ):
        if size % parts:
            what = f"the {device_count} devices"
            if parts != device_count:
                what += f" times {train.accumulate} micro-batches"
            nearest = -(-size // parts) * parts
            raise ConfigError(f"config.{key}={size} must be a multiple of {what}; try {nearest}.")


def bind_section(
    registry: Mapping[str, Callable[..., T]],
    section: ConfigDict,
    where: str,
    *,
    given: Collection[str],
) -> "functools.partial[T]":
    """What `section.name` names, with the section's other keys bound as keyword arguments.

    This is the one door between the config tree and plain functions.

    Args:
      registry: The room's dict literal.
      section: A section with a `name`.
      where: Its path, such as "config.method", for messages.
      given: Names of the arguments that the program supplies when it calls the answer.

    Raises:
      ConfigError: If the name is unknown, or the keys are not the function's arguments.
    """
    arguments = section.to_dict()
    name = arguments.pop("name")
    if name not in registry:
        raise ConfigError(
            f"{where}.name={name!r} is not known; {_suggest(name, registry)}"
            f"known: {', '.join(sorted(registry))}."
        )
    parameters = inspect.signature(registry[name]).parameters
    # What a config may set; linen adds `parent` and `name` to every module.
    settings = {key for key in parameters if key not in {*given, "parent", "name"}}
    for key in arguments.keys() - settings:
        raise ConfigError(
            f"{where}.{key} is not a setting of {name!r}; {_suggest(key, settings)}"
            f"known: {', '.join(sorted(settings))}."
        )
    for key in sorted(settings - arguments.keys()):
        if parameters[key].default is inspect.Parameter.empty:
            raise ConfigError(f"{where}.{key} is missing; {name!r} needs it: add it to the config.")
    return functools.partial(registry[name], **arguments)
