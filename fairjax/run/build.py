"""From a config tree to the settings of a run: nothing below here sees a config."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ml_collections import ConfigDict

from fairjax.config import ConfigError, keys, leaf
from fairjax.config.bind import as_config_error, bind_section, bind_settings, registry_of
from fairjax.core.settings import (
    EvalSettings,
    InitSettings,
    InputSettings,
    OptimSettings,
    TrainSettings,
)
from fairjax.run.score import Scoring

if TYPE_CHECKING:
    from fairjax.run.settings import RunSettings


def build_run(config: ConfigDict) -> "RunSettings":
    """The settings of a run; touches no device and no file.

    Raises:
      ConfigError: On an unknown name or setting, or an impossible value; says what to type instead.
    """
    import jax.numpy as jnp

    from fairjax.run.settings import RunSettings

    make_method = _bound(config, "method")
    _check_tasks(config.method.to_dict().get("tasks", {}))
    settings = RunSettings(
        seed=config.seed,
        data=_bound(config, "data")(),
        input=bind_settings(InputSettings, config.input, "config.input"),
        backbone=_bound(config, "backbone")(dtype=jnp.dtype(config.compute_dtype)),
        init=bind_settings(InitSettings, config.init, "config.init"),
        make_method=make_method,
        optim=bind_settings(OptimSettings, config.optim, "config.optim"),
        make_optimizer=_bound(config, "optim.algorithm"),
        make_schedule=_bound(config, "optim.schedule"),
        train=bind_settings(TrainSettings, config.train, "config.train"),
        eval=bind_settings(EvalSettings, config.eval, "config.eval"),
        scoring=build_scoring(config),
        learned=frozenset(
            leaf(config.method, key)
            for key in keys(config.method)
            if key.rpartition(".")[2] in ("label", "attribute")
        ),
        class_label=config.method.get("label", ""),
        head=config.method.get("head", {"name": "dense"})["name"],
        title=config.title or config.method.name,
        tree=config.to_dict(),
    )
    _check_shards(settings)
    return settings


def build_scoring(config: ConfigDict | Mapping[str, Any]) -> Scoring:
    """From predictions to numbers, as the config has it; needs no JAX.

    Raises:
      ConfigError: If the protocol's name or a setting is wrong.
    """
    if not isinstance(config, ConfigDict):
        config = ConfigDict(dict(config))
    return Scoring(
        protocol=config.eval.protocol.name,
        settings=_bound(config, "eval.protocol")(),
        seed=config.seed,
        published=config.eval.published,
        title=config.title,
        tree=config.to_dict(),
    )


def _bound(config: ConfigDict, path: str) -> Any:
    """What the section at `path` names, its settings bound; its ValueErrors are the config's."""
    registry, where = registry_of(path), f"config.{path}"
    function = bind_section(registry.entries, leaf(config, path), where, supplied=registry.supplied)
    return as_config_error(where, function)


def _check_tasks(tasks: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuses a task of an unknown kind, or with an impossible setting, before data are read."""
    for name, task in tasks.items():
        settings = dict(task)
        kind, registry = settings.pop("kind", None), registry_of("method.tasks")
        where = f"config.method.tasks.{name}"
        if kind not in registry.entries:
            known = ", ".join(sorted(registry.entries))
            raise ConfigError(f"{where}.kind={kind!r} is not known; known: {known}.")
        section = {"name": kind, **settings}
        bind_section(registry.entries, section, where, supplied=registry.supplied)


def _check_shards(settings: "RunSettings") -> None:
    """Refuses to split a head that cannot be split so."""
    from fairjax.heads import ROWS_MULTIPLE

    shards = settings.train.head_shards
    if shards > 1 and settings.head == "dense":
        raise ConfigError(
            f"config.train.head_shards={shards} splits class weights, and this method keeps them "
            "whole; set config.method.head.name='streamed' (or 'sharded', 'sampled'), where it has "
            "a head, or config.train.head_shards=1."
        )
    if ROWS_MULTIPLE % shards:
        raise ConfigError(
            f"config.train.head_shards={shards} must be a power of two, at most {ROWS_MULTIPLE}."
        )
