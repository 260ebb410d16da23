"""Phantom people to train a face model on: no download, and the truth is known."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fairjax.data import recognition
from fairjax.data.dataset import Dataset
from fairjax.data.phantom.benchmark import FIRST
from fairjax.data.phantom.faces import Differential, check_pictures, portraits, present


def load(
    *,
    root: str,
    seed: int,
    image_size: int,
    identities: int,
    images_per_identity: int,
    held_out: int,
    differential: Mapping[str, Any],
    benchmark: Mapping[str, Any],
) -> Dataset:
    """Phantom people to train on; their pictures are drawn when they are read.

    Args:
      root: "": there are no files.
      seed: What everything is drawn from, from 0 up to 2**63.
      image_size: The pictures' side in pixels, 32 to 224.
      identities: How many people, those held out included.
      images_per_identity: How many pictures of each.
      held_out: So many of them are kept for validation.
      differential: As in `phantom`; what is planted here is not planted in the benchmark. "share"
        leaves people out before anybody is held out; "label_noise" is not offered.
      benchmark: The settings of one of BENCHMARKS, with its `name`.

    Raises:
      ValueError: If a setting is out of its range.
      DataError: If the benchmark's data is missing or cannot be used.
    """
    apart = Differential(**differential)
    return recognition.assemble(
        "phantom_identities",
        portraits(
            present(np.arange(identities), apart, seed=seed),
            images_per_identity,
            seed=seed,
            image_size=image_size,
            differential=apart,
        ),
        benchmark,
        seed=seed,
        min_images=1,
        max_images=0,
        held_out=held_out,
        overlap="refuse",
    )


def check(
    *,
    root: str,
    image_size: int,
    identities: int,
    images_per_identity: int,
    held_out: int,
    differential: Mapping[str, Any],
    benchmark: Mapping[str, Any],
) -> None:
    """Refuses settings that `load` would refuse, before anything is drawn.

    Raises:
      ValueError: If a setting is out of its range.
    """
    check_pictures(
        root=root,
        images_per_identity=images_per_identity,
        image_size=image_size,
        differential=differential,
    )
    if differential["kind"] == "label_noise":
        raise ValueError(
            "config.data.differential.kind='label_noise' is not offered here; choose another."
        )
    if not held_out < identities <= FIRST:
        raise ValueError(
            f"config.data.identities={identities} must be more than held_out={held_out} and at "
            f"most {FIRST}."
        )
    recognition.check(
        min_images=1,
        max_images=0,
        held_out=held_out,
        overlap="refuse",
        on_error="raise",
        max_bad=0.0,
        benchmark=benchmark,
    )
