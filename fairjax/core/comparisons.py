"""What verification is about: images of people, pairs of them, and how alike a system finds them.

A mated pair shows one person twice, a non-mated pair two people. Scores grow with likeness; a pair
is accepted when its score is at least the threshold. Plain numpy arrays, the same for a run of ours
and for scores that somebody brings.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from fairjax.core.blocks import blocks
from fairjax.core.names import counted

UNKNOWN = -1  # stands for the group of somebody whose group is not known
_SAFE = (1e-15, 1e15)  # lengths whose squares float32 holds
_BLOCK = 1 << 16  # pairs scored at a time: bounds the memory
_LIKELIHOOD_BLOCK = 1 << 12  # pairs whose likelihood is computed at a time, in float64
SCORERS = ("cosine", "mls")  # how pairs of embeddings are scored; mls needs variances


@dataclass(frozen=True)
class Pairs:
    """Which images are compared: rows of one table of images.

    Attributes:
      first: Row of one image of each pair.
      second: Row of the other.
      mated: Whether both show one person.
      fold: Part of the benchmark the pair belongs to, from 0; all 0 where it has no parts.
    """

    first: Int[np.ndarray, " pairs"]
    second: Int[np.ndarray, " pairs"]
    mated: Bool[np.ndarray, " pairs"]
    fold: Int[np.ndarray, " pairs"]

    def __len__(self) -> int:
        return len(self.mated)

    def take(self, rows: np.ndarray) -> "Pairs":
        """The given pairs (indices or a boolean mask)."""
        return Pairs(self.first[rows], self.second[rows], self.mated[rows], self.fold[rows])


@dataclass(frozen=True)
class Embeddings:
    """What one system makes of the images, and who is on them.

    Attributes:
      ids: Name of each image, unique.
      subject: Number of the person on it.
      group: Index into `groups`, or UNKNOWN.
      groups: The groups' names.
      embedding: One vector an image; any length, for its direction alone counts.
      variance: A variance above 0 for each number of the embedding; pairs are then compared by
        mutual likelihood. None compares them by cosine.
    """

    ids: np.ndarray
    subject: Int[np.ndarray, " images"]
    group: Int[np.ndarray, " images"]
    groups: tuple[str, ...]
    embedding: Float[np.ndarray, "images dim"]
    variance: Float[np.ndarray, "images dim"] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def scorer(self) -> str:
        """How `compare` scores pairs: one of SCORERS."""
        return "cosine" if self.variance is None else "mls"


@dataclass(frozen=True)
class Comparisons:
    """Scored pairs of one system: all that verification metrics see.

    Attributes:
      score: Larger means more alike.
      mated: Whether the pair shows one person.
      subject: The numbers of its two people; equal for a mated pair.
      group: Groups of its two people, indices into `groups`, or UNKNOWN.
      groups: The groups' names.
      fold: Part of the benchmark, from 0; all 0 where it has no parts.
    """

    score: Float[np.ndarray, " pairs"]
    mated: Bool[np.ndarray, " pairs"]
    subject: Int[np.ndarray, "pairs 2"]
    group: Int[np.ndarray, "pairs 2"]
    groups: tuple[str, ...]
    fold: Int[np.ndarray, " pairs"]

    def __len__(self) -> int:
        return len(self.score)

    def take(self, rows: np.ndarray) -> "Comparisons":
        """The given rows (indices or a boolean mask)."""
        return replace(
            self,
            score=self.score[rows],
            mated=self.mated[rows],
            subject=self.subject[rows],
            group=self.group[rows],
            fold=self.fold[rows],
        )


def unit_length(
    embedding: Float[np.ndarray, "images dim"],
) -> Float[np.ndarray, "images dim"]:
    """Each row divided by its Euclidean length.

    Raises:
      ValueError: If a row is all zeros, or not finite: it has no direction.
    """
    if embedding.dtype.itemsize < 4:  # squares of float16 overflow from 256 on
        embedding = embedding.astype(np.float32)
    length = np.linalg.norm(embedding, axis=1, keepdims=True)
    if not (_SAFE[0] < length.min(initial=1) and length.max(initial=1) < _SAFE[1]):
        embedding = embedding.astype(np.float64)
        length = np.linalg.norm(embedding, axis=1, keepdims=True)
    if not (bad := ~(np.isfinite(length) & (length > 0))[:, 0]).any():
        return np.asarray(embedding / length)
    raise ValueError(
        f"embedding row {np.argmax(bad)} is zero or not finite "
        f"({counted(int(bad.sum()), 'such row')})."
    )


def compare(embeddings: Embeddings, pairs: Pairs) -> Comparisons:
    """Scores every pair: by the cosine of its two embeddings, in [-1, 1], or by their likelihood.

    Embeddings with variances are compared by `mutual_likelihood`.

    Raises:
      ValueError: If an embedding is all zeros or not finite, or variances are not above 0.
    """
    unit = unit_length(embeddings.embedding)
    if embeddings.variance is not None:
        score = mutual_likelihood(unit, check_variance(embeddings.variance, unit), pairs)
    else:
        score = np.empty(len(pairs), unit.dtype)
        for block in blocks(len(pairs), _BLOCK):
            sides = unit[pairs.first[block]], unit[pairs.second[block]]
            score[block] = np.einsum("pd,pd->p", *sides)
        score = np.clip(score, -1.0, 1.0)
    both = np.stack([pairs.first, pairs.second], axis=1)
    return Comparisons(
        score=score,
        mated=pairs.mated,
        subject=embeddings.subject[both],
        group=embeddings.group[both],
        groups=embeddings.groups,
        fold=pairs.fold,
    )


def check_variance(variance: np.ndarray, embedding: np.ndarray) -> Float[np.ndarray, "images dim"]:
    """The variances, where each number of each embedding has one that is finite and above 0.

    Raises:
      ValueError: If they have another shape, or a value is out of range.
    """
    if variance.shape != embedding.shape:
        raise ValueError(
            f"variances have shape {variance.shape}; expected {embedding.shape}, one for each "
            "number of each embedding."
        )
    bad = ~(np.isfinite(variance) & (variance > 0)).all(axis=1)
    if bad.any():
        raise ValueError(
            f"variance row {np.argmax(bad)} has a value that is not finite and above 0 "
            f"({counted(int(bad.sum()), 'such row')}); logarithms of variances are 'log_variances'."
        )
    return variance


def mutual_likelihood(
    unit: Float[np.ndarray, "images dim"],
    variance: Float[np.ndarray, "images dim"],
    pairs: Pairs,
) -> Float[np.ndarray, " pairs"]:
    r"""Mutual likelihood score of each pair: how likely its embeddings share one latent face.

    $-\sum_d \frac{(\mu_d - \mu'_d)^2}{\sigma_d^2 + \sigma'^2_d} + \log(\sigma_d^2 + \sigma'^2_d)$

    Args:
      unit: Embeddings of length 1.
      variance: A variance above 0 for each number of them.
      pairs: Rows of both.

    Returns:
      float64, larger for more alike; unbounded on both sides.

    Source: Shi and Jain 2019 (ICCV, arXiv 1904.09658), equation 3, without its constant.
    """
    score = np.empty(len(pairs), np.float64)
    for block in blocks(len(pairs), _LIKELIHOOD_BLOCK):
        first, second = pairs.first[block], pairs.second[block]
        total = variance[first].astype(np.float64) + variance[second]
        apart = unit[first].astype(np.float64) - unit[second]
        score[block] = -(apart**2 / total + np.log(total)).sum(axis=1)
    return score
