"""PFE: a variance for each dimension of a frozen network's embedding.

The backbone comes from another run (`init.run`) and stays as it is; only a head on its last map is
trained, by the mutual likelihood of images of one person. Pairs are compared by that likelihood, so
that a blurred face, whose variance is large, is never far from anybody.

Source: Shi and Jain 2019 (ICCV, arXiv 1904.09658), and the authors' program.
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from fairjax.core.types import Aux, Batch, Method, PyTree, Target
from fairjax.losses import masked_sum
from fairjax.losses.likelihood import fused, genuine_pairs_loss
from fairjax.methods.checks import check_word
from fairjax.methods.margin_softmax import count_classes
from fairjax.models.cosine_head import unit
from fairjax.models.uncertainty import UncertaintyHead


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    label: str = "identity",
    layer: str = "stage_4",
    tta: str = "none",
) -> Method:
    """Training of the variances.

    Args:
      backbone: From images to embeddings [batch, dim]; frozen, in inference mode.
      targets: What the dataset offers.
      preprocess: uint8 images to the backbone's input.
      label: Attribute whose values are the people of the training split. A batch needs several
        images of a person: set `input.images_per_identity`.
      layer: Map of the backbone that the variances are read from.
      tta: "none", or "fuse" to fuse an image with its mirror image: mean weighted by precision,
        the smaller variance.

    Raises:
      ValueError: If the data has no people to tell apart, `tta` is neither, or the backbone exposes
        no such map.
    """
    count_classes(targets, label)
    check_word("tta", tta, ("none", "fuse"))

    def look(params: PyTree, variables: PyTree, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Unit embeddings and the activations of `layer`, both constant."""
        own = {name: tree["backbone"] for name, tree in variables.items() if "backbone" in tree}
        embedding, sown = backbone.apply(
            {"params": params["backbone"], **own}, images, train=False, mutable=["intermediates"]
        )
        kept = sown.get("intermediates", {})
        if layer not in kept:
            raise ValueError(
                f"this backbone exposes no map {layer!r}; pfe needs "
                "config.backbone.name='iresnet', 'gac' or 'resnet'."
            )
        return jax.lax.stop_gradient((unit(embedding).direction, kept[layer][0]))

    def init(key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
        backbone_key, head_key = jax.random.split(key)
        images = preprocess(batch["image"])
        variables = dict(backbone.init(backbone_key, images, train=False))
        variables.pop("intermediates", None)
        params = {"backbone": variables.pop("params")}
        state: dict[str, Any] = {name: {"backbone": tree} for name, tree in variables.items()}
        mean, maps = jax.eval_shape(look, params, state, images)
        head = UncertaintyHead(mean.shape[1]).init(head_key, jnp.zeros(maps.shape), train=False)
        params["uncertainty"] = head["params"]
        state["batch_stats"] = {**state.get("batch_stats", {}), "uncertainty": head["batch_stats"]}
        return params, state

    def log_variance(
        params: PyTree, variables: PyTree, mean: jax.Array, maps: jax.Array, *, train: bool
    ) -> tuple[jax.Array, PyTree]:
        statistics = variables["batch_stats"]["uncertainty"]
        value, moved = UncertaintyHead(mean.shape[1]).apply(
            {"params": params["uncertainty"], "batch_stats": statistics},
            maps,
            train=train,
            mutable=["batch_stats"],
        )
        return value, moved["batch_stats"]

    def loss(
        params: PyTree, model_state: PyTree, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, Aux]:
        del key
        mean, maps = look(params, model_state, preprocess(batch["image"]))
        logs, moved = log_variance(params, model_state, mean, maps, train=True)
        total, count = genuine_pairs_loss(mean, logs, batch[label], batch["mask"])
        statistics = {**model_state["batch_stats"], "uncertainty": moved}
        spread = jnp.exp(0.5 * logs).mean(axis=1)
        scalars = {
            "loss": (total, count),
            "standard_deviation": masked_sum(spread, batch["mask"]),
        }
        return total / jnp.maximum(count, 1.0), Aux(
            {**model_state, "batch_stats": statistics}, jax.lax.stop_gradient(scalars)
        )

    def predict(variables: PyTree, batch: Batch) -> dict[str, jax.Array]:
        variables = dict(variables)
        params = variables.pop("params")

        def embed(images: jax.Array) -> tuple[jax.Array, jax.Array]:
            mean, maps = look(params, variables, images)
            logs, _ = log_variance(params, variables, mean, maps, train=False)
            return mean, jnp.exp(logs)

        images = preprocess(batch["image"])
        mean, variance = embed(images)
        if tta == "fuse":
            mirrored_mean, mirrored_variance = embed(images[:, :, ::-1])
            mean, variance = fused(
                jnp.stack([mean, mirrored_mean]), jnp.stack([variance, mirrored_variance])
            )
        return {"embedding": mean, "variance": variance}

    return Method(
        init,
        loss,
        predict,
        own_optimizers={"backbone": lambda schedule: optax.set_to_zero()},
    )
