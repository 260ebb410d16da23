"""Learning-rate schedules and the optax chain."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import optax

from fairjax.core.types import PyTree
from fairjax.optim.freeze import belongs, name_of

OTHERS = "others"  # the label of parameters that are in no part
Mask = Callable[[PyTree], PyTree]


def cosine(
    *,
    peak_lr: float,
    total_steps: int,
    steps_per_epoch: float,
    warmup_epochs: float = 0.0,
    final_factor: float = 0.0,
) -> optax.Schedule:
    """Linear warm-up from 0, then half a cosine down to `final_factor * peak_lr`.

    Args:
      peak_lr: Largest learning rate.
      total_steps: Steps of the whole training.
      steps_per_epoch: Steps of an epoch.
      warmup_epochs: Epochs in which the rate climbs from 0.
      final_factor: Rate at the end, as a share of the largest.
    """
    warmup_steps = min(round(warmup_epochs * steps_per_epoch), total_steps - 1)
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0 if warmup_steps else peak_lr,
        peak_value=peak_lr,
        warmup_steps=warmup_steps,
        decay_steps=total_steps,
        end_value=final_factor * peak_lr,
    )


def steps(
    *,
    peak_lr: float,
    total_steps: int,
    steps_per_epoch: float,
    at_epochs: tuple[float, ...],
    factor: float = 0.1,
    warmup_epochs: float = 0.0,
) -> optax.Schedule:
    """Linear warm-up from 0, then the rate times `factor` once each of `at_epochs` has passed.

    Args:
      peak_lr: Largest learning rate.
      total_steps: Steps of the whole training.
      steps_per_epoch: Steps of an epoch.
      at_epochs: Epochs after which the rate drops.
      factor: Factor of the rate at each drop.
      warmup_epochs: Epochs in which the rate climbs from 0.
    """
    del total_steps
    warmup_steps = round(warmup_epochs * steps_per_epoch)
    drops = optax.piecewise_constant_schedule(
        peak_lr, {round(epoch * steps_per_epoch): factor for epoch in at_epochs}
    )
    warmup = optax.linear_schedule(0.0, 1.0, warmup_steps) if warmup_steps else lambda _: 1.0
    return lambda step: warmup(step) * drops(step)


SCHEDULES: dict[str, Callable[..., optax.Schedule]] = {
    "cosine": cosine,
    "steps": steps,
}


def sgd(
    *,
    lr: optax.Schedule,
    weight_decay: float,
    mask: Mask,
    momentum: float = 0.9,
    nesterov: bool = False,
) -> optax.GradientTransformation:
    """SGD; weight decay joins the gradient before the momentum, as the face papers' code does.

    Args:
      lr: Learning rate by step.
      weight_decay: Strength of the weight decay.
      mask: Which parameters decay.
      momentum: Share of the last step that is kept, in [0, 1).
      nesterov: Whether the gradient is taken ahead of the momentum.
    """
    return optax.chain(
        optax.add_decayed_weights(weight_decay, mask),
        optax.trace(momentum, nesterov=nesterov),
        optax.scale_by_learning_rate(lr),
    )


def adamw(
    *,
    lr: optax.Schedule,
    weight_decay: float,
    mask: Mask,
    b1: float = 0.9,
    b2: float = 0.999,
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019).

    Args:
      lr: Learning rate by step.
      weight_decay: Strength of the weight decay.
      mask: Which parameters decay.
      b1: Decay of the mean of gradients, in [0, 1).
      b2: Decay of the mean of their squares, in [0, 1).
    """
    return optax.adamw(lr, b1=b1, b2=b2, weight_decay=weight_decay, mask=mask)


def lars(
    *,
    lr: optax.Schedule,
    weight_decay: float,
    mask: Mask,
    momentum: float = 0.9,
    trust_coefficient: float = 1e-3,
) -> optax.GradientTransformation:
    """SGD with layer-wise rates (You et al., 2017); masked leaves get plain SGD.

    Args:
      lr: Learning rate by step.
      weight_decay: Strength of the weight decay.
      mask: Which parameters decay.
      momentum: Share of the last step that is kept, in [0, 1).
      trust_coefficient: Factor of the layer-wise rates.
    """
    return optax.lars(
        lr,
        weight_decay=weight_decay,
        weight_decay_mask=mask,
        trust_coefficient=trust_coefficient,
        trust_ratio_mask=mask,
        momentum=momentum,
    )


def lamb(
    *,
    lr: optax.Schedule,
    weight_decay: float,
    mask: Mask,
    b1: float = 0.9,
    b2: float = 0.999,
) -> optax.GradientTransformation:
    """Adam with layer-wise rates (You et al., 2020).

    Args:
      lr: Learning rate by step.
      weight_decay: Strength of the weight decay.
      mask: Which parameters decay.
      b1: Decay of the mean of gradients, in [0, 1).
      b2: Decay of the mean of their squares, in [0, 1).
    """
    return optax.lamb(lr, b1=b1, b2=b2, weight_decay=weight_decay, mask=mask)


OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "adamw": adamw,
    "lamb": lamb,
    "lars": lars,
    "sgd": sgd,
}


def decay_mask(params: PyTree, *, norms: bool) -> PyTree:
    """True where weights decay: arrays of two or more axes; with `norms`, biases and scales too."""
    return jax.tree.map(lambda leaf: norms or leaf.ndim > 1, params)


def clipped(tx: optax.GradientTransformation, *, clip_norm: float) -> optax.GradientTransformation:
    """`tx` on gradients whose global norm is at most `clip_norm`; 0 leaves them as they are."""
    return optax.chain(optax.clip_by_global_norm(clip_norm), tx) if clip_norm else tx


