"""Config flags on the command line: what ml_collections does not do with them by itself."""

import re
from collections.abc import Sequence

from absl import flags

from fairjax.config.errors import ConfigError
from fairjax.config.keys import annotation_at, keys, leaf, suggest_key
from fairjax.config.tree import find_file, load
from fairjax.config.values import number_or_word, takes_words

# The command line is searched as one string, its words joined by NUL.
_CONFIG = r"(?:^|\0)--?config[=\0]([^\0]*)"
_OVERRIDE = r"(?:^|(?<=\0))--?config\.([^=\0]+)[=\0]([^\0]*)(?:\0|$)"


def with_config_files(argv: Sequence[str]) -> list[str]:
    """The command line, the name of a config that FairJAX ships being the path of its file."""
    words = list(argv)
    for index in range(1, len(words)):
        name, equals, value = words[index].partition("=")
        if name in ("--config", "-config") and equals:
            words[index] = f"{name}={find_file(value)}"
        elif words[index - 1] in ("--config", "-config"):
            words[index] = find_file(words[index])
    return words


def take_words(argv: Sequence[str]) -> tuple[list[str], dict[str, float | str]]:
    """Takes out the flags of settings that may be a number or a word.

    ml_collections takes the type of a setting from its present value and refuses the other.

    Returns:
      The other words of the command line, and the values that were taken out, by dotted key.
    """
    joined, values = "\0".join(argv[1:]), dict[str, float | str]()
    file = re.search(_CONFIG, joined)
    if not file or not re.search(_OVERRIDE, joined):
        return list(argv), values
    try:
        config = load(file[1])
    except ConfigError:  # reported when the flags are read
        return list(argv), values

    def take(flag: re.Match[str]) -> str:
        key, text = flag[1], flag[2]
        if key not in keys(config) or not takes_words(annotation_at(config, key)):
            return flag[0]
        values[key] = number_or_word(text)
        return ""

    rest = re.sub(_OVERRIDE, take, joined).strip("\0")
    return [argv[0], *(rest.split("\0") if rest else [])], values


def explain(error: Exception, argv: Sequence[str]) -> str:
    """One line for an error that absl or ml_collections raised on the command line."""
    joined = "\0".join(argv[1:])
    if file := re.search(_CONFIG, joined):
        try:
            config = load(file[1])
        except ConfigError as better:
            return str(better)
        known = keys(config)
        for key in re.findall(r"(?:^|\0)--?config\.([^=\0]+)", joined):
            if key not in known:
                return f"--config.{key} cannot be set; {suggest_key(config, key)}"
        if isinstance(error, flags.IllegalFlagValueError):
            for key, text in re.findall(r"(?:^|\0)--?config\.([^=\0]+)[=\0]([^\0]*)", joined)[-1:]:
                example = leaf(config, key)
                return (
                    f"--config.{key}={text!r} is not a valid {type(example).__name__}; "
                    f"write for example --config.{key}={example}"
                )
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0]
