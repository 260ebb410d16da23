"""A discriminator that tells groups by their attention maps, and a backbone that confuses it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp

from fairjax.core.types import PyTree
from fairjax.losses import cross_entropy
from fairjax.losses.adversarial import reverse_gradient, uniform_cross_entropy
from fairjax.models.discriminator import MapDiscriminator

Adversary = Literal["reversal", "uniform", "to_reference"]


@dataclass(frozen=True)
class MapAdversary:
    """The discriminator that tells groups by their maps, and what the backbone wants of it.

    Attributes:
      discriminator: Module from maps to logits of the groups.
      kind: What the backbone wants of the discriminator.
      weight: Weight of that once ramped up.
      ramp_epochs: Epochs over which the weight grows from 0.
      anchor: Number of the reference group.
    """

    discriminator: MapDiscriminator
    kind: Adversary
    weight: float
    ramp_epochs: float
    anchor: int

    def strength(self, epoch: jax.Array) -> jax.Array | float:
        """Weight of the backbone's side at an epoch."""
        ramp = jnp.clip(epoch / self.ramp_epochs, 0, 1) if self.ramp_epochs else 1.0
        return self.weight * ramp

    def losses(
        self, weights: PyTree, maps: jax.Array, labels: jax.Array, epoch: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Both sides' loss of each row, and the discriminator's logits; see `confuse`."""
        return confuse(
            lambda weights, maps: self.discriminator.apply({"params": weights}, maps),
            weights,
            maps,
            labels,
            adversary=self.kind,
            strength=self.strength(epoch),
            anchor=self.anchor,
        )


def confuse(
    discriminate: Callable[[PyTree, jax.Array], Any],
    weights: PyTree,
    maps: jax.Array,
    labels: jax.Array,
    *,
    adversary: Adversary,
    strength: jax.Array | float,
    anchor: int,
) -> tuple[jax.Array, jax.Array]:
    """The discriminator's loss and the backbone's, one value a row; the logits.

    Args:
      discriminate: `(weights, maps) -> logits [batch, groups]`.
      weights: Parameters of the discriminator.
      maps: Attention maps [batch, rows, columns].
      labels: Group of each row; rows with a negative one are left out by the caller.
      adversary: Aim of the backbone: "reversal", "uniform" or "to_reference".
      strength: Weight of the adversary's term.
      anchor: Number of the reference group.
    """
    truth = jnp.where(labels >= 0, labels, 0)
    if adversary == "reversal":
        logits = discriminate(weights, reverse_gradient(maps, strength))
        return cross_entropy(logits, truth, label_smoothing=0.0), logits
    logits = discriminate(weights, jax.lax.stop_gradient(maps))
    seen = discriminate(jax.lax.stop_gradient(weights), maps)
    if adversary == "uniform":
        wanted = uniform_cross_entropy(seen)
    else:
        wanted = jnp.where(
            truth == anchor,
            0.0,
            cross_entropy(seen, jnp.full_like(truth, anchor), label_smoothing=0.0),
        )
    return cross_entropy(logits, truth, label_smoothing=0.0) + strength * wanted, logits
