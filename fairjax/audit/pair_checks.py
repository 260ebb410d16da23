"""What is odd in a table of scored pairs: refused in one line, or told in a note."""

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fairjax.audit.kinds import check_kind, failure_hint, guess_kind, unit_hint
from fairjax.audit.layout import DISTANCES, both_sides
from fairjax.audit.loaded import Loaded
from fairjax.audit.table_files import kind_of
from fairjax.audit.tables import InputError, column_names, listed
from fairjax.core.names import alike, counted

if TYPE_CHECKING:
    from fairjax.audit.pairs import PairTable


def kinds_of(
    table: "PairTable", scores: Mapping[str, np.ndarray], mated: np.ndarray
) -> dict[str, str]:
    """What each system's scores are: as stated, or cosines where their range says so."""
    kinds = {}
    for name, score in scores.items():
        distance = name in table.layout.distances
        hint = failure_hint(name, score, mated, distance=distance)
        if table.layout.decision:
            kinds[name] = "other"
        elif table.options.kind:
            check_kind(
                table.options.kind,
                name,
                score,
                distance=distance,
                where=str(table.path),
                hint=hint,
            )
            kinds[name] = table.options.kind
        else:
            kinds[name] = guess_kind(name, score, distance=distance)
            if distance and (score > 0).any() and not table.options.any_direction:
                row, times = int(np.argmax(score > 0)), int((score > 0).sum())
                raise InputError(
                    f"{table.path}, data row {row + 1}: {name} is {-score[row]:g}, and no "
                    "distance is negative "
                    f"({counted(times, 'such row')}). If larger means more alike, "
                    f"use --score {name}; if 0 marks one person, --zero-is-same; else say "
                    f"--kind other.{hint and ' ' + hint}"
                )
    return kinds


def check_couples(table: "PairTable", columns: Mapping[str, np.ndarray]) -> None:
    """No image with itself, no pair of images twice in whichever order."""
    if "image" not in columns:
        return
    names = list(table.names["image"])
    low, high = np.sort(columns["image"], axis=1).T.astype(np.int64)
    if (same := low == high).any():
        row = int(np.argmax(same))
        raise InputError(
            f"{table.path}, data row {row + 1}: {names[low[row]]!r} is compared with itself "
            f"({counted(int(same.sum()), 'such row')})."
        )
    key = low * len(names) + high
    order = np.argsort(key, kind="stable")
    again = np.flatnonzero(np.diff(key[order]) == 0)
    if len(again):
        first, second = order[again[0]] + 1, order[again[0] + 1] + 1
        raise InputError(
            f"{table.path}: the pair {names[low[first - 1]]!r}, {names[high[first - 1]]!r} is "
            f"in data rows {first} and {second} "
            f"({counted(len(again), 'row repeats', 'rows repeat')} a pair)."
        )


def check_mated(table: "PairTable", columns: Mapping[str, np.ndarray], loaded: Loaded) -> None:
    """Refuses pairs that seem to have no mated ones since both sides spell people apart."""
    if loaded.mated.any() or table.layout.mated or "subject" not in columns:
        return
    left, right = (np.unique(columns["subject"][:, side]) for side in (0, 1))
    if not np.intersect1d(left, right).size:
        names, sides = list(table.names["subject"]), table.layout.subject
        assert sides is not None
        raise InputError(
            f"{table.path} has no mated pairs: no name in {sides[0]} occurs in {sides[1]}, such "
            f"as {names[left[0]]!r} and {names[right[0]]!r}; are people spelled alike on both "
            "sides?"
        )


def notes(table: "PairTable", total: int, *, mated: int) -> list[str]:
    """What flags have turned, and names that look odd; after all rows are read.

    Args:
      table: The table, whose rows are read.
      total: How many pairs there are.
      mated: How many of them are mated.

    Raises:
      InputError: If people's names are alike, and --names-as-written does not keep them apart.
    """
    sentences = []
    for name in table.layout.distances:
        sentences.append(
            f"{name} is a distance (all {total:,} values): smaller means more alike, and a "
            "threshold accepts distances up to it."
        )
    sentences += _unread_groups(table)
    for name in table.layout.unread:
        flag = "--distance" if name.lower() in DISTANCES else "--score"
        sentences.append(
            f"The column {name!r} is not read: the scores are those of "
            f"{listed(table.layout.systems)}. To audit both, say --score "
            f"{shlex.quote(table.layout.systems[0])} {flag} {shlex.quote(name)}."
        )
    if table.options.zero_is_same:
        if not table.layout.mated:
            raise InputError(
                f"{table.path}: --zero-is-same needs a column that says whether a pair shows one "
                "person; name it with --mated COLUMN."
            )
        sentences.append(
            f"--zero-is-same: 0 in {table.layout.mated!r} was read as one person, 1 as two: "
            f"{mated:,} pairs are mated, {total - mated:,} are not."
        )
    if table.options.any_direction:
        sentences.append(
            f"--any-direction: whether mated pairs score above non-mated ones was not checked "
            f"for the {total:,} pairs."
        )
    for what in ("subject", "image"):
        if twins := alike(table.names[what]):
            first, second, difference = twins[0]
            if what == "subject" and not table.options.names_as_written:
                raise InputError(
                    f"{table.path}: the subjects {first!r} and {second!r} differ by "
                    f"{difference} alone "
                    f"({counted(len(twins), 'such name')}); write one person alike, "
                    "or keep them apart with --names-as-written."
                )
            sentences.append(
                f"{first!r} and {second!r} differ by {difference} alone "
                f"({counted(len(twins), f'such {what}')}); they count as different."
            )
    return sentences


