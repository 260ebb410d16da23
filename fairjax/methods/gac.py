"""GAC: kernels and channel attention that depend on the demographic group of the face.

A margin softmax on a network whose convolutions are weighed by a mask of the image's group. Layers
in which the groups' masks stay alike are fused. The group comes from the label or from a classifier
that is trained beside the network, in evaluation too.

Source: Gong, Liu, Jain 2021 (CVPR, arXiv 2006.07576), and the authors' program. Differs from it in:
fusion is first checked after `first_check` epochs, since masks start equal and any check before
they part would fuse every layer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from fairjax.core.types import Aux, Batch, Method, PyTree, Target
from fairjax.heads import Head, MarginLoss
from fairjax.losses import ArcFace, Margin, cross_entropy, masked_sum
from fairjax.losses.group_adaptive import attention_loss, mask_distance, spread_gap
from fairjax.methods.checks import check_range, check_word
from fairjax.methods.groups import require_groups
from fairjax.methods.margin_softmax import Scalars, count_classes
from fairjax.models.cosine_head import CosineHead, unit
from fairjax.models.gac import GacNet


class AdaptiveModel(nn.Module):
    """The adaptive network, the class weights, and the classifier of groups, if there is one.

    Attributes:
      net: Network that takes images and groups.
      classes: How many people.
      rows: Rows of the class weights, at least `classes`.
      classifier: Network from images to logits of the groups, or None.
    """

    net: nn.Module
    classes: int
    rows: int
    classifier: nn.Module | None

    def setup(self) -> None:
        self.backbone = self.net.clone(parent=None)
        self.head = CosineHead(self.classes, self.rows)

    def __call__(self, x: jax.Array, group: jax.Array, *, train: bool) -> Any:
        """Maps images and groups to embeddings, class weights and the classifier's logits."""
        embedding = self.backbone(x, group, train=train)
        return *self.head(embedding), embedding, self.group_logits(x, train=train)

    def group_logits(self, x: jax.Array, *, train: bool) -> jax.Array | None:
        """Logits of the groups [batch, groups]; None without a classifier."""
        return None if self.classifier is None else self.classifier(x, train=train)

    def embed(self, x: jax.Array, group: jax.Array, *, train: bool) -> jax.Array:
        """Maps images and groups to embeddings [batch, dim], of any length."""
        return self.backbone(x, group, train=train)


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    label: str = "identity",
    group: str = "group",
    group_from: str = "label",
    margin: Margin = ArcFace(),  # noqa: B008  frozen
    head: Head = Head(),  # noqa: B008  frozen
    attention_weight: float = 0.5,
    spread_weight: float = 0.0,
    fusion: str = "permanent",
    first_check: int = 5,
    check_every: int = 1,
    tau: float = -0.2,
    tta: str = "sum",
) -> Method:
    """GAC training.

    Args:
      backbone: A "gac" network; its number of groups is set here.
      targets: What the dataset offers.
      preprocess: uint8 images to the network's input.
      label: Attribute whose values are the people of the training split.
      group: Attribute whose groups have masks of their own.
      group_from: "label", or "classifier" to let a small network, trained on the labels, tell each
        image's group; images without a label go with the first group under "label".
      margin: The margin, one of MARGINS.
      head: How the class weights lie over devices, and are walked.
      attention_weight: Weight of the loss that keeps the groups' attention apart.
      spread_weight: Weight of the gap between the groups' spread within people.
      fusion: "off"; "resync" to set masks to their mean at each check where they are alike;
        "permanent" to use one mask for all groups from then on.
      first_check: Epochs before the first check, 1 or more.
      check_every: Epochs between checks, 1 or more.
      tau: Masks are alike where minus their mean cosine is at most this, in [-1, 1].
      tta: "sum" to add the mirror image's embedding, or "none".

    Raises:
      ValueError: If the data has no such groups, the backbone is no "gac", or a setting is out of
        range.
    """
    groups = require_groups(targets, group)
    if not isinstance(backbone, GacNet):
        raise ValueError("config.method.name='gac' needs config.backbone.name='gac'.")
    check_word("group_from", group_from, ("label", "classifier"))
    check_word("fusion", fusion, ("off", "resync", "permanent"))
    check_word("tta", tta, ("sum", "none"))
    check_range(first_check >= 1, "first_check", first_check, "1 or more")
    check_range(check_every >= 1, "check_every", check_every, "1 or more")
    check_range(-1 <= tau <= 1, "tau", tau, "in [-1, 1]")
    classes = count_classes(targets, label)
    classifier = None
    if group_from == "classifier":
        classifier = GacNet(depth=18, width=16, dim=len(groups), dropout=0.0)
    net = backbone.clone(groups=len(groups))
    gac = _Gac(
        model=AdaptiveModel(net, classes, head.rows(classes), classifier),
        preprocess=preprocess,
        identify=MarginLoss(head, margin, classes),
        label=label,
        group=group,
        groups=len(groups),
        attention_weight=attention_weight,
        spread_weight=spread_weight,
        adds_mirror=tta == "sum",
    )
    fuse = _Fusion(tau, first_check, check_every, is_permanent=fusion == "permanent")
    return Method(
        gac.init,
        gac.loss,
        gac.predict,
        split={"head/kernel": head.partition},
        after_epoch=None if fusion == "off" else fuse.after_epoch,
    )


