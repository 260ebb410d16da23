"""Which pairs of embeddings are compared: all of them, or a sample by group."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from fairjax.audit.layout import People
from fairjax.audit.tables import InputError, Names, Source

MOST_PAIRS = 30_000_000  # of all pairs at once


def choose_pairs(
    ids: Sequence[str],
    people: People | None,
    group_of: Sequence[str],
    sample: int | None,
    seed: int,
    path: Source,
) -> Int[np.ndarray, "pairs 2"]:
    """All pairs i < j of the images, or a sample of them by group."""
    if people is None or not people.subject:
        raise InputError(
            f"{path}: all pairs (or a sample) need to know who is on each image; give 'subject' in "
            "the embeddings' file, or a table of images and people with --groups (its columns are "
            "named by --groups-image and --groups-subject)."
        )
    n = len(ids)
    if sample is None:
        if n * (n - 1) // 2 > MOST_PAIRS:
            raise InputError(
                f"{n:,} images make {n * (n - 1) // 2:,} pairs, more than {MOST_PAIRS:,}; take "
                "--sample-pairs N."
            )
        return np.stack(np.triu_indices(n, 1), axis=1)
    rng = np.random.default_rng(seed)
    order = np.array(sorted(range(n), key=ids.__getitem__))  # the files' order plays no part
    names = Names()
    subject = names.encode(pa.array([people.subject[ids[k]] for k in order]))
    labels = [group_of[k] for k in order]
    group = Names().encode(pa.array(labels))
    by_label = dict(zip(labels, group.tolist(), strict=True))
    members = [np.flatnonzero(group == by_label[label]) for label in sorted(by_label)]
    chosen = []
    for a, own in enumerate(members):
        chosen.append(_mated_sample(own, subject, sample, rng))
        for other in members[a:]:
            chosen.append(_nonmated_sample(own, other, subject, sample, rng))
    return order[np.concatenate(chosen)]


def _mated_sample(
    rows: np.ndarray, subject: np.ndarray, most: int, rng: np.random.Generator
) -> np.ndarray:
    """At most so many of the mated pairs among some images."""
    by_subject = rows[np.argsort(subject[rows], kind="stable")]
    starts = np.flatnonzero(np.diff(subject[by_subject], prepend=-1))
    couples = [
        images[np.stack(np.triu_indices(len(images), 1), axis=1)]
        for images in np.split(by_subject, starts[1:])
    ]
    pairs = np.concatenate(couples)
    kept = rng.choice(len(pairs), min(most, len(pairs)), replace=False)
    return pairs[np.sort(kept)]


def _nonmated_sample(
    rows: np.ndarray, other: np.ndarray, subject: np.ndarray, most: int, rng: np.random.Generator
) -> np.ndarray:
    """At most so many distinct pairs of two people from two sets of images, the same or apart."""
    same = rows is other
    cells = len(rows) * len(other)
    drawn = np.arange(cells) if cells <= 8 * most else np.unique(rng.integers(cells, size=4 * most))
    drawn = rng.permutation(drawn)
    first, second = rows[drawn // len(other)], other[drawn % len(other)]
    fit = subject[first] != subject[second]
    if same:
        fit &= first < second
    return np.stack([first[fit], second[fit]], axis=1)[:most]