def layer_decayed(
    tx: optax.GradientTransformation, params: PyTree, *, factor: float
) -> optax.GradientTransformation:
    """`tx` with smaller steps the deeper a Transformer's layer lies: times `factor` for each.

    Of a backbone of L blocks, block k (from 0) moves by factor^(L - k), what comes before the
    blocks by factor^(L + 1), and its last norm and everything outside the backbone as they are.

    Args:
      tx: The whole chain, rate and decay included: both shrink.
      params: The parameters, or their shapes.
      factor: In (0, 1]; 1 changes nothing.

    Raises:
      ValueError: If the backbone has no blocks to tell layers by.

    Source: Clark et al. 2020 (ELECTRA), as used by He et al. 2022 for fine-tuning.
    """
    if factor == 1:
        return tx
    names = [name_of(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    blocks = 1 + max((block for name in names if (block := _block(name)) is not None), default=-1)
    if not blocks:
        raise ValueError(
            f"config.optim.layer_decay={factor} needs a backbone of blocks, such as 'vit'; use 1.0."
        )

    def scale(path: tuple[Any, ...]) -> float:
        name = name_of(path)
        block = _block(name)
        if block is not None:
            return factor ** (blocks - block)
        first = name.startswith("backbone/") and "norm" not in name
        return factor ** (blocks + 1) if first else 1.0

    def shrink(updates: PyTree, _: PyTree) -> PyTree:  # frozen parts are no leaves of the updates
        return jax.tree_util.tree_map_with_path(lambda path, u: u * scale(path), updates)

    return optax.chain(tx, optax.stateless(shrink))


def frozen(
    tx: optax.GradientTransformation, params: PyTree, *, parts: Sequence[str]
) -> optax.GradientTransformation:
    """`tx`, but for the parameters of some parts, which stay as they are.

    Args:
      tx: What moves the others; it keeps no state for frozen ones.
      params: The parameters, or their shapes.
      parts: Paths of frozen parts: "backbone" for a linear probe, or "backbone/block_0"; see
        `fairjax.optim.freeze`.

    Raises:
      ValueError: If a part is of no parameter, or all are frozen.
    """
    if not parts:
        return tx
    labels = _labelled(params, parts, where="freeze")
    if OTHERS not in jax.tree.leaves(labels):
        raise ValueError("config.optim.freeze leaves no parameter to train.")
    to_zero = dict.fromkeys(parts, optax.set_to_zero())
    return optax.multi_transform({OTHERS: tx, **to_zero}, labels)


def with_own_optimizers(
    tx: optax.GradientTransformation,
    schedule: optax.Schedule,
    params: PyTree,
    *,
    own: Mapping[str, Callable[[optax.Schedule], optax.GradientTransformation]],
) -> optax.GradientTransformation:
    """`tx`, but for the parameters of some parts, which have an optimiser of their own.

    Args:
      tx: The run's optimiser; it neither sees nor clips the gradients of those parts.
      schedule: Steps taken -> learning rate of the run.
      params: The parameters, or their shapes.
      own: `Method.own_optimizers`.

    Raises:
      ValueError: If a part is of no parameter.
    """
    if not own:
        return tx
    labels = _labelled(params, tuple(own), where="own_optimizers")
    return optax.multi_transform(
        {OTHERS: tx, **{part: make(schedule) for part, make in own.items()}}, labels
    )


def released(
    make: Callable[[optax.Schedule], optax.GradientTransformation],
    schedule: optax.Schedule,
    params: PyTree,
    *,
    parts: Sequence[str],
    starts: Sequence[int],
    factor: float,
) -> optax.GradientTransformation:
    """An optimiser for which parts come to life one after another.

    Each part has an optimiser of its own, whose moments begin when it is released; its rate is the
    schedule's at the run's step, times `factor` for each place down the list.

    Args:
      make: From a schedule to the chain.
      schedule: The run's.
      params: The parameters, or their shapes.
      parts: In the order of their release; see `fairjax.optim.freeze`. What is in none of them
        moves from the start.
      starts: For each part the number of steps taken when it is released.
      factor: In (0, 1].

    Raises:
      ValueError: If a part is of no parameter.

    Source: gradual unfreezing as the SSL fairness study's Figure 2 has it (Yfantidou et al. 2024,
      arXiv 2406.02361); the factor and the order are ours.
    """
    if not parts:
        return make(schedule)
    groups = {OTHERS: make(schedule)}
    for count, (part, start) in enumerate(zip(parts, starts, strict=True), start=1):
        shifted = partial(_later, schedule, start, factor**count)
        groups[part] = optax.conditionally_mask(make(shifted), partial(operator.le, start))
    return optax.multi_transform(groups, _labelled(params, parts, where="unfreeze.parts"))


def _later(schedule: optax.Schedule, start: int, factor: float, count: jax.Array) -> Any:
    """The rate of a part that was released at `start`, after so many steps of its own."""
    return factor * schedule(count + start)


def _labelled(params: PyTree, parts: Sequence[str], *, where: str) -> PyTree:
    """For each parameter the first part it belongs to, or OTHERS."""
    hits = dict.fromkeys(parts, 0)

    def label(path: tuple[Any, ...], leaf: Any) -> str:
        matching = [part for part in parts if belongs(name_of(path), part)]
        for part in matching:
            hits[part] += 1
        return matching[0] if matching else OTHERS

    labels = jax.tree_util.tree_map_with_path(label, params)
    if unused := [part for part, n in hits.items() if not n]:
        raise ValueError(
            f"config.optim.{where}: {unused[0]!r} is no part of the parameters; "
            f"they begin with: {', '.join(params)}."
        )
    return labels


def _block(name: str) -> int | None:
    """The number of the backbone's block that a parameter belongs to, if any."""
    hit = re.match(r"backbone/block_(\d+)/", name)
    return int(hit[1]) if hit else None
