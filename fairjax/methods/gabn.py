"""GABN-style: gradient attention maps that no discriminator can tell the group from.

A margin softmax whose backbone also learns that the area it relies on is alike for every group
(adversarially), and to recognise people without the regions it relies on most (erasing). Training
needs group labels.

Source: "Gradient Attention Balance Network" (2023, arXiv 2304.02284), of which only the abstract
was at hand: the form of the map, the losses and all numbers are ours, and none of its results is
claimed. What is differentiated through: the map is a function of the activations and of the
gradient of the target cosine with respect to them; with `second_order` the backbone's gradient
passes through both, else through the activations alone. Class weights are constant in the map.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from fairjax.core.types import Aux, Batch, Method, PyTree, Target
from fairjax.heads import Head, class_losses
from fairjax.losses import CosFace, Margin, cross_entropy, masked_sum
from fairjax.losses.adversarial import reverse_gradient, uniform_cross_entropy
from fairjax.methods.cosine_margin import MarginModel, count_classes, embedding_predictor
from fairjax.methods.groups import group_scalars, require_groups
from fairjax.models.attention_map import (
    OFFSETS,
    MapKind,
    attention_map,
    distance_to_reference,
    entropy,
    erase_top,
    overlay,
    running_mean_maps,
    with_map,
)
from fairjax.models.cosine_head import unit
from fairjax.models.discriminator import MapDiscriminator

Adversary = Literal["reversal", "uniform", "to_reference"]


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    margin: Margin = CosFace(),  # noqa: B008  frozen
    head: Head = Head(),  # noqa: B008  frozen
    label: str = "identity",
    group: str = "group",
    reference: str = "",
    tta: str = "sum",
    layer: str = "stage_4",
    attention: MapKind = "gradcam",
    adversary: Adversary = "reversal",
    adversary_weight: float = 0.1,
    adversary_ramp_epochs: float = 2.0,
    discriminator_lr: float = 1e-4,
    second_order: bool = True,
    erase_regions: int = 8,
    erase_weight: float = 1.0,
    erase_after_epochs: float = 4.0,
    erase_where: Literal["input", "map"] = "input",
) -> Method:
    """GABN-style training.

    Args:
      backbone: From images to embeddings [batch, dim]; exposes its maps, as IResNet does.
      targets: What the dataset offers.
      preprocess: uint8 images to the backbone's input.
      margin: The margin, one of MARGINS.
      head: How the class weights lie over devices, and are walked.
      label: Attribute whose values are the people of the training split.
      group: Attribute whose groups are made alike; negative labels are left out.
      reference: Group whose map the others are compared with; "" is the first.
      tta: What "embedding" is made of; see `cosine_margin.build`.
      layer: Map of the backbone that attention is read from: "stage_4", or an earlier one such as
        "stage_3" for twice the resolution.
      attention: Form of the map; see `attention_map`.
      adversary: Aim of the backbone against the discriminator: "reversal" maximises its
        cross-entropy, "uniform" makes it equally unsure of all groups, "to_reference" makes it
        take every other group for the reference.
      adversary_weight: Weight of the adversary's term in the loss, 0 or more, once ramped up.
      adversary_ramp_epochs: Epochs over which the weight grows from 0, linearly.
      discriminator_lr: Learning rate of the discriminator's own Adam.
      second_order: Whether the gradient passes through the map's own gradient.
      erase_regions: Positions of the map that are erased; 0 turns erasing off.
      erase_weight: Weight of the loss on erased images.
      erase_after_epochs: Epochs before erasing starts.
      erase_where: Whether pixels of the image or activations of `layer` are erased.

    Raises:
      ValueError: If the data has no such groups, or a setting is out of range; from `init`, if the
        backbone has no such map or the map is too small.
    """
    groups = require_groups(targets, group)
    if reference and reference not in groups:
        raise ValueError(
            f"config.method.reference={reference!r} is no {group}; it has: {', '.join(groups)}."
        )
    ranges = (
        ("adversary_weight", adversary_weight >= 0, "0 or more"),
        ("adversary_ramp_epochs", adversary_ramp_epochs >= 0, "0 or more"),
        ("erase_regions", erase_regions >= 0, "0 or more"),
        ("erase_after_epochs", erase_after_epochs >= 0, "0 or more"),
        (
            "adversary",
            adversary in ("reversal", "uniform", "to_reference"),
            "reversal, uniform or to_reference",
        ),
        (
            "attention",
            attention in ("gradcam", "abs_grad", "grad_x_input"),
            "gradcam, abs_grad or grad_x_input",
        ),
        ("erase_where", erase_where in ("input", "map"), "input or map"),
    )
    for name, fits, rule in ranges:
        if not fits:
            raise ValueError(f"config.method.{name} must be {rule}.")
    anchor = groups.index(reference) if reference else 0
    classes = count_classes(targets, label)
    model = MarginModel(backbone, classes, head.rows(classes))
    network = _Watched(model, layer)
    discriminator = MapDiscriminator(len(groups))

    def init(key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
        model_key, map_key = jax.random.split(key)
        images = preprocess(batch["image"])
        variables = dict(model.init(model_key, images, train=False))
        params = variables.pop("params")
        activations = jax.eval_shape(network.train, params, variables, images, key)[2]
        positions = activations.shape[1] * activations.shape[2]
        if erase_regions >= positions:
            raise ValueError(
                f"config.method.erase_regions={erase_regions} must be below the {positions} "
                f"positions of the map {layer!r}; lower it, or raise config.input.image_size."
            )
        blank = jnp.zeros(activations.shape[:3])
        params = {**params, "discriminator": discriminator.init(map_key, blank)["params"]}
        state = margin.init_state()
        variables["maps"] = {"mean": jnp.zeros((len(groups), *blank.shape[1:]))}
        return params, variables | ({"margin": state} if state else {})

    def loss(
        params: PyTree, model_state: PyTree, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, Aux]:
        people, mask, epoch = batch[label], batch["mask"], batch["epoch"]
        members = mask & (batch[group] >= 0)
        images = preprocess(batch["image"])
        weights = without_discriminator(params)
        variables = dict(model_state)
        state, seen = variables.pop("margin", {}), variables.pop("maps")["mean"]
        first_key, second_key, head_key = jax.random.split(key, 3)

        def embed(offset: jax.Array) -> tuple[Any, jax.Array]:
            output, moved, activations = network.train(
                weights, variables, images, first_key, offset
            )
            return (*output, moved), activations

        def target_cosine(output: Any) -> jax.Array:
            embeddings, kernel, _ = output
            own = jax.lax.stop_gradient(unit(kernel[jnp.clip(people, 0, classes - 1)]).direction)
            return jnp.where(mask, (embeddings.direction * own).sum(axis=1), 0.0)

        like = jax.eval_shape(network.train, weights, variables, images, first_key)[2]
        output, activations, gradient = with_map(embed, target_cosine, like)
        embeddings, kernel, moved = output
        maps = attention_map(activations, gradient, kind=attention, second_order=second_order)

        def identify(embeddings: Any, kernel: jax.Array, state: PyTree) -> Any:
            return class_losses(
                head,
                kernel,
                embeddings,
                people,
                mask,
                state,
                head_key,
                margin=margin,
                penalty=None,
                classes=classes,
            )

        outcome = identify(embeddings, kernel, state)
        state = outcome.state
        inside = (people >= 0) & (people < classes)
        total, count = masked_sum(jnp.where(inside, outcome.loss, jnp.nan), mask)
        value = total / jnp.maximum(count, 1.0)

        ramp = jnp.clip(epoch / adversary_ramp_epochs, 0, 1) if adversary_ramp_epochs else 1.0
        strength = adversary_weight * ramp
        adversarial, logits = confuse(
            lambda weights, maps: discriminator.apply({"params": weights}, maps),
            params["discriminator"],
            maps,
            batch[group],
            adversary=adversary,
            strength=strength,
            anchor=anchor,
        )
        adversarial_sum, known = masked_sum(jnp.where(members, adversarial, 0.0), members)
        value += adversarial_sum / jnp.maximum(known, 1.0)

        scalars = {
            "loss_identity": (total, count),
            "target_cosine": masked_sum(outcome.target, mask),
            "adversary_strength": (jnp.float32(strength), jnp.float32(1)),
            "discriminator_accuracy": masked_sum(
                (logits.argmax(axis=1) == batch[group]).astype(jnp.float32), members
            ),
            **group_scalars("map_entropy", entropy(maps), batch[group], mask, groups),
        }
        distance, present = distance_to_reference(
            maps, batch[group], mask, groups=len(groups), reference=anchor
        )
        scalars |= {
            f"map_distance_{name}": (distance[i], present[i].astype(jnp.float32))
            for i, name in enumerate(groups)
            if i != anchor
        }

        if erase_regions and erase_weight:

            def erased(moved: PyTree) -> tuple[jax.Array, PyTree]:
                covered, offset = images, None
                if erase_where == "input":
                    covered = erase_top(images, maps, regions=erase_regions)
                else:
                    offset = erase_top(activations, maps, regions=erase_regions) - activations
                (embeddings, kernel), moved, _ = network.train(
                    weights, moved, covered, second_key, offset
                )
                return masked_sum(identify(embeddings, kernel, state).loss, mask)[0], moved

            def untouched(moved: PyTree) -> tuple[jax.Array, PyTree]:
                return jnp.float32(0), moved

            erased_sum, moved = jax.lax.cond(epoch >= erase_after_epochs, erased, untouched, moved)
            value += erase_weight * erased_sum / jnp.maximum(count, 1.0)
            scalars["loss_erased"] = (erased_sum, count * (epoch >= erase_after_epochs))
        scalars["loss"] = (value * count, count)
        seen = running_mean_maps(seen, maps, batch[group], mask)
        moved = {**moved, "maps": {"mean": seen}} | ({"margin": state} if state else {})
        return value, Aux(moved, jax.lax.stop_gradient(scalars))

    def pictures(variables: PyTree, images: jax.Array) -> dict[str, jax.Array]:
        """Faces, where the network finds their likeliest person, and each group's mean map."""
        seen = variables["maps"]["mean"]
        maps = network.likeliest_maps(variables, preprocess(images), seen.shape, kind=attention)
        grey = jnp.full((len(groups), *images.shape[1:]), 128, jnp.uint8)
        return {
            "face": images,
            f"attention ({attention})": overlay(images, maps),
            f"mean attention in training: {', '.join(groups)}": overlay(grey, seen),
        }

    return Method(
        init,
        loss,
        embedding_predictor(model, preprocess, tta, drop=("discriminator",)),
        pictures,
        split={"head/kernel": head.partition},
        own_optimizers={"discriminator": lambda schedule: optax.adam(discriminator_lr)},
    )


class _Watched(NamedTuple):
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