@dataclass(frozen=True)
class _Gac:
    """Network and settings of GAC training; its methods are the steps.

    Attributes:
      model: Adaptive network, class weights and the classifier of groups.
      preprocess: Function from uint8 images to the network's input.
      identify: Margin softmax of the people.
      label: Attribute of the people.
      group: Attribute of the groups.
      groups: Number of groups.
      attention_weight: Weight of the loss that keeps the groups' attention apart.
      spread_weight: Weight of the gap between the groups' spread within people.
      adds_mirror: Whether a face's embedding has its mirror image's added.
    """

    model: AdaptiveModel
    preprocess: Callable[[jax.Array], jax.Array]
    identify: MarginLoss
    label: str
    group: str
    groups: int
    attention_weight: float
    spread_weight: float
    adds_mirror: bool

    def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
        """Parameters and state of the networks."""
        images = self.preprocess(batch["image"])
        blank = jnp.zeros(len(images), jnp.int32)
        variables = dict(self.model.init(key, images, blank, train=False))
        variables.pop("intermediates", None)
        state = self.identify.margin.init_state()
        return variables.pop("params"), variables | ({"margin": state} if state else {})

    def loss(
        self, params: PyTree, model_state: PyTree, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, Aux]:
        """Recognise people, keep the groups' attention apart, and tell groups where asked to."""
        people, mask = batch[self.label], batch["mask"]
        images, variables = self.preprocess(batch["image"]), dict(model_state)
        state = variables.pop("margin", {})
        who = self.group_of({"params": params, **variables}, images, batch)
        who = jnp.where(mask, who, 0)  # what padding is taken for changes no batch statistic
        (embeddings, kernel, features, logits), moved = self.model.apply(
            {"params": params, **variables},
            images,
            who,
            train=True,
            mutable=[*variables, "intermediates"],
            rngs={"dropout": key},
        )
        moved = dict(moved)
        sown = flatten_dict(moved.pop("intermediates"))
        output = self.identify(kernel, embeddings, people, mask, state, key)
        if state:
            moved["margin"] = output.state
        total, count = self.identify.summed(output.loss, people, mask)
        value, single = total / jnp.maximum(count, 1.0), jnp.float32(1)
        alike = attention_loss([v[0] for path, v in sown.items() if path[-1] == "attention"])
        gap = spread_gap(
            features.astype(jnp.float32), people, batch[self.group], mask, groups=self.groups
        )
        some = (count > 0).astype(jnp.float32)  # a batch without a row teaches nothing
        value += some * (self.attention_weight * alike + self.spread_weight * gap)
        scalars = {
            "loss_identity": (total, count),
            "target_cosine": masked_sum(output.target, mask),
            "attention_loss": (alike, single),
            "spread_gap": (gap, single),
            **mask_scalars(params, model_state),
        }
        if logits is not None:
            classified = self.classifier_scalars(logits, batch)
            wrong, labelled = classified["loss_group"]
            value += wrong / jnp.maximum(labelled, 1.0)
            scalars |= classified
        scalars["loss"] = (value * count, count)
        return value, Aux(moved, jax.lax.stop_gradient(scalars))

    def classifier_scalars(self, logits: jax.Array, batch: Batch) -> Scalars:
        """Loss and accuracy of the classifier of groups, as sums and counts."""
        members = batch["mask"] & (batch[self.group] >= 0)
        losses = cross_entropy(logits, self.labelled_group(batch), label_smoothing=0.0)
        right = (logits.argmax(axis=1) == batch[self.group]).astype(jnp.float32)
        return {
            "loss_group": masked_sum(losses, members),
            "group_accuracy": masked_sum(right, members),
        }

    def labelled_group(self, batch: Batch) -> jax.Array:
        """The group of each image by its label; the first where there is none."""
        return jnp.maximum(batch[self.group], 0)

    def group_of(self, variables: PyTree, images: jax.Array, batch: Batch) -> jax.Array:
        """The group of each image: its label's, or what the classifier takes it for."""
        if self.model.classifier is None:
            return self.labelled_group(batch)
        logits: Any = self.model.apply(variables, images, train=False, method="group_logits")
        return jax.lax.stop_gradient(jnp.argmax(logits, axis=1))

    def predict(self, variables: PyTree, batch: Batch) -> dict[str, jax.Array]:
        """Unit embeddings."""
        images = self.preprocess(batch["image"])
        variables = {name: tree for name, tree in variables.items() if name != "margin"}
        who = self.group_of(variables, images, batch)

        def embed(images: jax.Array) -> Any:
            return self.model.apply(variables, images, who, train=False, method="embed")

        embedding = embed(images)
        if self.adds_mirror:
            embedding = embedding + embed(images[:, :, ::-1])
        return {"embedding": unit(embedding).direction}


