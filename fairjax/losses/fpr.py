r"""The penalty on false positives, without group labels: a shift of the target cosine.

One threshold T serves everybody: the k-th largest cosine between an image of the global batch and
a class that is not its own. An image whose cosines with wrong classes pass T pays for them: its
target cosine is lowered by r >= 0,

    u = margin(t) - r,

which equals raising every non-target logit by s r, as softmax sees only differences. `FprPenalty`
splits r into sums over classes (`excluded`, `select`), which add up over shards or chunks of the
classes, and what is made of those sums (`rank`, `shift`).

Source: Xu et al. 2021 (arXiv 2106.05519), Eq. 8-12 and Algorithm 1. Their released program computes
another function, and a re-implementation a third; all three are here, by name.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from fairjax.losses.margin import Cosines, Mask, Rows, TwoSided, one_of
from fairjax.losses.selection import kth_largest
from fairjax.losses.shards import Axis, total

# False positives an image in the paper: gamma_u = 1e-4 on 28,000 classes.
AUTO_ALLOWANCE = "2.8"


class Selected(NamedTuple):
    """Sums over the selected classes of each row; shards and chunks of classes add up.

    Attributes:
      total: Sum of F(c) over the selected classes.
      hits: Number of selected classes.
      above: Number of classes whose cosine exceeds T, selected or not; in "mean_sq" also those
        at T.
    """

    total: Rows
    hits: Rows
    above: Rows


@dataclass(frozen=True, kw_only=True)
class FprPenalty:
    """How false positives turn into a shift r of the target cosine.

    c is a cosine with a non-target class; the target's own place, and a class that is not to count,
    holds minus infinity. t is the target's cosine, u the same after the margin, n the rows of the
    global batch, C the classes, g the rate `gamma_u`, T the k-th largest c of the population.

    variant    population   k                      selected         r
    "paper"    all          ceil(g n (C - 1))      c > T            alpha sum c^p / (g (C - 1))
    "tface"    c <= t       ceil(g |population|)   T < c <= t       (1 + t) mean c^2
    "mean_sq"  all          ceil(g n (C - 1))      T <= c < u       mean c^2

    k, T and the selection carry no gradient. In "tface" a selected c >= u sends its gradient to the
    embedding alone, and so does the factor 1 + t.

    Attributes:
      variant: Population, selection and shift: a row of the table above.
      gamma_u: Overall FPR: the rate allowed to the batch as a whole, below 1. 0 is 1 / (C - 1), one
        false positive an image on average; "auto" is 2.8 / (C - 1), the paper's 2.8 an image.
      alpha: Strength of "paper"; its value was never printed. The others have none.
      alpha_mode: How "paper" uses alpha: "constant", or "one_plus_target" for alpha (1 + t),
        whose t sends its gradient to the embedding alone.
      power: Exponent p of F(c) = max(c, 0)^p in "paper", above 0; below 1 the base is 1e-6
        or more.

    Source: see the module. Differs from it in: "mean_sq" ranks the global batch, not the device's.
    """

    variant: str
    gamma_u: float | str
    alpha: float
    alpha_mode: str
    power: float

    def __post_init__(self) -> None:
        one_of("variant", self.variant, ("paper", "tface", "mean_sq"))
        one_of("alpha_mode", self.alpha_mode, ("constant", "one_plus_target"))
        if isinstance(self.gamma_u, str):
            if self.gamma_u != "auto":
                raise ValueError(f"gamma_u={self.gamma_u!r} must be a number or 'auto'.")
        elif not 0 <= self.gamma_u < 1:
            raise ValueError(f"gamma_u={self.gamma_u} must be 0, for 1/(classes - 1), or below 1.")
        for name, value, low in (("alpha", self.alpha, 0.0), ("power", self.power, 1e-6)):
            if not value >= low:
                raise ValueError(
                    f"{name}={value} must be {'0 or more' if low == 0 else 'above 0'}."
                )

    def allowance(self, classes: int) -> float:
        """False positives that an image is allowed on average: gamma_u (C - 1).

        Raises:
          ValueError: If `gamma_u` is "auto" and the classes are fewer than four.
        """
        return float(self._rate(classes) * (classes - 1))

    def largest_rank(self, rows: int, classes: int) -> int:
        """The k of a full batch of which nothing is excluded: what `rank` never exceeds.

        Raises:
          ValueError: If it is 1, as nothing exceeds the largest; or if the cosines are too many to
            be counted in 31 bits.
        """
        population = rows * (classes - 1)
        largest = math.ceil(self._rate(classes) * population)
        if largest <= 1 and self.variant != "mean_sq":
            raise ValueError(
                f"gamma_u={self.gamma_u} makes T the largest of the batch's {rows} x {classes - 1} "
                f"non-target cosines, so none exceeds it; use gamma_u above {1 / population:.2g}."
            )
        if population >= 2**31:
            raise ValueError(f"{rows} x {classes - 1} non-target cosines pass 2^31.")
        return largest

    def excluded(self, cosines: Cosines, target: Rows) -> Int[Array, " batch"]:
        """How many non-target cosines of each row the population lacks."""
        if self.variant == "tface":
            return jnp.sum(cosines > target[:, None], axis=1, dtype=jnp.int32)
        return jnp.zeros(target.shape, jnp.int32)

    def ceiling(self, target: Rows, mask: Mask) -> Rows:
        """The largest cosine of each row that T ranks: plus infinity all, minus infinity none."""
        largest = lax.stop_gradient(target) if self.variant == "tface" else jnp.inf
        return jnp.where(mask, largest, -jnp.inf)

    def rank(self, excluded: Int[Array, " batch"], mask: Mask, *, classes: int) -> Int[Array, ""]:
        """k, exactly: of the whole batch, whose rows exclude so many of all C classes."""
        rate = self._rate(classes)
        size = jnp.sum(jnp.where(mask, classes - 1 - excluded, 0))
        whole, rest = jnp.divmod(size, rate.denominator)
        k = whole * rate.numerator - (-rest * rate.numerator) // rate.denominator
        return jnp.maximum(k, 1)  # of an empty population

    def parted(self, threshold: Array, above: Array, below: Array) -> Array:
        """A number that selects what T does, halfway to the next cosine that T tells from itself.

        So cosines that are made twice, and rounded otherwise, are selected alike. It keeps within
        1e-6 of T, as a cosine outside the population may lie in between.

        Args:
          threshold: T.
          above: The least of the population that exceeds it, or 2.
          below: The largest of it that T exceeds, or -2.
        """
        if self.variant == "mean_sq":
            other = jnp.maximum(below, threshold - 2e-6)
        else:
            other = jnp.minimum(above, threshold + 2e-6)
        halfway = (threshold + other) / 2
        return jnp.where(halfway == other, threshold, halfway)

    def select(
        self,
        cosines: Cosines,
        through_embedding: Cosines,
        threshold: Float[Array, ""],
        target: Rows,
        margined: Rows,
    ) -> Selected:
        """Sums over the cosines that T selects.

        Args:
          cosines: Cosines with non-target classes.
          through_embedding: A copy of `cosines` whose gradient does not reach the class weights.
          threshold: T.
          target: t.
          margined: u before the shift.
        """
        target, margined = (lax.stop_gradient(x)[:, None] for x in (target, margined))
        threshold = jnp.maximum(threshold, -2.0)  # finite for an empty population, too
        above = cosines >= threshold if self.variant == "mean_sq" else cosines > threshold
        if self.variant == "paper":
            selected = above
        elif self.variant == "tface":
            selected = above & (cosines <= target) & (cosines != 0)
            cosines = jnp.where(cosines < margined, cosines, through_embedding)
        else:
            selected = above & (cosines < margined)
        values = jnp.where(selected, cosines, 0.0)  # keeps minus infinity out of the power
        total = jnp.sum(jnp.where(selected, self._weight(values), 0.0), axis=1)
        hits, above = (jnp.sum(x, axis=1, dtype=jnp.float32) for x in (selected, above))
        return Selected(total, hits, above)

    def shift(self, selected: Selected, through_embedding: Rows, *, classes: int) -> Rows:
        """The shift r of each row.

        Args:
          selected: Sums over all C classes.
          through_embedding: Target cosine t; its gradient does not reach the class weights.
          classes: C.
        """
        mean = selected.total / jnp.maximum(selected.hits, 1.0)
        if self.variant == "mean_sq":
            return mean
        if self.variant == "tface":
            return (1 + through_embedding) * mean
        factor = self.alpha / self.allowance(classes)
        if self.alpha_mode == "one_plus_target":
            return factor * (1 + through_embedding) * selected.total
        return factor * selected.total

    def _weight(self, cosines: Cosines) -> Cosines:
        """F(c) of "paper"; the others take squares, of negative cosines too."""
        if self.variant != "paper":
            return cosines * cosines
        return jnp.maximum(cosines, 1e-6 if self.power < 1 else 0.0) ** self.power

    def _rate(self, classes: int) -> Fraction:
        """gamma_u as the nearest fraction whose terms' product stays within 31 bits."""
        if not self.gamma_u:
            return Fraction(1, classes - 1)
        if self.gamma_u == "auto":
            rate = Fraction(AUTO_ALLOWANCE) / (classes - 1)
            if rate >= 1:
                raise ValueError(f"gamma_u='auto' needs four classes or more, not {classes}.")
        else:
            rate = Fraction(repr(float(self.gamma_u)))
        return rate.limit_denominator(math.isqrt(int(2**30 / rate)))


