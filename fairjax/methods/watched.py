"""A margin model whose maps of one layer can be moved, and differentiated twice."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fairjax.core.types import PyTree
from fairjax.methods.margin_softmax import MarginModel
from fairjax.models.attention_map import OFFSETS, MapKind, attention_map, with_map
from fairjax.models.cosine_head import unit


class WatchedModel(NamedTuple):
    """A margin model whose maps of one layer can be moved, and differentiated twice.

    Attributes:
      model: Backbone and class weights.
      layer: Name of the backbone's map.
    """

    model: MarginModel
    layer: str

    def train(
        self,
        params: PyTree,
        variables: PyTree,
        images: jax.Array,
        key: jax.Array,
        offset: jax.Array | None = None,
    ) -> tuple[Any, PyTree, jax.Array]:
        """The model in training: its output, moved variables, activations of the layer.

        Args:
          params: Parameters of the model.
          variables: What the forward pass moves.
          images: The backbone's input.
          key: Key of dropout.
          offset: Numbers added to the layer's activations; None adds nothing.

        Raises:
          ValueError: If the backbone has no such map.
        """
        output, moved = self.model.apply(
            {"params": params, **variables, **self._moved_by(offset)},
            images,
            train=True,
            mutable=[*variables, "intermediates"],
            rngs={"dropout": key},
        )
        moved = dict(moved)
        sown = moved.pop("intermediates", {}).get("backbone", {})
        if self.layer not in sown:
            raise ValueError(
                f"this backbone exposes no map {self.layer!r} to differentiate twice; gabn needs "
                "config.backbone.name='iresnet', 'gac' or 'resnet'."
            )
        return output, moved, sown[self.layer][0]

    def likeliest_maps(
        self, variables: PyTree, pixels: jax.Array, shape: tuple[int, ...], *, kind: MapKind
    ) -> jax.Array:
        """Where the model finds each image's likeliest person, [batch, rows, columns].

        Args:
          variables: Parameters and model state of the method.
          pixels: The backbone's input.
          shape: Shape of the groups' mean maps, [groups, rows, columns].
          kind: Form of the map.
        """
        params = without_discriminator(variables["params"])
        own = {k: v for k, v in variables.items() if k not in ("params", "maps", "margin")}

        def embed(offset: jax.Array) -> tuple[Any, jax.Array]:
            output, sown = self.model.apply(
                {"params": params, **own, **self._moved_by(offset)},
                pixels,
                train=False,
                mutable=["intermediates"],
            )
            return output, sown["intermediates"]["backbone"][self.layer][0]

        def likeliest(output: Any) -> jax.Array:
            embeddings, kernel = output
            people = unit(kernel[: self.model.classes]).direction
            return (embeddings.direction @ people.T).max(axis=1)

        activations = jax.eval_shape(embed, jnp.zeros((len(pixels), *shape[1:], 1)))[1]
        _, activations, gradient = with_map(embed, likeliest, activations)
        return attention_map(activations, gradient, kind=kind)

    def _moved_by(self, offset: jax.Array | None) -> PyTree:
        return {} if offset is None else {OFFSETS: {"backbone": {self.layer: offset}}}


def without_discriminator(params: PyTree) -> PyTree:
    """The parameters of the margin model alone."""
    return {name: tree for name, tree in params.items() if name != "discriminator"}
