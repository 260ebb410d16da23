"""A shard's classes in chunks: what a row asks of them, without an array of all its cosines.

The forward pass adds chunk after chunk; the backward pass makes each chunk's cosines again, now
that the log-sum-exp over all chunks is known, so that each chunk's part of the gradient is final.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from fairjax.heads.shard import Reduce, Shard, Terms, split_cosines
from fairjax.losses import Penalty, TwoSided
from fairjax.losses.fpr import Selected
from fairjax.losses.margin import Rows, State
from fairjax.losses.selection import candidates, kth_by_bisection
from fairjax.losses.shards import greatest, own_copy, total
from fairjax.models.cosine_head import unit

_FLOOR = -1e30  # a finite minus infinity: exp(-inf - _FLOOR) is 0 and no NaN


class Inputs(NamedTuple):
    """Inputs of each chunk that have gradients.

    Attributes:
      embedding: [batch, dim], of length 1.
      target: [batch], cosine of each row with its own class.
      margined: [batch], that cosine after the margin.
    """

    embedding: jax.Array
    target: Rows
    margined: Rows


class Constants(NamedTuple):
    """Inputs of each chunk that have no gradient.

    Attributes:
      local_label: [batch], labels as in `Shard`.
      counted: [classes], flags as in `Shard`.
      parting: The penalty's T, parted from its neighbours; without a penalty, any number.
      state: State of the margin.
    """

    local_label: jax.Array
    counted: jax.Array
    parting: jax.Array
    state: State


@dataclass(frozen=True)
class Chunk:
    """How a shard is cut: chunks of one width, of which the last overlaps its neighbour.

    Attributes:
      rows: Classes of the shard.
      width: Classes of a chunk.
    """

    rows: int
    width: int

    @property
    def count(self) -> int:
        """How many chunks."""
        return -(-self.rows // self.width)

    def start(self, number: jax.Array) -> jax.Array:
        """The first class of a chunk."""
        return jnp.minimum(number * self.width, self.rows - self.width)

    def take(self, number: jax.Array, kernel: jax.Array, constants: Constants) -> Shard:
        """The chunk of that number, as a shard; a class counts in the first chunk that has it."""
        start = self.start(number)
        local_label = constants.local_label - start
        here = (local_label >= 0) & (local_label < self.width)
        counted = lax.dynamic_slice_in_dim(constants.counted, start, self.width)
        return Shard(
            lax.dynamic_slice_in_dim(kernel, start, self.width),
            jnp.where(here, local_label, self.width),
            counted & (start + jnp.arange(self.width) >= number * self.width),
        )


def streamed(
    shard: Shard, embedding: jax.Array, terms: Terms, *, chunk: int
) -> tuple[TwoSided, Reduce]:
    """The own class's cosines, as far as it is here, and how to reduce the others, in chunks."""
    cut = Chunk(len(shard.kernel), min(chunk, len(shard.kernel)))
    target, kernel = own_cosines(shard.kernel, embedding, shard.local_label)

    def reduce(margined: Rows, state: State, mask: jax.Array) -> tuple[Rows, Penalty | None]:
        own = TwoSided(*total(target, terms.axis))
        inputs = Inputs(embedding, *own_copy((own.both, margined), terms.axis))
        constants = Constants(shard.local_label, shard.counted, jnp.float32(0), state)
        if terms.penalty:
            threshold, parting = find_threshold(cut, terms, kernel, inputs, constants, mask)
            constants = constants._replace(parting=parting)
        logsumexp, selected = walk(cut, terms, kernel, inputs, constants)
        largest = greatest(logsumexp, terms.axis)
        logsumexp = largest + jnp.log(total(jnp.exp(logsumexp - largest), terms.axis))
        if not terms.penalty:
            return logsumexp, None
        selected = total(selected, terms.axis)
        shift = terms.penalty.shift(selected, own.through_embedding, classes=terms.classes)
        fpr = selected.above / (terms.classes - 1)
        return logsumexp, Penalty(shift, threshold, fpr)

    return target, reduce


@jax.custom_vjp
def own_cosines(
    kernel: jax.Array, embedding: jax.Array, local_label: jax.Array
) -> tuple[TwoSided, jax.Array]:
    """Cosines with the own class, 0 where it is not here; and the kernel, to be used hereafter.

    That order makes the backward pass add the own classes' gradient to the others' in place, where
    two uses of the kernel would each have a gradient of its size.
    """
    own = kernel.at[local_label].get(mode="fill", fill_value=0)
    cosine = jnp.sum(embedding * unit(own).direction, axis=1)
    return TwoSided(cosine, cosine), kernel


def _own_forward(
    kernel: jax.Array, embedding: jax.Array, local_label: jax.Array
) -> tuple[Any, Any]:
    return own_cosines(kernel, embedding, local_label), (kernel, embedding, local_label)


def _own_backward(saved: Any, grads: tuple[TwoSided, jax.Array]) -> tuple[Any, ...]:
    kernel, embedding, local_label = saved
    cosine, kernel_grad = grads
    own = kernel.at[local_label].get(mode="fill", fill_value=0)
    direction, through = jax.vjp(lambda rows: unit(rows).direction, own)
    (own_grad,) = through(cosine.both[:, None] * embedding)
    embedding_grad = (cosine.both + cosine.through_embedding)[:, None] * direction
    return kernel_grad.at[local_label].add(own_grad, mode="drop"), embedding_grad, None


own_cosines.defvjp(_own_forward, _own_backward)


