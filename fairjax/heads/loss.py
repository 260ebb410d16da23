"""One loss a row from class weights that may lie in shards, be walked in chunks, or be sampled.

A row needs of all classes no more than its own cosine, the log-sum-exp of the others, and what a
penalty sums over them; see `fairjax.losses`. All three add up over shards and chunks, so no device
ever holds the cosines of the global batch with every class.
"""

from dataclasses import dataclass
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
    masked_sum,
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


@dataclass(frozen=True)
class MarginLoss:
    """A margin loss over many classes: the settings of a step's head, the same in every step.

    Attributes:
      head: How the class weights lie over devices, and are walked.
      margin: Margin of the softmax.
      classes: Number of classes; further rows of the class weights count for nothing.
      penalty: FPR penalty, which lowers the target cosines of rows with false positives; None adds
        nothing.

    Raises:
      ValueError: If the penalty is to be made of a sample.
    """

    head: Head
    margin: Margin
    classes: int
    penalty: FprPenalty | None = None

    def __post_init__(self) -> None:
        if self.penalty and self.head.name == "sampled":
            raise ValueError(
                "head.name='sampled' leaves out cosines that the FPR penalty counts; "
                "use 'streamed', 'sharded' or 'dense'."
            )

    def __call__(
        self,
        kernel: jax.Array,
        embeddings: Unit,
        labels: jax.Array,
        mask: Mask,
        state: State,
        key: jax.Array,
    ) -> HeadOutput:
        """Losses of a batch, on the mesh that `jax.set_mesh` has set; without one, in one shard.

        Args:
          kernel: Class weights [head.rows(classes), dim], of any length.
          embeddings: Embeddings of the global batch.
          labels: Class numbers [batch]; the loss of a number outside [0, classes) means nothing.
          mask: False on padding.
          state: State of the margin, as the last step left it.
          key: Key of the sample.
        """
        arguments = kernel, embeddings, labels, mask, dict(state), key
        if self.head.name == "dense" or jax.sharding.get_abstract_mesh().empty:
            return self._on_shard(*arguments, axis=None)
        whole = PartitionSpec()
        spread = jax.shard_map(
            partial(self._on_shard, axis=MODEL_AXIS),
            in_specs=(self.head.partition, *(whole for _ in arguments[1:])),
            out_specs=whole,
        )
        return spread(*arguments)

    def summed(self, losses: Rows, labels: jax.Array, mask: Mask) -> tuple[jax.Array, jax.Array]:
        """Sum of the losses of a batch, and how many rows count; NaN where a label is no class.

        Args:
          losses: Loss of each row.
          labels: Class numbers [batch].
          mask: False on padding.
        """
        inside = (labels >= 0) & (labels < self.classes)
        return masked_sum(jnp.where(inside, losses, jnp.nan), mask)

    def _on_shard(
        self,
        kernel: jax.Array,
        embeddings: Unit,
        labels: jax.Array,
        mask: Mask,
        state: State,
        key: jax.Array,
        *,
        axis: Axis,
    ) -> HeadOutput:
        """The losses by one shard of the class weights."""
        head, margin = self.head, self.margin
        number, rows = shard_number(axis), len(kernel)
        local_label = labels - number * rows
        local_label = jnp.where((local_label >= 0) & (local_label < rows), local_label, rows)
        counted = jnp.ones(rows, bool)  # which XLA drops, where all do
        if head.name != "dense":
            counted = number * rows + jnp.arange(rows) < self.classes
        shard = Shard(kernel, local_label, counted)
        if head.name == "sampled":
            size = max(2, int(head.rate * rows))  # some class besides a row's own
            shard = draw(shard, size, jax.random.fold_in(key, number))
        terms = Terms(margin=margin, penalty=self.penalty, classes=self.classes, axis=axis)
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
