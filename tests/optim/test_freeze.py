"""Parts that are held still: which they are, and that nothing of them moves."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.core.types import Target
from fairjax.methods import METHODS
from fairjax.models.layers.norm import BatchNorm
from fairjax.models.preprocess import normalise
from fairjax.optim.freeze import FreezeSchedule, belongs, freeze_parts


class Two(nn.Module):
    """Two stages, each with a norm, and dropout in the second."""

    @nn.compact
    def __call__(self, x, *, train):
        x = Stage(0.0, name="stage_1")(x.mean(axis=(1, 2)), train=train)
        return Stage(0.5, name="stage_2")(x, train=train)


class Stage(nn.Module):
    dropout: float

    @nn.compact
    def __call__(self, x, *, train):
        x = BatchNorm(name="norm")(nn.Dense(8, name="dense")(x), train=train)
        return nn.Dropout(self.dropout, deterministic=not train)(x)


@pytest.fixture(scope="module")
def scene():
    method = METHODS["classify"](
        backbone=Two(),
        targets={"gender": Target(("male", "female"), 0.0, 1.0)},
        preprocess=lambda x: normalise(x, kind="half"),
        tasks={"gender": {"kind": "classes", "attribute": "gender", "weight": 1.0}},
        label_smoothing=0.0,
        dropout=0.0,
        hidden=0,
        mixup=0.0,
        save_features=False,
    )
    rng = np.random.default_rng(0)
    batch = {
        "image": jnp.asarray(rng.integers(0, 256, (6, 8, 8, 3)), jnp.uint8),
        "gender": jnp.asarray(rng.integers(0, 2, 6), jnp.int32),
        "mask": jnp.ones(6, bool),
    }
    return method, batch, *method.init(jax.random.key(0), batch)


@pytest.mark.parametrize(
    ("part", "inside"),
    [
        ("backbone", True),
        ("backbone/trunk/stem_*", True),
        ("backbone/trunk/stage_[34]_*|backbone/trunk/stem_norm", True),
        ("backbone/trunk/stem", False),
        ("trunk", False),
        ("backbone/trunk/stage_[34]_*", False),
    ],
)
def test_a_part_is_a_pattern_of_paths_and_all_below(part, inside):
    assert belongs("backbone/trunk/stem_norm/scale", part) == inside


def test_a_part_held_still_has_no_gradient_and_keeps_its_statistics(scene, key):
    method, batch, params, state = scene
    frozen = freeze_parts(method, ("backbone/stage_1",))
    gradient, aux = jax.grad(frozen.loss, has_aux=True)(params, state, batch, key)
    stages, moved = gradient["backbone"], aux.model_state["batch_stats"]["backbone"]
    assert not any(leaf.any() for leaf in jax.tree.leaves(stages["stage_1"]))
    assert stages["stage_2"]["dense"]["kernel"].any()
    before = state["batch_stats"]["backbone"]
    jax.tree.map(np.testing.assert_array_equal, moved["stage_1"], before["stage_1"])
    assert not np.allclose(moved["stage_2"]["norm"]["mean"], before["stage_2"]["norm"]["mean"])


def test_a_whole_backbone_held_still_is_trained_on_as_it_predicts(scene, key):
    method, batch, params, state = scene
    loss, _ = freeze_parts(method, ("backbone",)).loss(params, state, batch, key)
    predicted = method.predict({"params": params, **state}, batch)["loss"]
    np.testing.assert_allclose(loss, predicted.mean(), rtol=1e-5)
    trained, _ = method.loss(params, state, batch, key)
    assert abs(float(trained - loss)) > 1e-3


def test_no_backward_pass_is_computed_for_what_is_held_still(scene, key):
    method, batch, params, state = scene

    def flops(method):
        def step(params):
            return jax.grad(lambda p: method.loss(p, state, batch, key)[0])(params)

        return jax.jit(step).lower(params).compile().cost_analysis()["flops"]

    assert flops(freeze_parts(method, ("backbone",))) < 0.7 * flops(method)


def test_the_gradient_of_the_rest_is_that_of_a_model_in_the_same_mode(scene, key):
    method, batch, params, state = scene
    frozen = freeze_parts(method, ("backbone/stage_2",))

    def by_hand(moving):
        variables = {**params, "backbone": {**params["backbone"], "stage_1": moving}}
        return frozen.loss(variables, state, batch, key)[0]

    ours = jax.grad(lambda p: frozen.loss(p, state, batch, key)[0])(params)
    expected = jax.grad(by_hand)(params["backbone"]["stage_1"])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
        ours["backbone"]["stage_1"],
        expected,
    )


def test_parts_are_released_in_turn_and_some_never():
    schedule = FreezeSchedule(always=("stem",), parts=("top", "middle"), starts=(10, 20))
    assert schedule.frozen_at(0) == schedule.frozen_at(9) == ("stem", "top", "middle")
    assert schedule.frozen_at(10) == ("stem", "middle")
    assert schedule.frozen_at(20) == ("stem",)
