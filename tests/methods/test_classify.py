import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.core.types import Target
from fairjax.methods import METHODS
from fairjax.models.preprocess import normalise

TARGETS = {
    "age": Target((), mean=30.0, std=10.0),
    "gender": Target(("male", "female"), mean=0.0, std=1.0),
    "race": Target(("A", "B", "C"), mean=0.0, std=1.0),
}
AGE = {"kind": "regression", "attribute": "age", "weight": 2.0, "loss": "mse"}
GENDER = {"kind": "classes", "attribute": "gender", "weight": 1.0}
RACE = {"kind": "classes", "attribute": "race", "weight": 0.5}
BINS = {"kind": "bins", "attribute": "age", "weight": 1.0, "edges": (20.0, 40.0)}


class Pool(nn.Module):
    """Channel means: the smallest backbone, with a statistic that moves."""

    @nn.compact
    def __call__(self, x, *, train):
        x = jnp.mean(x, axis=(1, 2))
        return nn.BatchNorm(use_running_average=not train)(x)


def build(mixup=0.0, hidden=0, save_features=False, **tasks):
    return METHODS["classify"](
        backbone=Pool(),
        targets=TARGETS,
        preprocess=lambda x: normalise(x, kind="half"),
        tasks=tasks,
        label_smoothing=0.0,
        dropout=0.0,
        hidden=hidden,
        mixup=mixup,
        save_features=save_features,
    )


def make_batch(rows=6):
    rng = np.random.default_rng(0)
    return {
        "image": jnp.asarray(rng.integers(0, 256, (rows, 8, 8, 3)), jnp.uint8),
        "age": jnp.asarray(rng.integers(1, 90, rows), jnp.int32),
        "gender": jnp.asarray(rng.integers(0, 2, rows), jnp.int32),
        "race": jnp.asarray(rng.integers(0, 3, rows), jnp.int32),
        "mask": jnp.ones(rows, bool),
    }


def test_the_loss_is_the_weighted_sum_of_its_tasks(key):
    method, batch = build(age=AGE, gender=GENDER, race=RACE), make_batch()
    params, model_state = jax.jit(method.init)(key, batch)
    loss, aux = jax.jit(method.loss)(params, model_state, batch, key)
    mean = {name: float(total / count) for name, (total, count) in aux.scalars.items()}
    expected = 2.0 * mean["age_loss"] + mean["gender_loss"] + 0.5 * mean["race_loss"]
    np.testing.assert_allclose(float(loss), expected, rtol=1e-6)


def test_the_age_loss_is_the_squared_error_of_the_standardised_age(key):
    method, batch = build(age=AGE), make_batch()
    params, model_state = jax.jit(method.init)(key, batch)
    columns = jax.jit(method.predict)({"params": params, **model_state}, batch)
    error = (np.asarray(columns["pred_age"]) - np.asarray(batch["age"])) / 10.0
    np.testing.assert_allclose(columns["loss_age"], error**2, rtol=1e-4)
    np.testing.assert_allclose(columns["loss"], 2.0 * error**2, rtol=1e-4)


def test_padded_rows_change_neither_loss_nor_gradient(key):
    method, batch = build(gender=GENDER), make_batch()
    params, model_state = jax.jit(method.init)(key, batch)
    mask = jnp.array([True] * 4 + [False] * 2)
    poisoned = {**batch, "gender": batch["gender"].at[4:].set(9), "mask": mask}
    flipped = {**batch, "gender": batch["gender"].at[4:].set(0), "mask": mask}
    grad = jax.value_and_grad(lambda p, b: method.loss(p, model_state, b, key)[0])
    first, second = grad(params, poisoned), grad(params, flipped)
    np.testing.assert_allclose(first[0], second[0])
    jax.tree.map(np.testing.assert_allclose, first[1], second[1])


def test_training_moves_the_batch_statistics_and_predicting_does_not(key):
    method, batch = build(gender=GENDER), make_batch()
    params, model_state = jax.jit(method.init)(key, batch)
    _, aux = jax.jit(method.loss)(params, model_state, batch, key)
    before, after = jax.tree.leaves(model_state), jax.tree.leaves(aux.model_state)
    assert any(not np.allclose(a, b) for a, b in zip(before, after, strict=True))


