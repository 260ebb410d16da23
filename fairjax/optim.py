"""Learning-rate schedules and the optax chain."""

from collections.abc import Callable

import jax
import optax

from fairjax.types import PyTree

Mask = Callable[[PyTree], PyTree]


def cosine(
    *,
    peak_lr: float,
    total_steps: int,
    steps_per_epoch: float,
    warmup_epochs: float,
    final_factor: float,
) -> optax.Schedule:
    """Linear warm-up from 0, then half a cosine down to `final_factor * peak_lr`."""
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
    factor: float,
    warmup_epochs: float,
) -> optax.Schedule:
    """Linear warm-up from 0, then the rate times `factor` once each of `at_epochs` has passed."""
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
    *, lr: optax.Schedule, weight_decay: float, mask: Mask, momentum: float, nesterov: bool
) -> optax.GradientTransformation:
    """SGD; weight decay joins the gradient before the momentum, as the face papers' code does."""
    return optax.chain(
        optax.add_decayed_weights(weight_decay, mask),
        optax.trace(momentum, nesterov=nesterov),
        optax.scale_by_learning_rate(lr),
    )


def adamw(
    *, lr: optax.Schedule, weight_decay: float, mask: Mask, b1: float, b2: float
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019)."""
    return optax.adamw(lr, b1=b1, b2=b2, weight_decay=weight_decay, mask=mask)


def lars(
    *,
    lr: optax.Schedule,
    weight_decay: float,
    mask: Mask,
    momentum: float,
    trust_coefficient: float,
) -> optax.GradientTransformation:
    """SGD with layer-wise rates (You et al., 2017); masked leaves get plain SGD."""
    return optax.lars(
        lr,
        weight_decay=weight_decay,
        weight_decay_mask=mask,
        trust_coefficient=trust_coefficient,
        trust_ratio_mask=mask,
        momentum=momentum,
    )


def lamb(
    *, lr: optax.Schedule, weight_decay: float, mask: Mask, b1: float, b2: float
) -> optax.GradientTransformation:
    """Adam with layer-wise rates (You et al., 2020)."""
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