def find_threshold(
    cut: Chunk,
    terms: Terms,
    kernel: jax.Array,
    inputs: Inputs,
    constants: Constants,
    mask: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """The penalty's T over all shards, each of which keeps the k largest of its chunks so far.

    Returns:
      T, and a number that selects the same of cosines that are made again: a compiler may round
      them otherwise in another pass.
    """
    penalty, axis = terms.penalty, terms.axis
    assert penalty
    kernel, inputs = lax.stop_gradient((kernel, inputs))
    keep = penalty.largest_rank(len(mask), terms.classes) + 1  # and the one below T
    limit = penalty.ceiling(inputs.target, mask)

    def look(carry: tuple[jax.Array, jax.Array], number: jax.Array) -> tuple[Any, None]:
        best, excluded = carry
        _, others = split_cosines(cut.take(number, kernel, constants), inputs.embedding)
        excluded += penalty.excluded(others.both, inputs.target)
        return (merge(best, others.both, limit), excluded), None

    start = jnp.full(keep, -jnp.inf), jnp.zeros(len(mask), jnp.int32)
    (best, excluded), _ = lax.scan(look, own_copy(start, axis), jnp.arange(cut.count))
    k = penalty.rank(total(excluded, axis), mask, classes=terms.classes)
    threshold = kth_by_bisection(best, k, axis=axis)
    above = -greatest(jnp.max(-best, where=best > threshold, initial=-2.0), axis)
    below = greatest(jnp.max(best, where=best < threshold, initial=-2.0), axis)
    return threshold, penalty.parted(threshold, above, below)


def merge(best: jax.Array, cosines: jax.Array, limit: jax.Array) -> jax.Array:
    """The largest of `best` and of the cosines within their row's limit, as many as `best` has."""
    k = len(best)
    if cosines.size <= k:
        few = jnp.where(cosines <= limit[:, None], cosines, -jnp.inf).reshape(-1)
    else:
        selection = candidates(cosines, k, at_most=limit, largest_k=k)
        few = jnp.concatenate([selection.values, jnp.full(k, selection.bound)])  # k reach the bound
    return lax.top_k(jnp.concatenate([best, few]), k)[0]


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def walk(
    cut: Chunk, terms: Terms, kernel: jax.Array, inputs: Inputs, constants: Constants
) -> tuple[Rows, Selected | None]:
    """The log-sum-exp of the others' logits, and the penalty's sums, over this shard."""
    zeros = jnp.zeros_like(inputs.target)

    def step(carry: Any, number: jax.Array) -> tuple[Any, None]:
        largest, exponential, selected = carry
        logits, more = reduced(terms, cut.take(number, kernel, constants), inputs, constants)
        raised = jnp.maximum(largest, jnp.max(logits, axis=1))
        exponential *= jnp.exp(largest - raised)
        exponential += jnp.sum(jnp.exp(logits - raised[:, None]), axis=1)
        return (raised, exponential, jax.tree.map(jnp.add, selected, more)), None

    start = zeros + _FLOOR, zeros, Selected(zeros, zeros, zeros) if terms.penalty else None
    (largest, exponential, selected), _ = lax.scan(step, start, jnp.arange(cut.count))
    return jnp.maximum(largest + jnp.log(exponential), _FLOOR), selected


def reduced(
    terms: Terms, chunk: Shard, inputs: Inputs, constants: Constants
) -> tuple[jax.Array, Selected | None]:
    """The others' logits [batch, chunk], and the penalty's sums over them."""
    _, others = split_cosines(chunk, inputs.embedding)
    margined = terms.margin.nontarget(others.both, inputs.margined, constants.state)
    selected = None
    if terms.penalty:
        selected = terms.penalty.select(*others, constants.parting, inputs.target, inputs.margined)
    return terms.margin.scale * margined, selected


def _walk_forward(
    cut: Chunk, terms: Terms, kernel: jax.Array, inputs: Inputs, constants: Constants
) -> tuple[Any, Any]:
    logsumexp, selected = walk(cut, terms, kernel, inputs, constants)
    return (logsumexp, selected), (kernel, inputs, constants, logsumexp)


def _walk_backward(cut: Chunk, terms: Terms, saved: Any, grads: Any) -> tuple[Any, ...]:
    kernel, inputs, constants, logsumexp = saved

    def step(carry: tuple[jax.Array, Inputs], number: jax.Array) -> tuple[Any, None]:
        kernel_grad, inputs_grad = carry
        chunk = cut.take(number, kernel, constants)

        def outputs(weights: jax.Array, inputs: Inputs) -> tuple[Rows, Selected | None]:
            logits, selected = reduced(terms, chunk._replace(kernel=weights), inputs, constants)
            share = jnp.sum(jnp.exp(logits - logsumexp[:, None]), axis=1)  # d log-sum-exp
            return share, selected

        _, back = jax.vjp(outputs, chunk.kernel, inputs)
        part_grad, more = back(grads)
        start = cut.start(number)
        part_grad += lax.dynamic_slice_in_dim(kernel_grad, start, cut.width)
        kernel_grad = lax.dynamic_update_slice_in_dim(kernel_grad, part_grad, start, 0)
        return (kernel_grad, jax.tree.map(jnp.add, inputs_grad, more)), None

    zeros = jax.tree.map(jnp.zeros_like, (kernel, inputs))
    (kernel_grad, inputs_grad), _ = lax.scan(step, zeros, jnp.arange(cut.count))
    return kernel_grad, inputs_grad, None


walk.defvjp(_walk_forward, _walk_backward)
