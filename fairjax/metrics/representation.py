"""How a representation is spread, and how alike two of them are; float64, on the host."""

import numpy as np
from jaxtyping import Float, Float64

Features = Float[np.ndarray, "rows dim"]


def feature_std(features: Features) -> float:
    """Mean over dimensions of the deviation of unit vectors, times sqrt(dim).

    About 1 where they are spread over the sphere, 0 where they are one point.

    Args:
      features: One row an image, of any length but 0.

    Source: Chen and He 2021 (SimSiam, arXiv 2011.10566), section 4.1.
    """
    u = _unit(features)
    return float(u.std(axis=0).mean() * u.shape[1] ** 0.5)


def uniformity(features: Features) -> float:
    """Logarithm of the mean of exp(-2 squared distance) over pairs of different images.

    0 where unit vectors are one point, about -4 where they are spread over many dimensions; NaN
    with fewer than two.

    Source: Wang and Isola 2020 (arXiv 2005.10242), equation 2 with t = 2.
    """
    u, n = _unit(features), len(features)
    if n < 2:
        return float("nan")
    near = np.exp(4 * (u @ u.T) - 4)
    return float(np.log((near.sum() - np.trace(near)) / (n * (n - 1))))


def effective_rank(features: Features) -> float:
    """In how many dimensions the features really lie: exp of the entropy of singular values.

    From 1 to min(rows, dim). The mean is not taken away, as in the source.

    Source: Garrido et al. 2023 (RankMe, arXiv 2210.02885), equation 1.
    """
    values = np.linalg.svd(np.asarray(features, np.float64), compute_uv=False)
    shares = values / values.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def unbiased_hsic(one: Float64[np.ndarray, "rows rows"], other: np.ndarray) -> float:
    """The Hilbert-Schmidt independence criterion of two Gram matrices, without bias; may be < 0.

    Args:
      one: Symmetric; its diagonal plays no part.
      other: Likewise, of the same rows; at least 4.

    Source: Song et al. 2012 (JMLR 13), equation 5.
    """
    n = len(one)
    k, m = (gram - np.diag(np.diag(gram)) for gram in (one, other))
    both = (k * m).sum() - 2 * k.sum(axis=0) @ m.sum(axis=0) / (n - 2)
    return float((both + k.sum() * m.sum() / ((n - 1) * (n - 2))) / (n * (n - 3)))


def cka(one: Features, other: np.ndarray) -> float:
    """Linear centred kernel alignment of two representations of the same images.

    1 where one is a rotation and scaling of the other, about 0 where they have nothing in common.
    Made of unbiased HSIC, so that it does not grow as images become few; it may fall below 0.

    Args:
      one: One row an image.
      other: Of the same images in the same order; the width may differ.

    Returns:
      NaN with fewer than four images, or where a representation is constant.

    Source: Kornblith et al. 2019 (arXiv 1905.00414), equation 1; Nguyen et al. 2021 (arXiv
      2010.15327), equation 3, for the unbiased estimator.

    Raises:
      ValueError: If the rows do not match.
    """
    if len(one) != len(other):
        raise ValueError(f"the representations are of {len(one)} and {len(other)} images.")
    if len(one) < 4:
        return float("nan")
    grams = []
    for features in (one, other):
        x = np.asarray(features, np.float64)
        x = x - x.mean(axis=0)  # no difference to the result, but to its rounding
        grams.append(x @ x.T)
    joint, own, others = (
        unbiased_hsic(a, b) for a, b in ((grams[0], grams[1]), (grams[0],) * 2, (grams[1],) * 2)
    )
    if own <= 0 or others <= 0:
        return float("nan")
    return joint / (own * others) ** 0.5


def cka_interval(
    one: Features, other: np.ndarray, cluster: np.ndarray, *, level: float, blocks: int = 20
) -> tuple[float, float] | None:
    """Interval of `cka`, by a jackknife that leaves out one block of clusters after another.

    Resampling with repetition would not do: a repeated image is alike to itself.

    Args:
      one: As for `cka`.
      other: Likewise.
      cluster: Cluster of each image; a cluster is left out whole.
      level: Coverage, a fraction.
      blocks: How many; None comes back where there are fewer clusters.
    """
    from scipy import stats  # slow to import

    names, position = np.unique(cluster, return_inverse=True)
    if len(names) < blocks:
        return None
    block = np.random.default_rng(0).permutation(len(names))[position] % blocks
    without = np.array([cka(one[block != k], other[block != k]) for k in range(blocks)])
    if np.isnan(without).any():
        return None
    error = float(np.sqrt((blocks - 1) * without.var()))
    reach = float(stats.t.ppf((1 + level) / 2, blocks - 1)) * error
    whole = cka(one, other)
    return whole - reach, min(whole + reach, 1.0)


def _unit(features: Features) -> Float64[np.ndarray, "rows dim"]:
    x = np.asarray(features, np.float64)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
