"""GAC: kernels and channel attention that depend on the demographic group of the face.

A margin softmax on a network whose convolutions are weighed by a mask of the image's group. Layers
in which the groups' masks stay alike are fused. The group comes from the label or from a classifier
that is trained beside the network, in evaluation too.

Source: Gong, Liu, Jain 2021 (CVPR, arXiv 2006.07576), and the authors' program. Differs from it in:
fusion is first checked after `first_check` epochs, since masks start equal and any check before
they part would fuse every layer.
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from fairjax.core.types import Aux, Batch, Method, PyTree, Target
from fairjax.heads import Head, class_losses
from fairjax.losses import ArcFace, Margin, cross_entropy, masked_sum
from fairjax.losses.group_adaptive import attention_loss, mask_distance, spread_gap
from fairjax.methods.cosine_margin import count_classes
from fairjax.methods.groups import require_groups
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
    for name, value, known in (
        ("group_from", group_from, ("label", "classifier")),
        ("fusion", fusion, ("off", "resync", "permanent")),
        ("tta", tta, ("sum", "none")),
    ):
        if value not in known:
            raise ValueError(
                f"config.method.{name}={value!r} is not known; known: {', '.join(known)}."
            )
    if first_check < 1 or check_every < 1:
        raise ValueError("config.method.first_check and check_every must be 1 or more.")
    if not -1 <= tau <= 1:
        raise ValueError(f"config.method.tau={tau} must be in [-1, 1].")
    classes = count_classes(targets, label)
    classifier = None
    if group_from == "classifier":
        classifier = GacNet(depth=18, width=16, dim=len(groups), dropout=0.0)
    net = backbone.clone(groups=len(groups))
    model = AdaptiveModel(net, classes, head.rows(classes), classifier)

    def known_group(batch: Batch) -> jax.Array:
        return jnp.maximum(batch[group], 0)

    def init(key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
        images = preprocess(batch["image"])
        blank = jnp.zeros(len(images), jnp.int32)
        variables = dict(model.init(key, images, blank, train=False))
        variables.pop("intermediates", None)
        state = margin.init_state()
        return variables.pop("params"), variables | ({"margin": state} if state else {})

    def group_of(variables: PyTree, images: jax.Array, batch: Batch) -> jax.Array:
        """Each image's group: its label's, or what the classifier takes it for."""
        if classifier is None:
            return known_group(batch)
        logits: Any = model.apply(variables, images, train=False, method="group_logits")
        return jax.lax.stop_gradient(jnp.argmax(logits, axis=1))

    def loss(
        params: PyTree, model_state: PyTree, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, Aux]:
        people, mask = batch[label], batch["mask"]
        images, variables = preprocess(batch["image"]), dict(model_state)
        state = variables.pop("margin", {})
        who = group_of({"params": params, **variables}, images, batch)
        who = jnp.where(mask, who, 0)  # what padding is taken for changes no batch statistic
        (embeddings, kernel, features, logits), moved = model.apply(
            {"params": params, **variables},
            images,
            who,
            train=True,
            mutable=[*variables, "intermediates"],
            rngs={"dropout": key},
        )
        moved = dict(moved)
        sown = flatten_dict(moved.pop("intermediates"))
        gains = [value[0] for path, value in sown.items() if path[-1] == "attention"]
        output = class_losses(
            head,
            kernel,
            embeddings,
            people,
            mask,
            state,
            key,
            margin=margin,
            penalty=None,
            classes=classes,
        )
        if state:
            moved["margin"] = output.state
        total, count = masked_sum(output.loss, mask)
        value, one = total / jnp.maximum(count, 1.0), jnp.float32(1)
        alike = attention_loss(gains)
        gap = spread_gap(
            features.astype(jnp.float32), people, batch[group], mask, groups=len(groups)
        )
        some = (count > 0).astype(jnp.float32)  # a batch without a row teaches nothing
        value += some * (attention_weight * alike + spread_weight * gap)
        scalars = {
            "loss_identity": (total, count),
            "target_cosine": masked_sum(output.target, mask),
            "attention_loss": (alike, one),
            "spread_gap": (gap, one),
            **mask_scalars(params, model_state),
        }
        if logits is not None:
            members = mask & (batch[group] >= 0)
            values = cross_entropy(logits, known_group(batch), label_smoothing=0.0)
            wrong, labelled = masked_sum(values, members)
            value += wrong / jnp.maximum(labelled, 1.0)
            right = (logits.argmax(axis=1) == batch[group]).astype(jnp.float32)
            scalars |= {
                "loss_group": (wrong, labelled),
                "group_accuracy": masked_sum(right, members),
            }
        scalars["loss"] = (value * count, count)
        return value, Aux(moved, jax.lax.stop_gradient(scalars))

    def after_epoch(params: PyTree, model_state: PyTree, epoch: jax.Array) -> tuple[PyTree, PyTree]:
        due = (epoch >= first_check) & ((epoch - first_check) % check_every == 0)
        flat = flatten_dict(params)
        shared = flatten_dict(model_state["fusion"])
        for path, masks in flat.items():
            if path[-1] != "masks":
                continue
            mark = (*path[:-1], "shared")
            # Once fused, one mask is trained and the others are stale: no mean with them.
            alike = due & ~shared[mark] & (mask_distance(masks) <= tau)
            mean = jnp.broadcast_to(masks.mean(axis=0, keepdims=True), masks.shape)
            flat[path] = jnp.where(alike, mean, masks)
            if fusion == "permanent":
                shared[mark] = shared[mark] | alike
        return unflatten_dict(flat), {**model_state, "fusion": unflatten_dict(shared)}

    def predict(variables: PyTree, batch: Batch) -> dict[str, jax.Array]:
        images = preprocess(batch["image"])
        variables = {name: tree for name, tree in variables.items() if name != "margin"}
        who = group_of(variables, images, batch)

        def embed(images: jax.Array) -> Any:
            return model.apply(variables, images, who, train=False, method="embed")

        embedding = embed(images)
        if tta == "sum":
            embedding = embedding + embed(images[:, :, ::-1])
        return {"embedding": unit(embedding).direction}

    return Method(
        init,
        loss,
        predict,
        split={"head/kernel": head.partition},
        after_epoch=None if fusion == "off" else after_epoch,
    )


def mask_scalars(params: PyTree, model_state: PyTree) -> dict[str, tuple[jax.Array, jax.Array]]:
    """Mean cosine between the groups' masks over layers, and the share of fused layers."""
    flat, shared = flatten_dict(params), flatten_dict(model_state["fusion"])
    distances = [mask_distance(masks) for path, masks in flat.items() if path[-1] == "masks"]
    fused = [value.astype(jnp.float32) for value in shared.values()]
    count = jnp.float32(len(distances))
    return {
        "mask_cosine": (-sum(distances, jnp.float32(0)), count),
        "fused_layers": (sum(fused, jnp.float32(0)), count),
    }
