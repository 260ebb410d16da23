r"""Margin softmax losses, as what they do to cosines.

With c the cosines between an embedding and the class weights, y its class and s the scale, every
loss here is

    L = softplus(N - s u),    N = log sum_{j != y} exp(s v_j),

which is the cross-entropy of the logits s v with s u in place y. A `Margin` says what becomes of
the target cosine, u = target(c_y), and of the others, v = nontarget(c): v = c for all but
CurricularFace. N is a row reduction over classes, so the classes may lie in shards or come in
chunks, and a penalty is one subtraction from u.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from fairjax.losses.shards import Axis, greatest, total

Rows = Float[Array, " batch"]
Cosines = Float[Array, "batch classes"]
Mask = Bool[Array, " batch"]  # False on padding
State = Mapping[str, Float[Array, ""]]


class TwoSided(NamedTuple):
    """One array of cosines whose gradient comes in two kinds.

    Attributes:
      both: Cosines whose gradient reaches the embeddings and the class weights.
      through_embedding: Equal cosines whose gradient reaches the embeddings alone.
    """

    both: Array
    through_embedding: Array


@dataclass(frozen=True, kw_only=True)
class Margin:
    """Plain normalised softmax; the other losses change what they name.

    Attributes:
      scale: Factor s of every cosine, above 0.
    """

    scale: float = 64.0

    @staticmethod
    def kinds() -> Mapping[str, type["Margin"]]:
        """The margins that a config chooses from."""
        return MARGINS

    def init_state(self) -> State:
        """Numbers that training moves without a gradient; they live in the model's state."""
        return {}

    def moved(self, state: State, target: Rows, norm: Rows, mask: Mask) -> State:
        """The state that this step uses, and leaves behind.

        Args:
          state: What the last step left.
          target: Cosines of the global batch with their own class.
          norm: Lengths of the embeddings before normalisation.
          mask: False on padding.
        """
        return state

    def target(self, cosine: Rows, norm: Rows, state: State) -> Rows:
        """The target cosine u after the margin."""
        return cosine

    def nontarget(self, cosines: Cosines, target: Rows, state: State) -> Cosines:
        """What becomes of the other cosines, given u; minus infinity stays what it is."""
        return cosines

    def regulariser(self, norm: Rows) -> Rows:
        """What is added to the loss of each row."""
        return jnp.zeros_like(norm)


@dataclass(frozen=True, kw_only=True)
class CosFace(Margin):
    """u = t - m.

    Attributes:
      margin: m, a cosine; the fairness papers use 0.35, others 0.4.

    Source: Wang et al. 2018 (arXiv 1801.09414), Eq. 4.
    """

    margin: float = 0.35

    def target(self, cosine: Rows, norm: Rows, state: State) -> Rows:
        """The target cosine less m."""
        return self.target_at(cosine, self.margin)

    def target_at(self, cosine: Rows, margin: Rows | float) -> Rows:
        """The target cosine after a margin that may be each row's own."""
        return cosine - margin


@dataclass(frozen=True, kw_only=True)
class ArcFace(Margin):
    """u = cos(theta + m), with t = cos(theta).

    Attributes:
      margin: m, in radians, in (0, pi).
      fallback: What replaces u where theta + m passes pi: "linear" is t - m sin(m); "none" lets
        the cosine rise again; "easy" uses t itself already where t <= 0.
      grad: "exact" is the derivative of u, cos(m) + t sin(m) / sqrt(1 - t^2), without its second
        term within 5e-7 of |t| = 1, where that has no bound. "straight_through" is 1, as in
        insightface's code since it takes the angle outside autodiff.

    Source: Deng et al. 2019 (arXiv 1801.07698), Eq. 3; the fallback of TFace ("linear").
    """

    margin: float = 0.5
    fallback: str = "linear"
    grad: str = "exact"

    def __post_init__(self) -> None:
        one_of("fallback", self.fallback, ("linear", "easy", "none"))
        one_of("grad", self.grad, ("exact", "straight_through"))

    def target(self, cosine: Rows, norm: Rows, state: State) -> Rows:
        """The cosine of the angle plus m."""
        return self.target_at(cosine, self.margin)

    def target_at(self, cosine: Rows, margin: Rows | float) -> Rows:
        """The target cosine after a margin that may be each row's own."""
        margined = _cos_of_sum(cosine, jnp.broadcast_to(margin, cosine.shape))
        if self.fallback == "linear":
            past = cosine <= jnp.cos(jnp.pi - margin)
            margined = jnp.where(past, cosine - margin * jnp.sin(margin), margined)
        elif self.fallback == "easy":
            margined = jnp.where(cosine > 0, margined, cosine)
        if self.grad == "straight_through":
            return cosine + lax.stop_gradient(margined - cosine)
        return margined