@dataclass(frozen=True)
class _Fusion:
    """When layers whose masks are alike are fused.

    Attributes:
      tau: Masks are alike where minus their mean cosine is at most this.
      first_check: Epochs before the first check.
      check_every: Epochs between checks.
      is_permanent: Whether one mask is used for all groups from then on.
    """

    tau: float
    first_check: int
    check_every: int
    is_permanent: bool

    def after_epoch(
        self, params: PyTree, model_state: PyTree, epoch: jax.Array
    ) -> tuple[PyTree, PyTree]:
        """Parameters and state with masks that are alike set to their mean."""
        since = epoch - self.first_check
        due = (epoch >= self.first_check) & (since % self.check_every == 0)
        flat = flatten_dict(params)
        shared = flatten_dict(model_state["fusion"])
        for path, masks in flat.items():
            if path[-1] != "masks":
                continue
            mark = (*path[:-1], "shared")
            # Once fused, one mask is trained and the others are stale: no mean with them.
            alike = due & ~shared[mark] & (mask_distance(masks) <= self.tau)
            mean = jnp.broadcast_to(masks.mean(axis=0, keepdims=True), masks.shape)
            flat[path] = jnp.where(alike, mean, masks)
            if self.is_permanent:
                shared[mark] = shared[mark] | alike
        return unflatten_dict(flat), {**model_state, "fusion": unflatten_dict(shared)}


def mask_scalars(params: PyTree, model_state: PyTree) -> Scalars:
    """Mean cosine between the groups' masks over layers, and the share of fused layers."""
    flat, shared = flatten_dict(params), flatten_dict(model_state["fusion"])
    distances = [mask_distance(masks) for path, masks in flat.items() if path[-1] == "masks"]
    fused = [value.astype(jnp.float32) for value in shared.values()]
    count = jnp.float32(len(distances))
    return {
        "mask_cosine": (-sum(distances, jnp.float32(0)), count),
        "fused_layers": (sum(fused, jnp.float32(0)), count),
    }
