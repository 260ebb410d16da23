"""Under which conditions an evaluation was made: what its numbers must not be taken for."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

GENERATED = ("phantom",)  # datasets that are drawn from a seed; nobody is depicted
_SIZES = {
    "smoke": "Smoke test: a few steps on little data. Its numbers say nothing about any method.",
    "small": "Reduced size: smaller images and networks than the paper's.",
}
_REAL_DATA = re.compile(r"UTKFace|BUPT|RFW|BFW|LFW", re.IGNORECASE)
_GENERATED = "Generated data: nobody is depicted, and no real face was compared."


def conditions(provenance: Mapping[str, Any]) -> list[str]:
    """Sentences that a title must not be read without.

    Args:
      provenance: Provenance of the results; "command" is the line that made them, "dataset" the
        name of the data.
    """
    sentences = [_SIZES[size] for size in _SIZES if size in config_options(provenance)]
    return sentences + ([_GENERATED] if is_generated(provenance) else [])


def is_generated(provenance: Mapping[str, Any]) -> bool:
    """Whether the data were drawn from a seed."""
    return provenance.get("dataset") in GENERATED


def is_smoke(provenance: Mapping[str, Any]) -> bool:
    """Whether a smoke test made the results: they are no evidence."""
    return "smoke" in config_options(provenance)


def titled(title: str, provenance: Mapping[str, Any]) -> str:
    """A title that calls a smoke test a smoke test, and names no data set of other data.

    Args:
      title: Title of a config, such as "ViT-Tiny on UTKFace", which may have been trained on other
        data than it names.
      provenance: Provenance of the results.
    """
    if is_generated(provenance) and _REAL_DATA.search(title):
        title += ", here on generated faces"
    return f"Smoke test: {title}" if is_smoke(provenance) else title


def config_options(provenance: Mapping[str, Any]) -> list[str]:
    """The words after the colon of a command's --config: ["small", "seed=3"]."""
    try:
        words = shlex.split(str(provenance.get("command", "")))
    except ValueError:  # a quote left open, by hand
        return []
    for index, word in enumerate(words):
        hit = re.fullmatch(r"--?config(?:=(.*))?", word)
        if hit:
            value = hit[1] if hit[1] is not None else "".join(words[index + 1 : index + 2])
            argument = re.search(r":([^:/\\]*)$", value)  # not the colon of a Windows drive
            return argument[1].split(",") if argument else []
    return []
