"""Keys of the config tree: paths, suggestions for misspelt ones, differences between two trees."""

import ast
import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from ml_collections import ConfigDict

from fairjax.config.bind import NAMED, registry_of, with_defaults
from fairjax.config.errors import ConfigError, nearest
from fairjax.config.tree import FREE_TO_CHANGE, base_config
from fairjax.config.values import annotations_of, number_or_word, takes_words

# Settings that apply to saved predictions: with others a run is measured anew, not trained anew.
MEASURED_ANEW = ("eval.protocol.", "eval.published", "title")


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Lines `key: old -> new` for what differs and matters to a run's numbers.

    A key that the old config lacks is one that FairJAX had not yet; its default does what was done
    then, so that only another value differs.
    """
    defaults = dict(leaves(base_config().to_dict()))
    for path in NAMED:
        section = _section(old, path)
        defaults |= dict(leaves(with_defaults(path, section), f"{path}."))
    left, right = dict(leaves(old)), dict(leaves(new))
    left |= {key: defaults[key] for key in right.keys() - left.keys() if key in defaults}
    return [
        f"{key}: {left.get(key, 'absent')!r} -> {right.get(key, 'absent')!r}"
        for key in sorted(left.keys() | right.keys())
        if left.get(key, _ABSENT) != right.get(key, _ABSENT)
        and key not in FREE_TO_CHANGE
        and not key.startswith(MEASURED_ANEW)
    ]


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of a tree as a dotted path, with its value; tuples are lists, as in JSON."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, list(value) if isinstance(value, tuple) else value


def keys(config: ConfigDict) -> list[str]:
    """Every key of the tree as a dotted path."""
    return [key for key, _ in leaves(config.to_dict())]


def leaf(config: ConfigDict, path: str) -> Any:
    """The value at a dotted path."""
    return functools.reduce(ConfigDict.__getitem__, path.split("."), config)


def set_leaf(config: ConfigDict, path: str, value: Any) -> None:
    """Sets the value at a dotted path.

    Raises:
      ConfigError: If there is no such key, or its value is of another type.
    """
    section, _, last = path.rpartition(".")
    try:
        where = leaf(config, section) if section else config
        with where.ignore_type() if takes_words(annotation_at(config, path)) else nullcontext():
            where[last] = value
    except (AttributeError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} cannot be set to {value!r}; "
            f"{suggest_key(config, path) if isinstance(error, KeyError) else error}"
        ) from None


def override(config: ConfigDict, words: Sequence[str]) -> None:
    """Changes the config as words of a command line, `--config.key=value`, ask.

    Raises:
      ConfigError: If there is no such key, or its value is of another type.
    """
    for word in words:
        path, _, text = word.removeprefix("--config.").partition("=")
        if path not in keys(config):
            raise ConfigError(f"--config.{path} cannot be set; {suggest_key(config, path)}")
        old = leaf(config, path)
        if takes_words(annotation_at(config, path)):
            set_leaf(config, path, number_or_word(text))
            continue
        try:
            text = {"true": "True", "false": "False"}.get(text, text)
            value = text if isinstance(old, str) else ast.literal_eval(text)
            config.update_from_flattened_dict({path: type(old)(value)})
        except (SyntaxError, TypeError, ValueError):
            raise ConfigError(
                f"--config.{path}={text!r} is not a valid {type(old).__name__}; "
                f"write for example --config.{path}={old}"
            ) from None


def variant(
    config: ConfigDict, changes: Mapping[str, Any], overrides: Mapping[str, Any]
) -> ConfigDict:
    """A copy of a study's config with other values: the config of one run, without the study.

    Args:
      config: The config that all runs of the study share.
      changes: Values by dotted key; a value may be a whole section.
      overrides: Values by dotted key that yield to `changes`; keys that the run lacks are ignored.

    Raises:
      ConfigError: If there is no such key, or its value is of another type.
    """
    copy = config.copy_and_resolve_references()
    with copy.unlocked():
        del copy.study
    for key, value in changes.items():
        # rows may share a section, and change it each its own way
        own = value.copy_and_resolve_references() if isinstance(value, ConfigDict) else value
        set_leaf(copy, key, own)
    for key, value in overrides.items():
        if key not in changes and key in keys(copy):
            set_leaf(copy, key, value)
    return copy


def annotation_at(config: ConfigDict, path: str) -> Any:
    """The annotation of a setting of a named section; None where there is none, or for others."""
    for named in NAMED:
        rest = path.removeprefix(f"{named}.")
        if rest != path and "." not in rest:
            entry = registry_of(named).entries.get(leaf(config, named).get("name", ""))
            return annotations_of(entry).get(rest) if entry else None
    return None


def suggest_key(config: ConfigDict, path: str) -> str:
    """For a mistyped `a.b.c`: "did you mean 'a.b.d'?"; else the keys beside it."""
    near = nearest(path, keys(config)).strip()
    if near:
        return near
    section = path.rpartition(".")[0]
    beside = [key for key in keys(config) if key.rpartition(".")[0] == section]
    return f"known there: {', '.join(beside)}." if beside else "see fairjax/config/ for the keys."


_ABSENT = object()


def _section(tree: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """The section at a dotted path; an empty one where there is none."""
    for key in path.split("."):
        tree = tree.get(key, {})
    return tree
