"""From a config tree to the settings of a run: nothing below here sees a config."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ml_collections import ConfigDict

from fairjax.config import ConfigError, leaves
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


def build_run(config: ConfigDict | Mapping[str, Any]) -> "RunSettings":
    """The settings of a run; touches no device and no file.

    Args:
      config: The resolved config, or its plain values, as `config.json` has them.

    Raises:
      ConfigError: On an unknown name or setting, or an impossible value; says what to type instead.
    """
    import jax.numpy as jnp

    from fairjax.run.settings import RunSettings

    tree = config.to_dict() if isinstance(config, ConfigDict) else dict(config)
    method = tree["method"]
    make_method = _bound(method, "method")
    _check_tasks(method.get("tasks", {}))
    settings = RunSettings(
        seed=tree["seed"],
        data=_bound(tree["data"], "data")(),
        input=bind_settings(InputSettings, tree["input"], "config.input"),
        backbone=_bound(tree["backbone"], "backbone")(dtype=jnp.dtype(tree["compute_dtype"])),
        init=bind_settings(InitSettings, tree["init"], "config.init"),
        method=method["name"],
        make_method=make_method,
        optim=bind_settings(OptimSettings, tree["optim"], "config.optim"),
        make_optimizer=_bound(tree["optim"]["algorithm"], "optim.algorithm"),
        make_schedule=_bound(tree["optim"]["schedule"], "optim.schedule"),
        train=bind_settings(TrainSettings, tree["train"], "config.train"),
        eval=bind_settings(EvalSettings, tree["eval"], "config.eval"),
        scoring=build_scoring(tree),
        learned=frozenset(
            value
            for key, value in leaves(method)
            if key.rpartition(".")[2] in ("label", "attribute")
        ),
        class_label=method.get("label", ""),
        head=method.get("head", {"name": "dense"})["name"],
        flip=method.get("tta", ""),
        title=tree["title"] or method["name"],
        tree=tree,
    )
    _check_shards(settings)
    return settings


def build_scoring(tree: Mapping[str, Any]) -> Scoring:
    """From predictions to numbers, as the config has it; needs no JAX.

    Args:
      tree: The resolved config's plain values.

    Raises:
      ConfigError: If the protocol's name or a setting is wrong.
    """
    protocol = tree["eval"]["protocol"]
    return Scoring(
        dataset=tree["data"]["name"],
        protocol=protocol["name"],
        settings=_bound(protocol, "eval.protocol")(),
        seed=tree["seed"],
        published=tree["eval"]["published"],
        title=tree["title"],
        tree=tree,
    )


def _bound(section: Mapping[str, Any], path: str) -> Any:
    """What the section at `path` names, its settings bound; its ValueErrors are the config's."""
    registry, where = registry_of(path), f"config.{path}"
    function = bind_section(registry.entries, section, where, supplied=registry.supplied)
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
