"""Train, validation and test from a seed: whole groups, even shares, the same on every machine."""

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Shaped

RULE = (
    "groups of duplicates are kept whole; within each stratum they are ordered by "
    "blake2b(seed, first name) and cut at the ratio, counted in images"
)


def assign(
    ids: Shaped[np.ndarray, " n"],
    cluster: Int[np.ndarray, " n"],
    stratum: Int[np.ndarray, " n"],
    *,
    ratio: Sequence[float],
    seed: int,
    folds: int = 0,
) -> Int[np.ndarray, " n"]:
    """The split of every row: 0 train, 1 validation, 2 test.

    Each cluster has a place in its stratum (that of its first id), by a hash of the seed and that
    id. The stratum is then cut at the ratio, counted in images; a hash of the stratum shifts the
    cut by less than one image's width, so that small strata do not all fall to train. Nothing
    depends on the order of the rows or on a random number generator, and one file more or less
    moves only what stands beside a cut.

    Args:
      ids: The name of each row, unique.
      cluster: Rows with equal numbers stay together.
      stratum: Rows whose shares are to be even; a cluster takes that of its first id.
      ratio: Shares of train, validation and test: three positive fractions that add up to one.
      seed: Another seed is another split.
      folds: Number of folds of a cross-validation, 0 for none: seeds 0 to folds - 1 cut one order
        of the clusters at places that differ by a fold, so that every cluster is in the test of
        exactly one of them; the next folds seeds cut another order.

    Raises:
      ValueError: If the ratio is no such triple, or its test is not one fold.
    """
    check_ratio(ratio, folds=folds)
    seed, fold = divmod(seed, folds) if folds else (seed, 0)
    first: dict[int, int] = {}
    size: dict[int, int] = {}
    for row in np.argsort(ids, kind="stable").tolist():
        number = int(cluster[row])
        first.setdefault(number, row)
        size[number] = size.get(number, 0) + 1
    strata: dict[int, list[int]] = {}
    for number, row in first.items():
        strata.setdefault(int(stratum[row]), []).append(number)
    cuts = np.cumsum(ratio)[:2]
    chosen = {}
    for label, numbers in strata.items():
        numbers.sort(key=lambda number: (draw(seed, str(ids[first[number]])), first[number]))
        shift = draw(seed, f"stratum {label}")
        total, before = sum(size[number] for number in numbers), 0
        for number in numbers:
            position = (before + shift * size[number]) / total
            is_test = None
            if folds:  # the last fold is the test; whole numbers decide, so that none is in two
                fold_of, within = divmod(position * folds, 1)
                fold_of = (fold_of + fold) % folds
                is_test, position = fold_of == folds - 1, (fold_of + within) / folds
            split = int(np.searchsorted(cuts, position, side="right"))
            chosen[number] = split if is_test is None else 2 if is_test else min(split, 1)
            before += size[number]
    return np.array([chosen[number] for number in cluster.tolist()], np.int64)


def check_ratio(ratio: Sequence[float], *, folds: int = 0) -> None:
    """Refuses what is not three positive shares that add up to 1, or no fold for a test.

    Raises:
      ValueError: Says what to write.
    """
    if len(ratio) != 3 or min(ratio) <= 0 or abs(sum(ratio) - 1) > 1e-6:
        raise ValueError(
            f"ratio={tuple(ratio)} must be three positive shares that add up to "
            "1, such as (0.8, 0.1, 0.1)."
        )
    if folds < 0 or folds == 1 or (folds and abs(ratio[2] * folds - 1) > 1e-6):
        raise ValueError(
            f"folds={folds} must be 0, or 2 or more with a test share in ratio={tuple(ratio)} of "
            "1 / folds: folds=5 with (0.7, 0.1, 0.2)."
        )


def draw(seed: int, text: str) -> float:
    """A number in [0, 1) that depends on nothing but the seed and the text."""
    digest = hashlib.blake2b(f"{seed}\0{text}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53
