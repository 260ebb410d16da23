"""Pairs of phantom faces: a benchmark whose truth is known and that needs no file."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fairjax.data.faces import Benchmark
from fairjax.data.formats.pairs import draw_pairs
from fairjax.data.phantom.faces import Differential, check_pictures, portraits
from fairjax.data.phantom.person import GROUPS

FIRST = 1 << 20  # number of the first person: training people are those before


def load(
    *,
    root: str,
    seed: int,
    image_size: int,
    identities: int,
    images_per_identity: int,
    folds: int,
    pairs_per_fold: int,
    differential: Mapping[str, Any],
) -> Benchmark:
    """People who are never trained on, and pairs of their pictures, within a group.

    Args:
      root: "": there are no files.
      seed: What everything is drawn from.
      image_size: The pictures' side in pixels, 32 to 224.
      identities: How many people, a quarter of them in each group.
      images_per_identity: How many pictures of each.
      folds: Parts of the benchmark; no person is in two.
      pairs_per_fold: Mated pairs of each group in each part, and as many non-mated ones.
      differential: As in `phantom`; "likeness" makes people of one group harder to tell apart.

    Raises:
      ValueError: If a setting is out of its range.
    """
    check(
        root=root,
        image_size=image_size,
        identities=identities,
        folds=folds,
        images_per_identity=images_per_identity,
        pairs_per_fold=pairs_per_fold,
        differential=differential,
    )
    faces = portraits(
        np.arange(FIRST, FIRST + identities),
        images_per_identity,
        seed=seed,
        image_size=image_size,
        differential=Differential(**differential),
    )
    pairs = draw_pairs(
        faces.person, faces.group[faces.person], folds=folds, per_fold=pairs_per_fold, seed=seed
    )
    return Benchmark("phantom", faces, pairs)


def check(
    *,
    root: str,
    image_size: int,
    identities: int,
    images_per_identity: int,
    folds: int,
    pairs_per_fold: int,
    differential: Mapping[str, Any],
) -> None:
    """Refuses settings that `load` would refuse, before anything is drawn.

    Raises:
      ValueError: If a setting is out of its range, or there are too few people for the pairs.
    """
    where = "config.data.benchmark"
    try:
        check_pictures(
            root=root,
            images_per_identity=images_per_identity,
            image_size=image_size,
            differential=differential,
        )
    except ValueError as error:  # the settings are those of `phantom`, one section further down
        raise ValueError(str(error).replace("config.data", where)) from None
    for key, value, least in (
        ("folds", folds, 2),
        ("pairs_per_fold", pairs_per_fold, 1),
    ):
        if value < least:
            raise ValueError(f"{where}.{key}={value} must be {least} or more.")
    people = identities // len(GROUPS) // folds  # of a group in a part, at least
    mated = people * images_per_identity * (images_per_identity - 1) // 2
    nonmated = people * (people - 1) // 2 * images_per_identity**2
    if min(mated, nonmated) < pairs_per_fold:
        raise ValueError(
            f"{where}.pairs_per_fold={pairs_per_fold} is more than the {people} people of a group "
            f"in a part can give ({mated} mated, {nonmated} non-mated); raise identities or "
            "images_per_identity."
        )