class Penalty(NamedTuple):
    """What the penalty does to a batch.

    Attributes:
      shift: r.
      threshold: T.
      fpr: Each row's false-positive rate at T, a fraction of C - 1.
    """

    shift: Rows
    threshold: Float[Array, ""]
    fpr: Rows


def fpr_penalty(
    penalty: FprPenalty,
    others: TwoSided,
    target: TwoSided,
    margined: Rows,
    mask: Mask,
    *,
    classes: int | None = None,
    axis: Axis = None,
) -> Penalty:
    """The penalty where one array a shard holds the cosines.

    Args:
      penalty: The variant and its settings.
      others: Cosines with non-target classes, minus infinity in the target's place.
      target: Cosines with the target.
      margined: Target cosine after the margin.
      mask: False on padding.
      classes: C; None is the width of the array.
      axis: The classes lie in shards over this mesh axis.
    """
    rows, width = others.both.shape
    classes = width if classes is None else classes
    largest_k = penalty.largest_rank(rows, classes)
    excluded = total(penalty.excluded(others.both, target.both), axis)
    threshold = kth_largest(
        lax.stop_gradient(others.both),
        penalty.rank(excluded, mask, classes=classes),
        at_most=penalty.ceiling(target.both, mask),
        largest_k=largest_k,
        axis=axis,
    )
    selected = total(penalty.select(*others, threshold, target.both, margined), axis)
    shift = penalty.shift(selected, target.through_embedding, classes=classes)
    return Penalty(shift, threshold, selected.above / (classes - 1))
