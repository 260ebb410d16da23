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
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from fairjax.core.types import Aux, Batch, Method, PyTree, Target
from fairjax.heads import Head, MarginLoss
from fairjax.losses import CosFace, Margin, masked_sum
from fairjax.methods.checks import check_range, check_word
from fairjax.methods.groups import group_scalars, require_groups
from fairjax.methods.map_adversary import Adversary, MapAdversary
from fairjax.methods.margin_softmax import MarginModel, Scalars, count_classes, embedding_predictor
from fairjax.methods.watched import WatchedModel, without_discriminator
from fairjax.models.attention_map import (
    MapKind,
    attention_map,
    distance_to_reference,
    entropy,
    erase_top,
    overlay,
    running_mean_maps,
    with_map,
)
from fairjax.models.cosine_head import Unit, unit
from fairjax.models.discriminator import MapDiscriminator


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
    for name, value in (
        ("adversary_weight", adversary_weight),
        ("adversary_ramp_epochs", adversary_ramp_epochs),
        ("erase_regions", erase_regions),
        ("erase_after_epochs", erase_after_epochs),
    ):
        check_range(value >= 0, name, value, "0 or more")
    check_word("adversary", adversary, ("reversal", "uniform", "to_reference"))
    check_word("attention", attention, ("gradcam", "abs_grad", "grad_x_input"))
    check_word("erase_where", erase_where, ("input", "map"))
    classes = count_classes(targets, label)
    gabn = _Gabn(
        network=WatchedModel(MarginModel(backbone, classes, head.rows(classes)), layer),
        preprocess=preprocess,
        identify=MarginLoss(head, margin, classes),
        label=label,
        group=group,
        groups=groups,
        attention=attention,
        second_order=second_order,
        adversary=MapAdversary(
            discriminator=MapDiscriminator(len(groups)),
            kind=adversary,
            weight=adversary_weight,
            ramp_epochs=adversary_ramp_epochs,
            anchor=groups.index(reference) if reference else 0,
        ),
        erasing=_Erasing(erase_regions, erase_weight, erase_after_epochs, erase_where),
    )
    predict = embedding_predictor(gabn.network.model, preprocess, tta, drop=("discriminator",))
    return Method(
        gabn.init,
        gabn.loss,
        predict,
        gabn.pictures,
        split={"head/kernel": head.partition},
        own_optimizers={"discriminator": lambda schedule: optax.adam(discriminator_lr)},
    )


class _Attended(NamedTuple):
    """A forward pass in training, with where it looks.

    Attributes:
      embeddings: Embeddings of the batch.
      kernel: Class weights.
      moved: What the forward pass moves.
      activations: Activations of the watched layer [batch, rows, columns, channels].
      maps: Attention maps [batch, rows, columns].
    """

    embeddings: Unit
    kernel: jax.Array
    moved: PyTree
    activations: jax.Array
    maps: jax.Array


class _Erasing(NamedTuple):
    """Which regions are erased, and how much the loss on erased images weighs.

    Attributes:
      regions: Positions of the map that are erased; 0 turns erasing off.
      weight: Weight of the loss on erased images.
      after_epochs: Epochs before erasing starts.
      where: Whether pixels of the image or activations of the layer are erased.
    """

    regions: int
    weight: float
    after_epochs: float
    where: Literal["input", "map"]

    def erase(self, images: jax.Array, attended: _Attended) -> tuple[jax.Array, jax.Array | None]:
        """Images without the regions, or what is added to the layer's activations instead."""
        if self.where == "input":
            return erase_top(images, attended.maps, regions=self.regions), None
        erased = erase_top(attended.activations, attended.maps, regions=self.regions)
        return images, erased - attended.activations