@dataclass(frozen=True, kw_only=True)
class CurricularFace(Margin):
    """ArcFace whose hard negatives weigh more as training goes on.

    u = cos(theta + m) with the linear fallback; a non-target cosine c above u becomes
    c (tau + c). tau is a running mean of the target cosines, over the global batch.

    Attributes:
      margin: m, in radians.
      momentum: Weight of the batch in tau, which moves before it is used.

    Source: Huang et al. 2020 (arXiv 2004.00288), Eq. 4-6. The authors use momentum 0.01, TFace
      0.1. Differs from both in: tau follows the global batch and not each device's own.
    """

    margin: float = 0.5
    momentum: float = 0.01

    def init_state(self) -> State:
        """Tau = 0."""
        return {"tau": jnp.float32(0)}

    def moved(self, state: State, target: Rows, norm: Rows, mask: Mask) -> State:
        """Tau a step nearer to the batch's mean target cosine."""
        mean = jnp.mean(lax.stop_gradient(target), where=mask)
        return {"tau": (1 - self.momentum) * state["tau"] + self.momentum * mean}

    def target(self, cosine: Rows, norm: Rows, state: State) -> Rows:
        """The cosine of the angle plus m."""
        arcface = ArcFace(scale=self.scale, margin=self.margin, fallback="linear", grad="exact")
        return arcface.target(cosine, norm, state)

    def nontarget(self, cosines: Cosines, target: Rows, state: State) -> Cosines:
        """C (tau + c) where c > u."""
        hard = cosines > lax.stop_gradient(target)[:, None]
        above = jnp.where(hard, cosines, 0.0)  # keeps minus infinity out of the product
        return jnp.where(hard, above * (state["tau"] + above), cosines)


@dataclass(frozen=True, kw_only=True)
class AdaFace(Margin):
    """A margin that asks more of images of high quality, read off the embedding's length.

    u = cos(theta - m z) - (m + m z), where z is the length's deviation from its running mean, in
    running deviations, times `concentration` and clipped to [-1, 1]; z carries no gradient.

    Attributes:
      margin: m.
      concentration: h.
      momentum: Weight of the batch in the running statistics, which move before they are used.

    Source: Kim et al. 2022 (arXiv 2204.00964), Eq. 8-10, with the authors' code for the clipping.
    """

    margin: float = 0.4
    concentration: float = 0.333
    momentum: float = 0.01

    def init_state(self) -> State:
        """The authors' start: mean 20, deviation 100."""
        return {"norm_mean": jnp.float32(20), "norm_std": jnp.float32(100)}

    def moved(self, state: State, target: Rows, norm: Rows, mask: Mask) -> State:
        """Statistics a step nearer to the batch's mean and deviation (ddof 1)."""
        norm = self._clipped(norm)
        now = {"norm_mean": norm.mean(where=mask), "norm_std": norm.std(where=mask, ddof=1)}
        return {k: (1 - self.momentum) * state[k] + self.momentum * now[k] for k in now}

    def target(self, cosine: Rows, norm: Rows, state: State) -> Rows:
        """An angular and an additive margin, opposite in what they ask."""
        z = (self._clipped(norm) - state["norm_mean"]) / (state["norm_std"] + 1e-3)
        z = jnp.clip(z * self.concentration, -1, 1)
        edge = jnp.cos(1e-3)
        angle = jnp.arccos(jnp.clip(cosine, -edge, edge)) - self.margin * z
        return jnp.cos(jnp.clip(angle, 1e-3, jnp.pi - 1e-3)) - self.margin * (1 + z)

    def _clipped(self, norm: Rows) -> Rows:
        return jnp.clip(lax.stop_gradient(norm), 1e-3, 100)


