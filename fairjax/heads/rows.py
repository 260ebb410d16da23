"""One loss a row from class weights that may lie in shards, be walked in chunks, or be sampled.

A row needs of all classes no more than its own cosine, the log-sum-exp of the others, and what a
penalty sums over them; see `fairjax.losses`. All three add up over shards and chunks, so no device
ever holds the cosines of the global batch with every class.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec

from fairjax.heads.kinds import Dense, Sampled, Streamed
from fairjax.heads.sample import draw, sampled_classes
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
from fairjax.losses.margin import Rows, State
from fairjax.losses.shards import Axis, own_copy, shard_number, total
from fairjax.models.cosine_head import Unit
from fairjax.types import MODEL_AXIS


class Outcome(NamedTuple):
    """What the head makes of a batch.

    Attributes:
      loss: [batch], nats.
      target: [batch], the cosines with the own class.
      penalty: What the FPR penalty did, if there is one.
      state: The margin's, for the next step.
      moved: [weights] bool, False on the classes that took no part.
    """

    loss: jax.Array
    target: jax.Array
    penalty: Penalty | None
    state: State
    moved: jax.Array


def class_losses(
    head: Dense,
    kernel: jax.Array,
    embeddings: Unit,
    labels: jax.Array,
    mask: jax.Array,
    state: State,
    key: jax.Array,
    *,
    margin: Margin,
    penalty: FprPenalty | None,
    classes: int,
) -> Outcome:
    """Margin losses of a batch, on whatever mesh `jax.set_mesh` has set.

    Args:
      head: How the weights lie and are walked.
      kernel: Class weights [head.weights(classes), dim], of any length.
      embeddings: Of the global batch.
      labels: [batch], class numbers; the loss of a number outside [0, classes) means nothing.
      mask: [batch], False on padding.
      state: The margin's, as the last step left it.
      key: For the sample.
      margin: What becomes of the cosines.
      penalty: Lowers the target cosines of rows with false positives.
      classes: How many there are; further rows of the kernel count for nothing.
    """
    rows = partial(_rows, head, margin=margin, penalty=penalty, classes=classes)
    mesh = jax.sharding.get_abstract_mesh()
    arguments = kernel, embeddings, labels, mask, dict(state), key
    if mesh.empty or head.partition == PartitionSpec():
        return rows(*arguments, axis=None)
    whole = PartitionSpec()
    return jax.shard_map(
        partial(rows, axis=MODEL_AXIS),
        mesh=mesh,
        in_specs=(head.partition, *(whole for _ in arguments[1:])),
        out_specs=Outcome(whole, whole, whole, whole, moved=PartitionSpec(MODEL_AXIS)),
    )(*arguments)


def _rows(
    head: Dense,
    kernel: jax.Array,
    embeddings: Unit,
    labels: jax.Array,
    mask: jax.Array,
    state: State,
    key: jax.Array,
    *,
    margin: Margin,
    penalty: FprPenalty | None,
    classes: int,
    axis: Axis,
) -> Outcome:
    """`class_losses` on one shard."""
    number, rows = shard_number(axis), len(kernel)
    place = labels - number * rows
    place = jnp.where((place >= 0) & (place < rows), place, rows)
    shard = Shard(kernel, place, number * rows + jnp.arange(rows) < classes)
    moved = jnp.ones_like(shard.counted)
    if isinstance(head, Sampled):
        shards = 1 if axis is None else lax.axis_size(axis)
        if penalty and head.size(rows) < min(rows, len(labels)):
            raise ValueError(...)
        classes = sampled_classes(classes, rows, head.size(rows), shards)
        shard, moved = draw(shard, head.size(rows), jax.random.fold_in(key, number))
    terms = Terms(margin=margin, penalty=penalty, classes=classes, axis=axis)
    direction = own_copy(embeddings.direction, axis)
    if isinstance(head, Streamed):
        target, reduce = streamed(shard, direction, terms, chunk=head.chunk)
    else:
        target, reduce = at_once(shard, direction, terms)
    cosine = total(target.both, axis)
    state = margin.moved(state, cosine, embeddings.length, mask)
    margined = margin.target(cosine, embeddings.length, state)
    logsumexp, penalised = reduce(margined, state, mask)
    shift = penalised.shift if penalised else 0.0
    loss = softmax_loss(margined - shift, logsumexp, scale=margin.scale)
    loss += margin.regulariser(embeddings.length)
    return Outcome(loss, cosine, penalised, state, moved)


def at_once(shard: Shard, embedding: jax.Array, terms: Terms) -> tuple[TwoSided, Reduce]:
    """The own class's cosines, as far as it is here, and how to reduce the others, in one array."""
    target, others = split_cosines(shard, embedding)

    def reduce(margined: Rows, state: State, mask: jax.Array) -> tuple[Rows, Penalty | None]:
        logsumexp = nontarget_logsumexp(
            terms.margin.nontarget(others.both, margined, state),
            scale=terms.margin.scale,
            axis=terms.axis,
        )
        if not terms.penalty:
            return logsumexp, None
        own = TwoSided(*total(target, terms.axis))
        return logsumexp, fpr_penalty(
            terms.penalty, others, own, margined, mask, classes=terms.classes, axis=terms.axis
        )

    return target, reduce