@dataclass(frozen=True)
class _Gabn:
    """Networks and settings of GABN-style training; its methods are the steps.

    Attributes:
      network: Backbone and class weights, whose maps are watched.
      preprocess: Function from uint8 images to the backbone's input.
      identify: Margin softmax of the people.
      label: Attribute of the people.
      group: Attribute of the groups.
      groups: Names of the groups.
      attention: Form of the map.
      second_order: Whether the gradient passes through the map's own gradient.
      adversary: Discriminator of the groups, and what is wanted of it.
      erasing: Which regions are erased, and when.
    """

    network: WatchedModel
    preprocess: Callable[[jax.Array], jax.Array]
    identify: MarginLoss
    label: str
    group: str
    groups: tuple[str, ...]
    attention: MapKind
    second_order: bool
    adversary: MapAdversary
    erasing: _Erasing

    def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
        """Parameters and state of the margin model, the discriminator and the mean maps."""
        model_key, map_key = jax.random.split(key)
        images = self.preprocess(batch["image"])
        variables = dict(self.network.model.init(model_key, images, train=False))
        params = variables.pop("params")
        activations = jax.eval_shape(self.network.train, params, variables, images, key)[2]
        positions = activations.shape[1] * activations.shape[2]
        if self.erasing.regions >= positions:
            raise ValueError(
                f"config.method.erase_regions={self.erasing.regions} must be below the {positions} "
                f"positions of the map {self.network.layer!r}; lower it, or raise "
                "config.input.image_size."
            )
        blank = jnp.zeros(activations.shape[:3])
        discriminator = self.adversary.discriminator.init(map_key, blank)
        params = {**params, "discriminator": discriminator["params"]}
        state = self.identify.margin.init_state()
        variables["maps"] = {"mean": jnp.zeros((len(self.groups), *blank.shape[1:]))}
        return params, variables | ({"margin": state} if state else {})

    def loss(
        self, params: PyTree, model_state: PyTree, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, Aux]:
        """Recognise people; make the groups' maps alike; recognise people without their regions."""
        mask, images = batch["mask"], self.preprocess(batch["image"])
        members = mask & (batch[self.group] >= 0)
        weights, variables = without_discriminator(params), dict(model_state)
        state, mean_maps = variables.pop("margin", {}), variables.pop("maps")["mean"]
        first_key, second_key, head_key = jax.random.split(key, 3)

        attended = self.attend(weights, variables, images, batch, first_key)
        people = batch[self.label]
        identified = self.identify(
            attended.kernel, attended.embeddings, people, mask, state, head_key
        )
        state = identified.state
        total, count = self.identify.summed(identified.loss, people, mask)
        value = total / jnp.maximum(count, 1.0)

        adversarial, logits = self.adversary.losses(
            params["discriminator"], attended.maps, batch[self.group], batch["epoch"]
        )
        adversarial_sum, known = masked_sum(jnp.where(members, adversarial, 0.0), members)
        value += adversarial_sum / jnp.maximum(known, 1.0)

        scalars = {
            "loss_identity": (total, count),
            "target_cosine": masked_sum(identified.target, mask),
            **self.map_scalars(attended.maps, logits, batch, members),
        }
        moved = attended.moved
        if self.erasing.regions and self.erasing.weight:
            is_due = batch["epoch"] >= self.erasing.after_epochs

            def erased(moved: PyTree) -> tuple[jax.Array, PyTree]:
                covered, offset = self.erasing.erase(images, attended)
                (embeddings, kernel), moved, _ = self.network.train(
                    weights, moved, covered, second_key, offset
                )
                output = self.identify(kernel, embeddings, people, mask, state, head_key)
                return masked_sum(output.loss, mask)[0], moved

            def untouched(moved: PyTree) -> tuple[jax.Array, PyTree]:
                return jnp.float32(0), moved

            erased_sum, moved = jax.lax.cond(is_due, erased, untouched, moved)
            value += self.erasing.weight * erased_sum / jnp.maximum(count, 1.0)
            scalars["loss_erased"] = (erased_sum, count * is_due)
        scalars["loss"] = (value * count, count)
        mean_maps = running_mean_maps(mean_maps, attended.maps, batch[self.group], mask)
        moved = {**moved, "maps": {"mean": mean_maps}} | ({"margin": state} if state else {})
        return value, Aux(moved, jax.lax.stop_gradient(scalars))

    def attend(
        self, weights: PyTree, variables: PyTree, images: jax.Array, batch: Batch, key: jax.Array
    ) -> _Attended:
        """The forward pass, and the map of each image's cosine with its own person."""
        people, mask = batch[self.label], batch["mask"]
        last = self.network.model.classes - 1

        def embed(offset: jax.Array) -> tuple[Any, jax.Array]:
            output, moved, activations = self.network.train(weights, variables, images, key, offset)
            return (*output, moved), activations

        def target_cosine(output: Any) -> jax.Array:
            embeddings, kernel, _ = output
            own = jax.lax.stop_gradient(unit(kernel[jnp.clip(people, 0, last)]).direction)
            return jnp.where(mask, (embeddings.direction * own).sum(axis=1), 0.0)

        like = jax.eval_shape(self.network.train, weights, variables, images, key)[2]
        (embeddings, kernel, moved), activations, gradient = with_map(embed, target_cosine, like)
        maps = attention_map(
            activations, gradient, kind=self.attention, second_order=self.second_order
        )
        return _Attended(embeddings, kernel, moved, activations, maps)

    def map_scalars(
        self, maps: jax.Array, logits: jax.Array, batch: Batch, members: jax.Array
    ) -> Scalars:
        """What is logged of the maps: how well groups are told by them, and how far they lie."""
        group, anchor = batch[self.group], self.adversary.anchor
        distance, present = distance_to_reference(
            maps, group, batch["mask"], groups=len(self.groups), reference=anchor
        )
        right = (logits.argmax(axis=1) == group).astype(jnp.float32)
        return {
            "adversary_strength": (
                jnp.float32(self.adversary.strength(batch["epoch"])),
                jnp.float32(1),
            ),
            "discriminator_accuracy": masked_sum(right, members),
            **group_scalars("map_entropy", entropy(maps), group, batch["mask"], self.groups),
            **{
                f"map_distance_{name}": (distance[i], present[i].astype(jnp.float32))
                for i, name in enumerate(self.groups)
                if i != anchor
            },
        }

    def pictures(self, variables: PyTree, images: jax.Array) -> dict[str, jax.Array]:
        """Faces, where the network finds their likeliest person, and each group's mean map."""
        mean_maps = variables["maps"]["mean"]
        maps = self.network.likeliest_maps(
            variables, self.preprocess(images), mean_maps.shape, kind=self.attention
        )
        grey = jnp.full((len(self.groups), *images.shape[1:]), 128, jnp.uint8)
        return {
            "face": images,
            f"attention ({self.attention})": overlay(images, maps),
            f"mean attention in training: {', '.join(self.groups)}": overlay(grey, mean_maps),
        }