@dataclass(frozen=True, kw_only=True)
class MagFace(Margin):
    """ArcFace whose margin grows with the embedding's length, and a pull towards length.

    With a the length clipped to [low, high]: the margin is linear in a, u = cos(theta + m(a))
    where t > 0 and t elsewhere, and weight * (a / high^2 + 1 / a) is added. Both have a gradient
    to the length.

    Attributes:
      low: Shortest length told apart; its margin is `low_margin`, in radians.
      high: Longest; its margin is `high_margin`.
      low_margin: Radians.
      high_margin: Radians.
      weight: lambda_g of the pull.

    Source: Meng et al. 2021 (arXiv 2103.06627), Eq. 5-6, and the authors' code (easy margin).
    """

    low: float = 10.0
    high: float = 110.0
    low_margin: float = 0.45
    high_margin: float = 0.8
    weight: float = 35.0

    def target(self, cosine: Rows, norm: Rows, state: State) -> Rows:
        """The cosine of the angle plus the length's margin, where the cosine is above 0."""
        slope = (self.high_margin - self.low_margin) / (self.high - self.low)
        margin = self.low_margin + slope * (jnp.clip(norm, self.low, self.high) - self.low)
        return jnp.where(cosine > 0, _cos_of_sum(cosine, margin), cosine)

    def regulariser(self, norm: Rows) -> Rows:
        """The pull: least at the longest length."""
        length = jnp.clip(norm, self.low, self.high)
        return self.weight * (length / self.high**2 + 1 / length)


MARGINS: dict[str, type[Margin]] = {
    "adaface": AdaFace,
    "arcface": ArcFace,
    "cosface": CosFace,
    "curricularface": CurricularFace,
    "magface": MagFace,
    "softmax": Margin,
}


def split_target(cosines: Cosines, labels: Int[Array, " batch"]) -> tuple[Rows, Cosines]:
    """The target's cosines, and all cosines with minus infinity in the target's place."""
    target = jnp.take_along_axis(cosines, labels[:, None], axis=1, mode="clip")[:, 0]
    rows = jnp.arange(len(labels))
    return target, cosines.at[rows, labels].set(-jnp.inf, mode="drop", unique_indices=True)


def nontarget_logsumexp(margined: Cosines, *, scale: float, axis: Axis = None) -> Rows:
    """N: log of the sum of exp(scale * v) over the classes; targets hold minus infinity.

    Args:
      margined: v, of one class or more besides the target.
      scale: s.
      axis: The classes lie in shards over this mesh axis; a shard may hold nothing that counts.
    """
    logits = scale * margined
    largest = greatest(jnp.max(logits, axis=1), axis)
    return largest + jnp.log(total(jnp.sum(jnp.exp(logits - largest[:, None]), axis=1), axis))


def softmax_loss(target: Rows, logsumexp: Rows, *, scale: float) -> Rows:
    """The cross-entropy, in nats, of a target cosine u against the others' log-sum-exp N."""
    return jax.nn.softplus(logsumexp - scale * target)


def _cos_of_sum(cosine: Rows, margin: Rows) -> Rows:
    """cos(arccos(t) + m), finite with finite derivatives at t = -1 and 1."""
    sine = jnp.sqrt(jnp.maximum(1 - cosine * cosine, 1e-12))
    return cosine * jnp.cos(margin) - sine * jnp.sin(margin)


def one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    """Raises ValueError, with what is known, where a setting has another value."""
    if value not in known:
        raise ValueError(f"{name}={value!r} is not known; known: {', '.join(known)}.")
