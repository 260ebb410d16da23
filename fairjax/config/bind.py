"""The door between the config tree and plain functions: sections, their defaults and their checks.

A named section such as `method` says which entry of a room's registry is used, and with which
settings. The settings of an entry and their defaults stand in its signature: keyword arguments of a
function, or fields of a dataclass. Sections are built, completed and checked
from there, so that a default stands once, next to what it is a default of.

Rooms are imported when one of their sections is asked for. That may import JAX; it touches no
device.
"""

import functools
import inspect
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import is_dataclass
from typing import Any, NamedTuple, TypeVar

from ml_collections import ConfigDict

from fairjax.config.errors import ConfigError, nearest
from fairjax.config.values import annotations_of, check_value

T = TypeVar("T")
_REQUIRED = inspect.Parameter.empty


class Registry(NamedTuple):
    """What a named section chooses from.

    Attributes:
      entries: Functions or dataclasses by name.
      supplied: Arguments that the program supplies; a config cannot set them.
    """

    entries: Mapping[str, Callable[..., Any]]
    supplied: Collection[str] = ()


def registry_of(path: str) -> Registry:
    """The registry behind the named section at `path`, such as "optim.algorithm"."""
    match path:
        case "data":
            from fairjax.data import DATASETS

            return Registry(DATASETS)
        case "data.benchmark":
            from fairjax.data import BENCHMARKS

            return Registry(BENCHMARKS)
        case "backbone":
            from fairjax import models

            return Registry(models.BACKBONES, models.SUPPLIED)
        case "method":
            from fairjax import methods

            return Registry(methods.METHODS, methods.SUPPLIED)
        case "method.margin":
            from fairjax.losses import MARGINS

            return Registry(MARGINS)
        case "method.tasks":
            from fairjax.methods.classify import TASKS

            return Registry(TASKS, ("target", "smoothing"))
        case "optim.algorithm":
            from fairjax.optim import OPTIMIZERS

            return Registry(OPTIMIZERS, ("lr", "weight_decay", "mask"))
        case "optim.schedule":
            from fairjax.optim import SCHEDULES

            return Registry(SCHEDULES, ("peak_lr", "total_steps", "steps_per_epoch"))
        case "eval.protocol":
            from fairjax.protocols import PROTOCOLS

            return Registry({name: protocol.settings for name, protocol in PROTOCOLS.items()})
    raise KeyError(path)


# Sections of the tree that are replaced whole; the others are settings that every config has.
NAMED = ("data", "backbone", "method", "optim.algorithm", "optim.schedule", "eval.protocol")


def named_section(
    path: str, name: str, changes: Mapping[str, Any], key: str = "name"
) -> ConfigDict:
    """A named section with every setting: the entry's defaults, and what is changed.

    Args:
      path: Where it stands in the config.
      name: The registry's entry.
      changes: Settings other than the defaults; of a section inside it, those alone that differ.
      key: What the section calls `name`.

    Raises:
      ConfigError: If the name or a setting is unknown, a needed one is missing, or a value is out
        of its range.
    """
    registry, where = registry_of(path), f"config.{path}"
    entry = _entry(registry.entries, name, where, key)
    settings = _defaults(entry, registry.supplied)
    _check_keys(settings, changes, where, name)
    return ConfigDict({key: name, **_completed(settings, changes, where)})


def with_defaults(path: str, section: Mapping[str, Any]) -> dict[str, Any]:
    """A named section with the defaults of what it lacks; what is not known stays as it is."""
    registry, name = registry_of(path), section.get("name", "")
    if name not in registry.entries:
        return dict(section)
    return _filled(_defaults(registry.entries[name], registry.supplied), section)


def section_of(settings: Any) -> ConfigDict:
    """A section without a name, from its dataclass: every field as it is."""
    return ConfigDict(_plain(settings))


def bind_section(
    registry: Mapping[str, Callable[..., T]],
    section: Mapping[str, Any] | ConfigDict,
    where: str,
    *,
    supplied: Collection[str] = (),
) -> "functools.partial[T]":
    """What `section.name` names, with the section's other keys bound as keyword arguments.

    Args:
      registry: The room's dict literal.
      section: A section with a `name`.
      where: Path of the section, such as "config.method", for messages.
      supplied: Names of the arguments that the program supplies when it calls the answer.

    Raises:
      ConfigError: If the name is unknown, the keys are not the function's arguments, or a section
        inside this one is impossible.
    """
    arguments = section.to_dict() if isinstance(section, ConfigDict) else dict(section)
    name = arguments.pop("name", None)
    entry = _entry(registry, name, where, "name")
    return functools.partial(entry, **_bound(entry, arguments, where, name, supplied))


def bind_settings(settings: type[T], section: Mapping[str, Any] | ConfigDict, where: str) -> T:
    """The dataclass of a section without a name; keys that are not its fields are left alone.

    Raises:
      ConfigError: If a value is out of its range.
    """
    tree = section.to_dict() if isinstance(section, ConfigDict) else dict(section)
    own = {key: tree[key] for key in _defaults(settings, ()) if key in tree}
    bound = _bound(settings, own, where, "", ())
    return as_config_error(where, settings)(**bound)


