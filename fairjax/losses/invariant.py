"""InvReg: the classifier's best scale must be the same in every part of the classes.

The parts are not given: a soft partition of the classes is learned under which a contrastive loss
is as large and as uneven as can be.

Source: Ma et al. 2023, "Invariant Feature Regularization for Fair Face Recognition" (ICCV), and the
authors' code.
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key


def invariance_penalty(
    logits: Float[Array, "batch classes"],
    labels: Int[Array, " batch"],
    partition: Float[Array, "classes environments"],
    mask: Bool[Array, " batch"],
) -> Float[Array, ""]:
    r"""Mean over environments of $(\partial\,\mathrm{CE}(s z)/\partial s)^2$ at s = 1.

    Args:
      logits: Scaled and margined, as the softmax takes them.
      labels: Class numbers.
      partition: How much each class belongs to each environment, 0 or more.
      mask: False on padding.

    Returns:
      0 or more. An environment without an image in the batch is left out (the release divides by
      zero there).
    """
    rows = jnp.arange(len(labels))
    # d CE(s z) / d s at s = 1 is the softmax's mean logit less the target's.
    slope = (jax.nn.softmax(logits) * logits).sum(axis=1) - logits[rows, labels]
    weight = jnp.where(mask[:, None], partition[labels], 0)
    total = weight.sum(axis=0)
    present = total > 0
    mean = (weight * slope[:, None]).sum(axis=0) / jnp.where(present, total, 1)
    return jnp.where(present, jnp.square(mean), 0).sum() / jnp.maximum(present.sum(), 1)


def partition_objective(
    first: Float[Array, "classes dim"],
    second: Float[Array, "classes dim"],
    partition: Float[Array, "classes environments"],
    known: Bool[Array, " classes"],
    *,
    temperature: float,
    variance_weight: float,
    balance_weight: float,
) -> Float[Array, ""]:
    r"""What a partition of the classes maximises.

    In each environment a class must find its second embedding among those of all classes, weighted
    by how much they belong to the environment: with p the partition and z the cosines over the
    temperature, $L_e = \sum_i p_{ie} (\log \sum_j p_{je} e^{z_{ij}} - z_{ii}) / \sum_i p_{ie}$. The
    objective is the mean of L over environments, plus its variance, plus the entropy of the mean
    partition, each with its weight.

    Args:
      first: Unit embedding of each class.
      second: Unit embedding of each class from other images.
      partition: How much each class belongs to each environment; rows sum to 1.
      known: Whether a class has both embeddings.
      temperature: Number above 0 that the cosines are divided by.
      variance_weight: Weight of the variance.
      balance_weight: Weight of the entropy, which keeps environments of like size.
    """
    weight = jnp.where(known[:, None], partition, 0.0)
    logits = first @ second.T / temperature
    log_weight = jnp.log(jnp.maximum(weight, 1e-12))
    others = jax.nn.logsumexp(logits[:, :, None] + log_weight[None], axis=1)
    loss = others - jnp.diagonal(logits)[:, None]
    size = weight.sum(axis=0)
    by_environment = (weight * loss).sum(axis=0) / jnp.maximum(size, 1e-6)
    share = size / jnp.maximum(size.sum(), 1e-6)
    balance = jax.scipy.special.entr(share).sum()
    spread = by_environment.var()
    return by_environment.mean() + variance_weight * spread + balance_weight * balance


def learn_partition(
    key: Key[Array, ""],
    first: Float[Array, "classes dim"],
    second: Float[Array, "classes dim"],
    known: Bool[Array, " classes"],
    *,
    environments: int,
    epochs: int,
    batch: int,
    rate: float,
    temperature: float,
    variance_weight: float,
    balance_weight: float,
) -> Float[Array, "classes {environments}"]:
    """A soft partition of the classes that maximises `partition_objective`, by Adam.

    Args:
      key: Random key of the start and of the order of the classes.
      first: Unit embedding of each class.
      second: Unit embedding of each class from other images.
      known: Whether a class has both; others belong to all environments alike.
      environments: How many environments there are.
      epochs: Passes over the classes.
      batch: Classes a step; the last classes of a pass that fill no batch wait for the next one.
      rate: Adam's learning rate.
      temperature: Number that the cosines are divided by.
      variance_weight: Weight of the variance over environments.
      balance_weight: Weight of the entropy of the mean partition.
    """
    classes = len(known)
    batch = min(batch, classes)
    start_key, order_key = jax.random.split(key)
    logits = jax.random.normal(start_key, (classes, environments))
    adam = optax.adam(rate)

    def loss(logits: Array, rows: Array) -> Array:
        return -partition_objective(
            first[rows],
            second[rows],
            jax.nn.softmax(logits[rows]),
            known[rows],
            temperature=temperature,
            variance_weight=variance_weight,
            balance_weight=balance_weight,
        )

    def step(carry: tuple[Array, optax.OptState], rows: Array) -> tuple[tuple, None]:
        logits, state = carry
        updates, state = adam.update(jax.grad(loss)(logits, rows), state)
        return (optax.apply_updates(logits, updates), state), None

    orders = jax.vmap(lambda k: jax.random.permutation(k, classes))(
        jax.random.split(order_key, epochs)
    )
    steps = classes // batch
    rows = orders[:, : steps * batch].reshape(epochs * steps, batch)
    (logits, _), _ = jax.lax.scan(step, (logits, adam.init(logits)), rows)
    return jnp.where(known[:, None], jax.nn.softmax(logits), 1 / environments)
