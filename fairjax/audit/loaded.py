"""Scored pairs as an audit holds them, and what makes them unfit whatever they were read from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from fairjax.audit.kinds import failure_hint
from fairjax.audit.tables import InputError, listed
from fairjax.core.comparisons import UNKNOWN, Comparisons, Embeddings, Pairs
from fairjax.core.names import counted

UNNAMED_IMAGES = "The pairs name no images, so pairs listed twice cannot be told."
_SURE = 30  # pairs of each kind before their order says that scores run the wrong way


@dataclass(frozen=True)
class Failures:
    """Pairs of which some have no score, for no face was found or no template made.

    Attributes:
      failed: Whether each pair, of all that the table lists, lacks a score.
      mated: Whether it shows one person.
      subject: Numbers of its people.
      group: Groups of the two images, or UNKNOWN.
      image: Numbers of its images; None where the pairs name none.
      sides: What the two sides are: ("probe", "reference") where the table says so, else equal.
    """

    failed: Bool[np.ndarray, " pairs"]
    mated: Bool[np.ndarray, " pairs"]
    subject: Int[np.ndarray, "pairs 2"]
    group: Int[np.ndarray, "pairs 2"]
    image: Int[np.ndarray, "pairs 2"] | None
    sides: tuple[str, str]


@dataclass(frozen=True)
class Loaded:
    """Scored pairs as read, one grouping and all systems.

    Attributes:
      by: The attribute.
      groups: Names of its groups.
      scores: Scores of each system.
      mated: Whether each pair shows one person.
      subject: Numbers of its people, by the order of their names; made up, one person a mated pair
        and two a non-mated one, where the table names nobody.
      group: Groups of the two images, or UNKNOWN.
      fold: Part of the benchmark.
      has_subjects: Whether the people are known.
      has_images: Whether pairs name their images, so that none is listed twice.
      embeddings: What the scores are cosines of, by system; {} where scores were brought.
      pairs: Rows of the embeddings; None where scores were brought.
      kinds: What each system's scores are, a key of `kinds.KINDS`; "" where nobody says.
      distances: Systems whose scores are distances, held as minus them.
      notes: Sentences for the reader on what was turned, left out or looks odd.
      failures: Pairs without a score, where such were allowed.
      decided: Whether scores are decisions: 1 accepts, 0 rejects.
      names: Names of the people, by number; () where the table names nobody.
      image: Numbers of each pair's images; None where the pairs name none.
      images: Names of the images, by number.
    """

    by: str
    groups: tuple[str, ...]
    scores: dict[str, Float[np.ndarray, " pairs"]]
    mated: Bool[np.ndarray, " pairs"]
    subject: Int[np.ndarray, "pairs 2"]
    group: Int[np.ndarray, "pairs 2"]
    fold: Int[np.ndarray, " pairs"]
    has_subjects: bool
    has_images: bool
    embeddings: Mapping[str, Embeddings] = field(default_factory=dict)
    pairs: Pairs | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)
    distances: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    failures: Failures | None = None
    decided: bool = False
    names: tuple[str, ...] = ()
    image: Int[np.ndarray, "pairs 2"] | None = None
    images: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.mated)

    def take(self, rows: np.ndarray) -> "Loaded":
        """The given pairs (indices or a boolean mask), in their order."""
        return replace(
            self,
            scores={name: score[rows] for name, score in self.scores.items()},
            mated=self.mated[rows],
            subject=self.subject[rows],
            group=self.group[rows],
            fold=self.fold[rows],
            pairs=self.pairs and self.pairs.take(rows),
            image=None if self.image is None else self.image[rows],
        )

    def comparisons(self, system: str) -> Comparisons:
        """The pairs with one system's scores."""
        return Comparisons(
            score=self.scores[system],
            mated=self.mated,
            subject=self.subject,
            group=self.group,
            groups=self.groups,
            fold=self.fold,
        )

    def limits(self) -> list[str]:
        """Sentences about what these pairs cannot show."""
        sentences = []
        if not self.has_subjects:
            sentences.append(
                "THE PAIRS DO NOT SAY WHO IS ON THEM, so each is taken to be independent of all "
                "others. Real pairs share people: real intervals are wider than these and p-values "
                "larger, often by a multiple. Give the subjects of both sides."
            )
        if not self.has_images:
            sentences.append(UNNAMED_IMAGES)
        return [*self.notes, *sentences]