def as_config_error(where: str, function: Callable[..., T]) -> Callable[..., T]:
    """The function, its ValueErrors turned into a ConfigError that says where in the config."""

    def call(*arguments: Any, **context: Any) -> T:
        try:
            return function(*arguments, **context)
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError(_located(where, str(error))) from error

    return call


def _located(where: str, message: str) -> str:
    """The message with its place: a section's path before a field, or before a sentence."""
    if message.startswith("config."):
        return message
    return f"{where}.{message}" if re.match(r"[a-z_0-9.]+=", message) else f"{where}: {message}"


def _entry(registry: Mapping[str, T], name: Any, where: str, key: str) -> T:
    if name not in registry:
        raise ConfigError(
            f"{where}.{key}={name!r} is not known; {nearest(str(name), registry)}"
            f"known: {', '.join(sorted(registry))}."
        )
    return registry[name]


def _defaults(entry: Callable[..., Any], supplied: Collection[str]) -> dict[str, Any]:
    """The settings that a config may give, and their defaults."""
    parameters = inspect.signature(entry).parameters
    return {key: p.default for key, p in parameters.items() if key not in supplied}


def _defaults_inside(default: Any, chosen: type) -> dict[str, Any]:
    """The settings of a section inside another, and their defaults."""
    settings = _defaults(chosen, ())
    if chosen is type(default):  # its own values, which may not be those of its class
        return {key: getattr(default, key) for key in settings}
    return settings


def _check_keys(
    settings: Mapping[str, Any], values: Mapping[str, Any], where: str, name: str
) -> None:
    for key in values:
        if key not in settings:
            raise ConfigError(
                f"{where}.{key} is not a setting of {name!r}; {nearest(key, settings)}"
                f"known: {', '.join(sorted(settings))}."
            )
    for key in sorted(settings.keys() - values.keys()):
        if settings[key] is _REQUIRED:
            raise ConfigError(f"{where}.{key} is missing; {name!r} needs it: add it to the config.")


def _bound(
    entry: Callable[..., Any],
    values: Mapping[str, Any],
    where: str,
    name: str,
    supplied: Collection[str],
) -> dict[str, Any]:
    """The keyword arguments that a section's values become."""
    settings = _defaults(entry, supplied)
    _check_keys(settings, values, where, name)
    bound = {key: _value(value, settings[key], f"{where}.{key}") for key, value in values.items()}
    annotations = annotations_of(entry)
    for key, value in bound.items():
        check_value(value, annotations.get(key), f"{where}.{key}")
    return bound


def _value(value: Any, default: Any, where: str) -> Any:
    """A value as its default's type: a section inside becomes a dataclass."""
    if is_dataclass(default) and isinstance(value, Mapping):
        values, chosen, name = dict(value), type(default), type(default).__name__
        if kinds := _kinds(default):
            name = values.pop("name", None)
            chosen = _entry(kinds, name, where, "name")
        return as_config_error(where, chosen)(**_bound(chosen, values, where, name, ()))
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(value)
    if isinstance(default, float) and type(value) is int:
        return float(value)
    return value


def _completed(
    settings: Mapping[str, Any], changes: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """Plain values of every setting: the changed ones, else the defaults."""
    values = {}
    for key, default in settings.items():
        change = changes.get(key, default)
        if isinstance(change, ConfigDict):
            change = change.to_dict()
        if is_dataclass(default) and isinstance(change, Mapping):
            change = _completed_section(default, change, f"{where}.{key}")
        values[key] = _plain(_value(change, default, f"{where}.{key}"))
    return values


def _completed_section(default: Any, change: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A section inside another: what is changed, else the defaults of what it names."""
    chosen, named = type(default), {}
    if kinds := _kinds(default):
        named = {"name": change.get("name", _name_of(default, kinds))}
        chosen = _entry(kinds, named["name"], where, "name")
    own = {key: value for key, value in change.items() if key not in named}
    settings = _defaults_inside(default, chosen)
    _check_keys(settings, own, where, named.get("name", chosen.__name__))
    return {**named, **_completed(settings, own, where)}


def _filled(settings: Mapping[str, Any], section: Mapping[str, Any]) -> dict[str, Any]:
    filled = dict(section)
    for key, default in settings.items():
        inside = section.get(key)
        if is_dataclass(default) and isinstance(inside, Mapping):
            kinds = _kinds(default)
            chosen = kinds.get(inside.get("name", "")) if kinds else type(default)
            if chosen is not None:
                filled[key] = _filled(_defaults_inside(default, chosen), inside)
        elif key not in section and default is not _REQUIRED:
            filled[key] = _plain(default)
    return filled


def _plain(value: Any) -> Any:
    """Dataclasses as dicts, with the name of one that was chosen among others."""
    if is_dataclass(value) and not isinstance(value, type):
        kinds = _kinds(value)
        named = {"name": _name_of(value, kinds)} if kinds else {}
        return {**named, **{key: _plain(getattr(value, key)) for key in _defaults(type(value), ())}}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _kinds(value: Any) -> Mapping[str, Any]:
    """The registry of a dataclass that is one of several, which its `kinds` names; else nothing."""
    return value.kinds() if hasattr(value, "kinds") else {}


def _name_of(value: Any, kinds: Mapping[str, Any]) -> str:
    return next(name for name, kind in kinds.items() if kind is type(value))