def _unread_groups(table: "PairTable") -> list[str]:
    """Columns of groups in the table itself, where the groups of people come from another one."""
    if table.people is None or not kind_of(table.path, strict=False):
        return []  # no other table, or all pairs of embeddings
    names, sentences = column_names(table.path), []
    for attribute in table.layout.attributes:
        for name in attribute.name.split("+"):
            for left, right in [] if name in attribute.columns else both_sides(names, name):
                sentences.append(
                    f"The columns {left!r} and {right!r} are not read: the {name} comes from "
                    f"{table.people.source}. For these columns say --by "
                    f"{shlex.quote(f'{name}={left},{right}')}."
                )
    return sentences


def row_notes(table: "PairTable", loaded: Loaded) -> list[str]:
    """`notes`, and rows and people that look odd."""
    sentences = notes(table, len(loaded), mated=int(loaded.mated.sum()))
    if loaded.pairs is None and not loaded.decided:
        hints = [
            failure_hint(name, score, loaded.mated, distance=name in loaded.distances)
            for name, score in loaded.scores.items()
        ]
        hints += [unit_hint(name, s, loaded.mated) for name, s in loaded.scores.items()]
        sentences += filter(None, hints)
    if loaded.has_subjects and not table.layout.mated and not table.options.subjects_by_group:
        sentences += _one_sided(table, loaded)
    if loaded.has_subjects and not loaded.has_images and not loaded.decided:
        rows = np.column_stack([np.sort(loaded.subject, axis=1), *loaded.scores.values()])
        if again := len(rows) - len(np.unique(rows, axis=0)):
            sentences.append(
                f"{again:,} of {len(rows):,} rows repeat the people and the scores of another "
                "row; if a join repeated rows, intervals are too narrow."
            )
    return sentences


def _one_sided(table: "PairTable", loaded: Loaded) -> list[str]:
    """People without a mated pair who are on one side of the pairs only."""
    mated = np.unique(loaded.subject[loaded.mated])
    alone = [
        np.setdiff1d(np.setdiff1d(loaded.subject[:, side], loaded.subject[:, 1 - side]), mated)
        for side in (0, 1)
    ]
    if not all(map(len, alone)):
        return []
    names = sorted(set(table.names_of_people()))
    return [
        f"{counted(len(alone[0]), 'person occurs', 'people occur')} "
        "on the left side of the pairs only and "
        f"{len(alone[1]):,} on the right only, none of them with a mated pair, such as "
        f"{names[alone[0][0]]!r} and {names[alone[1][0]]!r}. If both sides spell people "
        "differently, mated pairs were taken for non-mated ones."
    ]


def failure_notes(loaded: Loaded) -> list[str]:
    """How many pairs have no score, and over which pairs each rate is; [] where none was asked."""
    if loaded.failures is None:
        return []
    failures = loaded.failures
    failed, total = int(failures.failed.sum()), len(failures.failed)
    sentence = f"{failed:,} of {total:,} pairs have no score: they count as failures to acquire or "
    sentence += "enrol."
    if failures.image is not None:
        scored = np.isin(failures.image, failures.image[~failures.failed])
        lone = int((failures.failed & scored.all(axis=1)).sum())
        if lone:
            sentence = f"{failed:,} of {total:,} pairs have no score. An image fails to be "
            sentence += "acquired or enrolled where none of its pairs has one; both images of "
            sentence += f"{lone:,} of these pairs have a score elsewhere, so no image failed there."
    return [f"{sentence} FMR and FNMR are over the pairs with a score; FAR and FRR over all pairs."]
