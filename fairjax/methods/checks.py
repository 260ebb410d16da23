"""What methods refuse before they are built: settings out of range, and words that are unknown."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from fairjax.core.settings import need


def check_range(fits: bool, name: str, value: Any, rule: str) -> None:
    """Refuses a setting that is out of range.

    Args:
      fits: Whether the value is in range.
      name: Name of the setting, a key of `config.method`.
      value: Value of the setting, for the message.
      rule: What the value must be, such as "0 or more".

    Raises:
      ValueError: `config.method.name=value must be rule.`, where `fits` is False.
    """
    need(fits, f"config.method.{name}", value, rule)


def check_word(name: str, value: str, known: Sequence[str]) -> None:
    """Refuses a setting that is none of the known words.

    Raises:
      ValueError: Lists the known words.
    """
    if value not in known:
        raise ValueError(f"config.method.{name}={value!r} is not known; known: {', '.join(known)}.")


def check_vit(method: str, backbone: Any, *more: str) -> None:
    """Refuses a backbone that does not cut images into patches.

    Args:
      method: Name of the method, for the message.
      backbone: Linen module of the backbone.
      *more: Fields that the method needs besides those of every ViT, such as "maps".

    Raises:
      ValueError: If the backbone lacks a field.
    """
    fields = {field.name for field in dataclasses.fields(backbone)}
    if not {"patch", "pool", "positions", *more} <= fields:
        raise ValueError(f"{method} needs config.backbone.name='vit'.")