def check_groups(loaded: Loaded, where: str) -> None:
    """Refuses pairs of fewer than two groups, or all of one kind.

    Raises:
      InputError: Saying what there is.
    """
    if len(loaded.groups) < 2:
        raise InputError(
            f"{where}: a comparison between groups needs two or more; by {loaded.by} there is "
            f"{listed(loaded.groups)}."
        )
    for kind, there in (("mated", loaded.mated), ("non-mated", ~loaded.mated)):
        if not there.any():
            raise InputError(f"{where} has no {kind} pairs ({len(loaded):,} pairs in all).")


def check_direction(loaded: Loaded, system: str, where: str, *, mated_column: str = "") -> None:
    """Refuses scores that fall with likeness, over everyone or within one group alone.

    Args:
      loaded: The pairs.
      system: Whose scores.
      where: The file, for messages.
      mated_column: The column that says which pairs are mated, where people do not say it too: it
        may be meant the other way round as well as the scores.

    Raises:
      InputError: With both means.
    """
    distances = loaded.distances
    score, wrong = loaded.scores[system], []
    inside = loaded.group[:, 0] == loaded.group[:, 1]
    for group in [None, *range(len(loaded.groups))]:
        rows = inside & (loaded.group[:, 0] == group) if group is not None else slice(None)
        mated = loaded.mated[rows]
        if min(mated.sum(), (~mated).sum()) < (_SURE if group is not None else 1):
            continue
        means = score[rows][mated].mean(), score[rows][~mated].mean()
        if means[0] < means[1]:
            wrong.append((group, means))
    if not wrong:
        return
    group, (ours, others) = wrong[0]
    sign = -1 if system in distances else 1
    who = "" if group is None else f" of {loaded.groups[group]!r}"
    flag = "--score" if system in distances else "--distance"
    turned = f"use {flag} {system} if {'larger' if system in distances else 'smaller'} means more "
    turned += "alike"
    if loaded.decided:
        turned = "name the words that accept a pair with --accept"
    if mated_column:
        turned += f", or --zero-is-same if 0 in {mated_column!r} marks one person"
    hint = failure_hint(system, score, loaded.mated, distance=system in distances)
    mixed = turned if group is None or loaded.decided else "the table mixes directions"
    raise InputError(
        f"{where}: mated pairs{who} have a mean {system} of {sign * ours:.4g}, non-mated ones of "
        f"{sign * others:.4g}, which is the wrong way round; {mixed}, or keep it with "
        f"--any-direction.{hint and ' ' + hint}"
    )


def check_people(loaded: Loaded, names: Sequence[str], where: str) -> None:
    """Refuses somebody who is in two groups.

    Args:
      loaded: The pairs.
      names: Names of the people, by number.
      where: For messages.

    Raises:
      InputError: Naming the person and both groups.
    """
    subject, group = loaded.subject, loaded.group
    if not loaded.has_subjects:
        wrong = loaded.mated & (group[:, 0] != group[:, 1])
        if wrong.any():
            raise InputError(
                f"{where}, data row {np.argmax(wrong) + 1}: a mated pair with one person in two "
                "groups "
                f"({counted(int(wrong.sum()), 'such row')}). "
                "If 0 marks one person, say --zero-is-same."
            )
        return
    home = np.full(len(names), UNKNOWN, np.int32)
    home[subject.ravel()[::-1]] = group.ravel()[::-1]  # the first one seen stays
    if not (apart := home[subject] != group).any():
        return
    row, side = np.argwhere(apart)[0]
    who = subject[row, side]
    shown = [
        repr(loaded.groups[k]) if k != UNKNOWN else "no group"
        for k in (group[row, side], home[who])
    ]
    raise InputError(
        f"{where}, data row {row + 1}: {names[who]!r} is in {shown[0]} here and in {shown[1]} "
        f"elsewhere ({counted(len(np.unique(subject[apart])), 'such person', 'such people')} of "
        f"{len(names):,}); correct "
        "the table. If two people share the name, one in each group, --subjects-by-group tells "
        "them apart and leaves out the pairs of one name in two groups."
    )


def independent(mated: np.ndarray) -> np.ndarray:
    """People made up so that no two pairs share one: one a mated pair, two a non-mated one."""
    row = np.arange(len(mated), dtype=np.int64)
    return np.stack([2 * row, 2 * row + ~mated], axis=1)
