"""Made-up scores of made-up people, whose true error rates are known.

No face and no model stands behind them; the score model is

    mated:      z = m_g + T v_i + S e
    non-mated:  z = n_gh + T (u_i + u_j) / sqrt 2 + S e

with v, u (one a person) and e (one a pair) standard normal and T^2 + S^2 = 1, so that any one score
has unit variance, and pairs that share a person are correlated as in real data: some people match
badly (v) or resemble everybody (u). Scores are c = 0.05 + 0.1 z, which look like cosines.

Within a group the rates at a threshold t are exactly Q((t - 0.05) / 0.1 - n_gg) for FMR and
1 - Q((t - 0.05) / 0.1 - m_g) for FNMR, Q being the normal upper tail: `true_rates`. At `THRESHOLD`
every group has the rates of `Planted`, and the one with a planted gap so many times as much.
"""

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from fairjax.core.comparisons import Comparisons

GROUPS = ("amber", "cobalt", "jade", "violet")
FMR, FNMR = 1e-2, 4e-2  # of every group at THRESHOLD, unless another is given
SHARED = 0.3  # T^2: the share of a score's variance that comes from the people
_OFFSET, _SCALE = 0.05, 0.1
_APART = 0.5  # how much lower pairs across groups score, in standard deviations
_NORMAL = NormalDist()
THRESHOLD = _OFFSET + _SCALE * _NORMAL.inv_cdf(1 - FMR)


@dataclass(frozen=True)
class Planted:
    """A gap of known size; none by default.

    Attributes:
      group: Index into `GROUPS` of the group whose rates differ.
      fmr_ratio: True FMR of this group over that of the others at `THRESHOLD`.
      fnmr_ratio: True FNMR of this group over that of the others.
      fmr: The others' true FMR at `THRESHOLD`, a fraction.
      fnmr: The others' true FNMR there, a fraction.
    """

    group: int = 2
    fmr_ratio: float = 1.0
    fnmr_ratio: float = 1.0
    fmr: float = FMR
    fnmr: float = FNMR


@dataclass(frozen=True)
class Size:
    """How much is drawn.

    Attributes:
      people: Number of people in each group.
      images: Number of images of each person.
      nonmated: Non-mated pairs within each group.
      across: Non-mated pairs of every two groups.
    """

    people: int = 200
    images: int = 5
    nonmated: int = 20_000
    across: int = 5_000


@dataclass(frozen=True)
class Phantom:
    """Comparisons and the images behind them.

    Attributes:
      comparisons: The scored pairs.
      image: Image of each side, numbered through each person.
    """

    comparisons: Comparisons
    image: np.ndarray


def true_rates(planted: Planted, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """FMR and FNMR of every group at a threshold, exactly."""
    mated, nonmated = _means(planted)
    z = (threshold - _OFFSET) / _SCALE
    fmr = [1 - _NORMAL.cdf(z - mean) for mean in nonmated]
    return np.array(fmr), np.array([_NORMAL.cdf(z - mean) for mean in mated])


def draw(planted: Planted, *, seed: int, size: Size | None = None) -> Phantom:
    """Draws comparisons: all mated pairs, and distinct non-mated ones.

    Args:
      planted: Which gap.
      seed: Non-negative; from numpy's `default_rng`.
      size: How much.
    """
    size = size or Size()
    rng = np.random.default_rng(seed)
    mated_mean, nonmated_mean = _means(planted)
    people = size.people * len(GROUPS)
    goat, lamb = rng.standard_normal((2, people))
    first, second = np.triu_indices(size.images, 1)
    parts = []  # (two people, two images, mean, shared part)
    for a in range(len(GROUPS)):
        own = a * size.people + np.arange(size.people)
        who = np.repeat(own, len(first))
        image = np.tile(np.stack([first, second], axis=1), (size.people, 1))
        parts.append((np.stack([who, who], axis=1), image, mated_mean[a], goat[who]))
        for b in range(a, len(GROUPS)):
            who, image = _nonmated(rng, size, a, b)
            mean = nonmated_mean[a] if a == b else -_APART
            parts.append((who, image, mean, lamb[who].sum(axis=1) / np.sqrt(2)))
    who, image = (np.concatenate([drawn[k] for drawn in parts]) for k in (0, 1))
    z = np.concatenate([mean + np.sqrt(SHARED) * shared for _, _, mean, shared in parts])
    z += np.sqrt(1 - SHARED) * rng.standard_normal(len(z))
    return Phantom(
        Comparisons(
            score=_OFFSET + _SCALE * z,
            mated=who[:, 0] == who[:, 1],
            subject=who,
            group=who // size.people,
            groups=GROUPS,
            fold=np.zeros(len(who), np.int64),
        ),
        image,
    )


def with_quality(
    phantom: Phantom, *, group: int, shift: float, effect: float, seed: int
) -> tuple[Phantom, np.ndarray]:
    """The comparisons as pictures of unequal quality would score, and each image's quality.

    Quality is standard normal, and lower by `shift` for a group. Half of its variance is shared by
    a person's images. Bad pictures of one person score lower, bad pictures of two people higher.

    Args:
      phantom: Comparisons.
      group: Index into `GROUPS` of the group with worse pictures.
      shift: How much worse.
      effect: Standard deviations of the score for one unit of both images' mean quality.
      seed: Non-negative.

    Returns:
      The comparisons, and the quality [people, images].
    """
    rng = np.random.default_rng([seed, 1])
    pairs = phantom.comparisons
    people, images = int(pairs.subject.max()) + 1, int(phantom.image.max()) + 1
    home = np.full(people, -1)
    home[pairs.subject.ravel()] = pairs.group.ravel()
    quality = rng.standard_normal((people, 1)) + rng.standard_normal((people, images))
    quality = quality / np.sqrt(2) - shift * (home == group)[:, None]
    mean = quality[pairs.subject, phantom.image].mean(axis=1)
    moved = _SCALE * effect * mean * np.where(pairs.mated, 1, -1)
    return replace(phantom, comparisons=replace(pairs, score=pairs.score + moved)), quality


def _means(planted: Planted) -> tuple[list[float], list[float]]:
    """m_g and n_gg of every group."""
    z = _NORMAL.inv_cdf(1 - FMR)
    mated, nonmated = [], []
    for g in range(len(GROUPS)):
        fmr_ratio, fnmr_ratio = (
            (planted.fmr_ratio, planted.fnmr_ratio) if g == planted.group else (1.0, 1.0)
        )
        nonmated.append(z - _NORMAL.inv_cdf(1 - planted.fmr * fmr_ratio))
        mated.append(z - _NORMAL.inv_cdf(planted.fnmr * fnmr_ratio))
    return mated, nonmated


def _nonmated(
    rng: np.random.Generator, size: Size, a: int, b: int
) -> tuple[np.ndarray, np.ndarray]:
    """Distinct pairs of images of two people in groups a and b."""
    if a == b:
        couples = np.stack(np.triu_indices(size.people, 1), axis=1)
    else:
        couples = np.stack(np.divmod(np.arange(size.people**2), size.people), axis=1)
    each = size.images**2
    chosen = rng.choice(
        len(couples) * each, size.nonmated if a == b else size.across, replace=False
    )
    couple, images = np.divmod(chosen, each)
    who = couples[couple] + size.people * np.array([a, b])
    return who, np.stack(np.divmod(images, size.images), axis=1)
