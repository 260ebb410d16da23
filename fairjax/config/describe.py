"""What each key of a config means, from the docstring of what it is a setting of."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Any

from ml_collections import ConfigDict

from fairjax.config.bind import NAMED, registry_of
from fairjax.core.settings import (
    EvalSettings,
    InitSettings,
    InputSettings,
    OptimSettings,
    TrainSettings,
)

TOP = {
    "seed": "The one root of all randomness: order, augmentation, initialisation, dropout.",
    "title": "The report's heading; \"\" takes the config file's name.",
    "compute_dtype": '"float32" or "bfloat16"; parameters, logits and losses stay float32.',
}
UNNAMED = {
    "input": InputSettings,
    "init": InitSettings,
    "optim": OptimSettings,
    "train": TrainSettings,
    "eval": EvalSettings,
}


def describe(config: ConfigDict) -> dict[str, str]:
    """The meaning of each key.

    Args:
      config: The config; the sections that it names decide which keys there are.

    Returns:
      One sentence or more by dotted path; a key whose meaning is not written down is missing.
    """
    tree = config.to_dict()
    meanings = dict(TOP)
    for path, settings in UNNAMED.items():
        meanings |= _meanings(settings, tree[path], path)
    for path in (*NAMED, "data.benchmark"):
        section: Any = tree
        for key in path.split("."):
            section = section.get(key, {})
        if section:
            meanings |= _named(registry_of(path).entries, section, path)
    for task, section in tree["method"].get("tasks", {}).items():
        registry = registry_of("method.tasks").entries
        meanings |= _named(registry, section, f"method.tasks.{task}", key="kind")
    return meanings


def documented(entry: Callable[..., Any]) -> dict[str, str]:
    """Arguments of a function, or attributes of a class and its bases, with their description."""
    sources = reversed(inspect.getmro(entry)) if inspect.isclass(entry) else [entry]
    texts: dict[str, str] = {}
    for source in sources:
        text = inspect.cleandoc(source.__doc__ or "")
        block = re.search(r"^(?:Args|Attributes):\n((?: +.*\n?|\n)+)", text, re.MULTILINE)
        items = inspect.cleandoc("\n" + block[1]) if block else ""
        for item in re.finditer(r"^(\w+): (.*(?:\n  .*)*)", items, re.MULTILINE):
            texts[item[1]] = " ".join(item[2].split())
    return texts


def _named(
    registry: Mapping[str, Callable[..., Any]],
    section: Mapping[str, Any],
    path: str,
    key: str = "name",
) -> dict[str, str]:
    """Meanings of a section that names what it sets."""
    meanings = {f"{path}.{key}": f"One of {', '.join(sorted(registry))}."}
    if section.get(key) in registry:
        meanings |= _meanings(registry[section[key]], section, path)
    return meanings


def _meanings(entry: Callable[..., Any], section: Mapping[str, Any], path: str) -> dict[str, str]:
    """Meanings of the keys of a section, and of the sections inside it."""
    texts = documented(entry)
    meanings = {f"{path}.{key}": texts[key] for key in section if key in texts}
    for key, parameter in inspect.signature(entry).parameters.items():
        inside, default = section.get(key), parameter.default
        if not isinstance(inside, Mapping) or not is_dataclass(default):
            continue
        kinds = default.kinds() if hasattr(default, "kinds") else {}
        if kinds:
            meanings |= _named(kinds, inside, f"{path}.{key}")
        else:
            meanings |= _meanings(type(default), inside, f"{path}.{key}")
    return meanings
