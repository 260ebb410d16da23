"""One loss a row from class weights that may lie in shards, be walked in chunks, or be sampled.

A row needs of all classes no more than its own cosine, the log-sum-exp of the others, and what a
penalty sums over them; see `fairjax.losses`. All three add up over shards and chunks, so no device
ever holds the cosines of the global batch with every class.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from fairjax.core.types import MODEL_AXIS
from fairjax.heads.head import Head
from fairjax.heads.sample import draw
from fairjax.heads.shard import Reduce, Shard, Terms, split_cosines
from fairjax.heads.stream import streamed
from fairjax.losses import (
    FprPenalty,
    Margin,
    Penalty,
    TwoSided,
    fpr_penalty,
    nontarget_logsumexp,
    softmax_loss,
)
from fairjax.losses.margin import Mask, Rows, State
from fairjax.losses.shards import Axis, own_copy, shard_number, total
from fairjax.models.cosine_head import Unit


class HeadOutput(NamedTuple):
    """What the head makes of a batch.

    Attributes:
      loss: Loss of each row, in nats.
      target: Cosine of each row with its own class.
      penalty: What the FPR penalty did, if there is one.
      state: State of the margin, for the next step.
      through_embedding: Equal to `target`; its gradient does not reach the class weights.
      margined: Target cosine after the margin and the penalty.
      logsumexp: Log of the sum of exp(scale * cosine) over the other classes.
      regulariser: What the margin adds to the loss of each row.
    """

    loss: Rows
    target: Rows
    penalty: Penalty | None
    state: State
    through_embedding: Rows
    margined: Rows
    logsumexp: Rows
    regulariser: Rows

    def lowered(self, shift: Rows, *, scale: float) -> Rows:
        """The loss of each row where `margined` is lowered by `shift` besides."""
        return softmax_loss(self.margined - shift, self.logsumexp, scale=scale) + self.regulariser


def class_losses(
    head: Head,
    kernel: jax.Array,
    embeddings: Unit,
    labels: jax.Array,
    mask: Mask,
    state: State,
    key: jax.Array,
    *,
    margin: Margin,
    penalty: FprPenalty | None,
    classes: int,
) -> HeadOutput:
    """Margin losses of a batch, on the mesh that `jax.set_mesh` has set; without one, in one shard.

    Args:
      head: How the weights lie and are walked.
      kernel: Class weights [head.rows(classes), dim], of any length.
      embeddings: Embeddings of the global batch.
      labels: [batch], class numbers; the loss of a number outside [0, classes) means nothing.
      mask: False on padding.
      state: The margin's, as the last step left it.
      key: For the sample.
      margin: What becomes of the cosines.
      penalty: Lowers the target cosines of rows with false positives.
      classes: How many there are; further rows of the kernel count for nothing.

    Raises:
      ValueError: If the penalty is to be made of a sample.
    """
    if penalty and head.name == "sampled":
        raise ValueError(
            "head.name='sampled' leaves out cosines that the FPR penalty counts; "
            "use 'streamed', 'sharded' or 'dense'."
        )
    rows = partial(_rows, head, margin=margin, penalty=penalty, classes=classes)
    arguments = kernel, embeddings, labels, mask, dict(state), key
    if head.name == "dense" or jax.sharding.get_abstract_mesh().empty:
        return rows(*arguments, axis=None)
    whole = PartitionSpec()
    spread = jax.shard_map(
        partial(rows, axis=MODEL_AXIS),
        in_specs=(head.partition, *(whole for _ in arguments[1:])),
        out_specs=whole,
    )
    return spread(*arguments)


def _rows(
    head: Head,
    kernel: jax.Array,
    embeddings: Unit,
    labels: jax.Array,
    mask: Mask,
    state: State,
    key: jax.Array,
    *,
    margin: Margin,
    penalty: FprPenalty | None,
    classes: int,
    axis: Axis,
) -> HeadOutput:
    """`class_losses` on one shard."""
    number, rows = shard_number(axis), len(kernel)
    local_label = labels - number * rows
    local_label = jnp.where((local_label >= 0) & (local_label < rows), local_label, rows)
    counted = jnp.ones(rows, bool)  # which XLA drops, where all do
    if head.name != "dense":
        counted = number * rows + jnp.arange(rows) < classes
    shard = Shard(kernel, local_label, counted)
    if head.name == "sampled":
        size = max(2, int(head.rate * rows))  # some class besides a row's own
        shard = draw(shard, size, jax.random.fold_in(key, number))
    terms = Terms(margin=margin, penalty=penalty, classes=classes, axis=axis)
    direction = own_copy(embeddings.direction, axis)
    if head.name == "streamed":
        target, reduce = streamed(shard, direction, terms, chunk=head.chunk)
    else:
        target, reduce = at_once(shard, direction, terms)
    cosine = total(target.both, axis)
    state = margin.moved(state, cosine, embeddings.length, mask)
    margined = margin.target(cosine, embeddings.length, state)
    logsumexp, penalised = reduce(margined, state, mask)
    margined = margined - penalised.shift if penalised else margined
    regulariser = margin.regulariser(embeddings.length)
    loss = softmax_loss(margined, logsumexp, scale=margin.scale) + regulariser
    return HeadOutput(
        loss,
        cosine,
        penalised,
        state,
        through_embedding=total(target.through_embedding, axis),
        margined=margined,
        logsumexp=logsumexp,
        regulariser=regulariser,
    )


def at_once(shard: Shard, embedding: jax.Array, terms: Terms) -> tuple[TwoSided, Reduce]:
    """The own class's cosines, as far as it is here, and how to reduce the others, in one array."""
    target, others = split_cosines(shard, embedding)

    def reduce(margined: Rows, state: State, mask: Mask) -> tuple[Rows, Penalty | None]:
        logsumexp = nontarget_logsumexp(
            terms.margin.nontarget(others.both, margined, state),
            scale=terms.margin.scale,
            axis=terms.axis,
        )
        if not terms.penalty:
            return logsumexp, None
        own = TwoSided(*total(target, terms.axis))
        penalised = fpr_penalty(
            terms.penalty, others, own, margined, mask, classes=terms.classes, axis=terms.axis
        )
        return logsumexp, penalised

    return target, reduce
