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


def unbiased_hsic(one: Features, other: np.ndarray) -> float:
    """The Hilbert-Schmidt independence criterion of two linear kernels, without bias; may be < 0.

    Args:
      one: One row an image.
      other: Features of the same images in the same order, at least 4; the width may differ.

    Source: Song et al. 2012 (JMLR 13), equation 5, for K = X X' and L = Y Y' less their diagonals
      k and m. Their sums are taken from the features, tr KL = |X'Y|^2 - k'm and K1 = X (X'1) - k,
      so that no matrix of images by images is made.
    """
    n = len(one)
    x, y = np.asarray(one, np.float64), np.asarray(other, np.float64)
    k, m = np.square(x).sum(axis=1), np.square(y).sum(axis=1)  # the diagonals
    k_sums, m_sums = x @ x.sum(axis=0) - k, y @ y.sum(axis=0) - m
    both = np.square(x.T @ y).sum() - k @ m - 2 * k_sums @ m_sums / (n - 2)
    return float((both + k_sums.sum() * m_sums.sum() / ((n - 1) * (n - 2))) / (n * (n - 3)))


def cka(one: Features, other: np.ndarray) -> float:
    """Linear centred kernel alignment of two representations of the same images.

    1 where one is a rotation and scaling of the other, about 0 where they have nothing in common.
    Made of unbiased HSIC, so that it does not grow as images become few; it may fall below 0.

    Args:
      one: One row an image.
      other: Features of the same images in the same order; the width may differ.

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
    # Centring makes no difference to the result, but to its rounding.
    x, y = (z - z.mean(axis=0) for z in (np.asarray(w, np.float64) for w in (one, other)))
    own, others = unbiased_hsic(x, x), unbiased_hsic(y, y)
    if own <= 0 or others <= 0:
        return float("nan")
    return unbiased_hsic(x, y) / (own * others) ** 0.5


def cka_interval(
    one: Features, other: np.ndarray, cluster: np.ndarray, *, level: float, blocks: int = 20
) -> tuple[float, float] | None:
    """Interval of `cka`, by a jackknife that leaves out one block of clusters after another.

    Resampling with repetition would not do: a repeated image is alike to itself.

    Args:
      one: Features of the images by one model.
      other: Features of the same images by another model.
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
