"""A tiny backbone, rows with people and groups, and a training loop, for tests of methods."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from fairjax.core.types import Target
from fairjax.models.attention_map import expose
from fairjax.models.preprocess import normalise
from fairjax.optim import with_own_optimizers
from fairjax.run.state import init_state
from fairjax.run.steps import make_train_step

TARGETS = {
    "identity": Target(tuple("abcdef"), mean=0.0, std=1.0),
    "group": Target(("A", "B", "C"), mean=0.0, std=1.0),
    "gender": Target(("male", "female"), mean=0.0, std=1.0),
    "age": Target((), mean=30.0, std=10.0),
}


TASKS = {
    "gender": {"kind": "classes", "attribute": "gender"},
    "age": {"kind": "regression", "attribute": "age"},
}


class Stage(nn.Module):
    """One convolution, exposed as "stage_4", a linear layer, and a norm if asked."""

    dim: int = 8
    norm: bool = False

    @nn.compact
    def __call__(self, x, *, train):
        """Maps images `[batch, height, width, 3]` to `[batch, dim]`."""
        x = expose(self, "stage_4", nn.relu(nn.Conv(6, (3, 3), strides=2)(x)))
        x = nn.Dense(self.dim)(x.reshape(len(x), -1))
        return nn.BatchNorm(use_running_average=not train)(x) if self.norm else x


def preprocess(images):
    """Pixels from 0..255 to -1..1."""
    return normalise(images, kind="half")


def make_batch(rows=12, size=8, seed=0, **labels):
    """Random images; people 0..5 in groups 0..2 (two people each), two genders."""
    rng = np.random.default_rng(seed)
    people = np.arange(rows) % 6
    batch = {
        "image": rng.integers(0, 256, (rows, size, size, 3)).astype(np.uint8),
        "identity": people.astype(np.int32),
        "group": (people // 2).astype(np.int32),
        "gender": rng.integers(0, 2, rows).astype(np.int32),
        "age": np.full(rows, 30, np.int32),
        "mask": np.ones(rows, bool),
        "epoch": np.float32(0),
    }
    return {name: jnp.asarray(value) for name, value in {**batch, **labels}.items()}


def genders_by_group():
    """40 rows whose brightness is the gender: group 0 is 80 percent bright, group 1 20 percent."""
    rng = np.random.default_rng(0)
    group = np.arange(40) % 2
    gender = np.where(group == 0, np.arange(40) % 10 < 8, np.arange(40) % 10 < 2).astype(int)
    images = 64 + 96 * gender[:, None, None, None] + rng.integers(-20, 21, (40, 8, 8, 3))
    labels = {"group": group.astype(np.int32), "gender": gender.astype(np.int32)}
    return make_batch(rows=40, image=images.astype(np.uint8), **labels)


def value_and_gradient(method, batch, key):
    """A fresh method's loss, Aux, gradient and parameters on one batch."""
    params, model_state = method.init(key, batch)
    step = jax.jit(jax.value_and_grad(method.loss, has_aux=True))
    (loss, aux), gradient = step(params, model_state, batch, key)
    return loss, aux, gradient, params


def is_finite(tree):
    """Whether every number of a tree is finite."""
    return all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(tree))


def losses_without_rows(aux):
    """Logged losses of no row: a run that met one would stop, since 0 / 0 is not finite."""
    return [
        name
        for name, (_, count) in aux.scalars.items()
        if name.endswith("loss") and not float(count)
    ]


def train(method, batch, key, *, steps, lr=0.1, steps_per_epoch=10.0):
    """Trains by SGD with momentum; returns the state and the logged scalars of each step."""
    params = jax.eval_shape(method.init, key, batch)[0]
    schedule = optax.constant_schedule(lr)
    tx = optax.sgd(schedule, momentum=0.9)
    tx = with_own_optimizers(tx, schedule, params, own=method.own_optimizers)
    state, logged = init_state(method, tx, key, batch, averaged=False), []
    batch = {name: value for name, value in batch.items() if name != "epoch"}
    step = jax.jit(
        make_train_step(method, tx, accumulate=1, ema_decay=0.0, steps_per_epoch=steps_per_epoch)
    )
    for _ in range(steps):
        state, scalars = step(state, batch, key)
        logged.append({name: float(value) for name, value in scalars.items()})
    return state, logged


def planted_people(*, images=4, alike=0.75, noise=25.0, seed=0):
    """Six people in three groups; the two of group C look alike: the planted difference.

    Images of a person follow one another, so that a batch has `images` of each.
    """
    rng = np.random.default_rng(seed)
    looks = rng.uniform(-100, 100, (6, 8, 8, 3))
    looks[5] = alike * looks[4] + (1 - alike) * looks[5]
    people = np.repeat(np.arange(6), images)
    pixels = 128 + looks[people] + noise * rng.standard_normal((len(people), 8, 8, 3))
    return make_batch(
        rows=len(people),
        image=np.clip(pixels, 0, 255).astype(np.uint8),
        identity=people.astype(np.int32),
        group=(people // 2).astype(np.int32),
    )


def pair_cosines(method, state, batch):
    """Cosines of a trained method's embeddings of the batch, [batch, batch]."""
    columns = jax.jit(method.predict)(state.variables, {"image": batch["image"]})
    embedding = np.asarray(columns["embedding"], np.float64)
    return embedding @ embedding.T