def test_bins_put_an_edge_into_the_bin_above(key):
    method, batch = build(age_bin=BINS), make_batch(3)
    batch["age"] = jnp.array([19, 20, 40])
    params, model_state = jax.jit(method.init)(key, batch)
    variables = {"params": params, **model_state}
    columns = jax.jit(method.predict)(variables, batch)
    probabilities = np.asarray(columns["prob_age_bin"])
    assert probabilities.shape == (3, 3)
    expected = -np.log(probabilities[np.arange(3), [0, 1, 2]])
    np.testing.assert_allclose(columns["loss_age_bin"], expected, rtol=1e-5)


def test_mixing_weighs_the_losses_of_both_labels_by_the_share_that_the_images_have(
    key, monkeypatch
):
    method, plain, batch = build(mixup=0.5, gender=GENDER), build(gender=GENDER), make_batch()
    batch["gender"] = jnp.array([0, 0, 1, 0, 1, 1])
    levels = 40 * np.arange(6, dtype=np.uint8)  # whose blends are whole levels, too
    blends = (levels // 4 + levels[::-1] // 4 * 3).astype(np.uint8)
    batch["image"], blended = (
        jnp.asarray(np.broadcast_to(rows[:, None, None, None], (6, 8, 8, 3)))
        for rows in (levels, blends)
    )
    blended = {**batch, "image": blended}
    params, model_state = jax.jit(method.init)(key, batch)
    params["head_gender"]["kernel"] = jnp.array([[1.0, -1.0], [0.5, 0.0], [0.0, 2.0]])
    own, other = (
        float(plain.loss(params, model_state, {**blended, "gender": labels}, key)[0])
        for labels in (batch["gender"], batch["gender"][::-1])
    )
    assert abs(own - other) > 0.1

    def share(key, a, b):
        assert a == b == 0.5
        return jnp.float32(0.25)

    monkeypatch.setattr(jax.random, "beta", share)
    mixed, _ = jax.jit(method.loss)(params, model_state, batch, key)
    np.testing.assert_allclose(float(mixed), 0.25 * own + 0.75 * other, rtol=1e-5)


def test_mixing_blends_images_and_leaves_out_partners_of_padding(key):
    method, batch = build(mixup=0.5, gender=GENDER), make_batch()
    params, model_state = jax.jit(method.init)(key, batch)
    mixed, _ = jax.jit(method.loss)(params, model_state, batch, key)
    plain, _ = jax.jit(build(gender=GENDER).loss)(params, model_state, batch, key)
    assert not np.isclose(float(mixed), float(plain))
    _, aux = jax.jit(method.loss)(params, model_state, {**batch, "mask": jnp.arange(6) < 5}, key)
    assert aux.scalars["gender_loss"][1] == 4  # the last row is padding, the first its partner


def test_predict_needs_no_labels(key):
    method, batch = build(age=AGE, gender=GENDER), make_batch()
    params, model_state = jax.jit(method.init)(key, batch)
    unlabelled = {"image": batch["image"], "mask": batch["mask"]}
    columns = jax.jit(method.predict)({"params": params, **model_state}, unlabelled)
    assert {"pred_age", "prob_gender"} <= set(columns)


def test_a_hidden_layer_is_a_sigmoid_before_every_head_and_features_are_kept_on_request(key):
    method, batch = build(hidden=4, save_features=True, gender=GENDER), make_batch()
    params, model_state = jax.jit(method.init)(key, batch)
    columns = jax.jit(method.predict)({"params": params, **model_state}, batch)
    layer, head = params["head_hidden"], params["head_gender"]
    hidden = jax.nn.sigmoid(columns["features"] @ layer["kernel"] + layer["bias"][None])
    logits = hidden @ head["kernel"] + head["bias"][None]
    np.testing.assert_allclose(columns["prob_gender"], jax.nn.softmax(logits), rtol=1e-5)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({**GENDER, "attribute": "hair"}, "'hair' is not in this dataset; it has: age"),
        ({**AGE, "attribute": "race"}, "does not fit its attribute; use classes"),
        ({**GENDER, "attribute": "age"}, "use regression or bins"),
    ],
)
def test_a_task_that_does_not_fit_the_data_is_refused(task, said):
    with pytest.raises(ValueError, match=said):
        build(wrong=task)


def test_no_task_is_refused():
    with pytest.raises(ValueError, match="name at least one task"):
        build()


def test_chance_is_known_of_the_tasks_that_have_classes():
    method = build(
        age={"kind": "regression", "attribute": "age"},
        old={"kind": "bins", "attribute": "age", "edges": (20.0, 40.0)},
    )
    assert method.chance == {"old_loss": pytest.approx(np.log(3))}
