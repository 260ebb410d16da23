"""RL-RBN-style: a margin for each group, which an agent trained by Q-learning moves.

Between epochs the agent looks at how tight the people of each group lie and how far apart, next to
the reference group, and keeps, raises or lowers the group's margin. The agent is learned before, by
`fairjax margins`, on short trainings. Training needs group labels.

Source: Wang and Deng 2020 (CVPR, arXiv 1911.10692), its abstract; no program was found. State,
actions and the small Q-network follow a recollection of the paper. Ours are: all numbers; class
weights as centres; buckets of the biases; the file, which is the network's values in a table.
"""

from collections.abc import Callable, Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from fairjax.core.types import Method, PyTree, Target
from fairjax.heads import Head
from fairjax.losses import CosFace, Margin
from fairjax.methods.checks import check_range
from fairjax.methods.groups import require_groups
from fairjax.methods.margin_softmax import (
    Extended,
    Extension,
    MarginSoftmax,
    MarginView,
    margin_method,
    one_margin,
)
from fairjax.models.group_scatter import biases, without_counts
from fairjax.models.margin_policy import greedy, make_states, read_policy

EDGES = (0.01, 0.02, 0.04, 0.08)


def build(
    *,
    backbone: nn.Module,
    targets: Mapping[str, Target],
    preprocess: Callable[[jax.Array], jax.Array],
    label: str = "identity",
    group: str = "group",
    reference: str = "",
    margin: Margin = CosFace(),  # noqa: B008  frozen
    head: Head = Head(),  # noqa: B008  frozen
    tta: str = "sum",
    policy: str = "",
    every_epochs: int = 1,
    lowest: float = 0.2,
    highest: float = 0.6,
    step: float = 0.05,
    edges: Sequence[float] = EDGES,
) -> Method:
    """Margin softmax with a margin for each group.

    Args:
      backbone: From images to embeddings [batch, dim].
      targets: What the dataset offers.
      preprocess: uint8 images to the backbone's input.
      label: Attribute whose values are the people of the training split.
      group: Attribute whose groups have margins; images without a label get the reference's.
      reference: Group whose margin stays; "" is the first.
      margin: Margin at the start, and of the reference group for good: "cosface" or "arcface".
      head: How the class weights lie over devices, and are walked.
      tta: What "embedding" is made of; see `cosine_margin.build`.
      policy: File that `fairjax margins` wrote; "" leaves all margins as they start.
      every_epochs: Epochs between two moves, 1 or more.
      lowest: Smallest margin, 0 or more and at most the start; for ArcFace set 0.3.
      highest: Largest margin, at least the start; for ArcFace set 0.7.
      step: Size of a move, above 0.
      edges: Borders between buckets of a bias, rising.

    Raises:
      ValueError: If the data has no such groups, a setting is out of range, or the policy was
        learned with other settings.
    """
    base = one_margin(margin)
    states = make_states(
        require_groups(targets, group),
        reference=reference,
        margin=type(base).__name__.lower(),
        start=base.margin,
        lowest=lowest,
        highest=highest,
        step=step,
        edges=edges,
    )
    check_range(every_epochs >= 1, "every_epochs", every_epochs, "1 or more")
    softmax = MarginSoftmax(
        backbone, targets, preprocess, label=label, margin=margin, head=head, tta=tta
    )
    groups, classes = states.groups, softmax.classes
    table = read_policy(policy, states) if policy else None

    def start(key: jax.Array, dim: int) -> tuple[PyTree, PyTree]:
        del key, dim
        return {}, {
            "margins": jnp.full(len(groups), base.margin, jnp.float32),
            "cosines": jnp.zeros(classes, jnp.float32),
            "images": jnp.zeros(classes, jnp.float32),
            "group": jnp.full(classes, -1, jnp.int32),
        }

    def train_step(view: MarginView) -> Extended:
        state, output, mask = view.state, view.output, view.batch["mask"]
        who = view.batch[group]
        own = jnp.where(who >= 0, state["margins"][jnp.maximum(who, 0)], base.margin)
        row = jnp.where(mask, view.labels, classes)
        cosine = jax.lax.stop_gradient(output.target)
        single = jnp.float32(1)
        return Extended(
            shift=output.margined - base.target_at(output.target, own),
            scalars={
                f"margin_{name}": (state["margins"][i], single) for i, name in enumerate(groups)
            },
            state={
                "margins": state["margins"],
                "cosines": state["cosines"].at[row].add(cosine, mode="drop"),
                "images": state["images"].at[row].add(1.0, mode="drop"),
                "group": state["group"].at[row].max(who, mode="drop"),
            },
        )

    def after_epoch(kernel: jax.Array, state: PyTree, epoch: jax.Array) -> PyTree:
        assert table is not None
        bias = biases(kernel[:classes], state, groups=len(groups), anchor=states.anchor)
        action = greedy(table, states, state["margins"], bias.intra, bias.inter)
        action = jnp.where(bias.known, action, 0)
        moved = states.moved(state["margins"], action)
        margins = jnp.where(epoch % every_epochs == 0, moved, state["margins"])
        return {**without_counts(state), "margins": margins}

    return margin_method(
        softmax, extension=Extension(train_step, start, after_epoch if policy else None)
    )
