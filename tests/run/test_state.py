"""A state that starts from another model's weights."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fairjax.models.vit import sincos_positions
from fairjax.run.state import TrainState, _check_positions, start_from


def fresh(averaged=False):
    params = {
        "backbone": {"stem": {"kernel": jnp.zeros(3)}, "norm": {"scale": jnp.ones(3)}},
        "head": {"kernel": jnp.zeros((3, 2))},
    }
    model_state = {"batch_stats": {"backbone": {"norm": {"mean": jnp.zeros(3)}}}}
    average = {"params": params, **model_state} if averaged else None
    return TrainState(jnp.int32(0), params, model_state, optax.sgd(0.1).init(params), average)


def other():
    return {
        "params": {
            "backbone": {"stem": {"kernel": np.arange(3.0)}, "old_norm": {"scale": np.ones(3)}},
            "head": {"kernel": np.ones((3, 5))},
        },
        "batch_stats": {"backbone": {"norm": {"mean": np.full(3, 2.0)}}},
    }


def test_the_part_takes_the_others_weights_and_statistics_and_the_rest_stays_fresh():
    state = start_from(fresh(), other(), part="backbone")
    np.testing.assert_array_equal(state.params["backbone"]["stem"]["kernel"], [0, 1, 2])
    np.testing.assert_array_equal(state.model_state["batch_stats"]["backbone"]["norm"]["mean"], 2)
    np.testing.assert_array_equal(state.params["backbone"]["norm"]["scale"], 1)
    assert state.params["head"]["kernel"].shape == (3, 2)
    assert set(state.params["backbone"]) == {"stem", "norm"}


def test_the_average_starts_there_too_with_arrays_of_its_own():
    state = start_from(fresh(averaged=True), other(), part="backbone")
    kept = state.average["params"]["backbone"]["stem"]["kernel"]
    np.testing.assert_array_equal(kept, [0, 1, 2])
    assert kept is not state.params["backbone"]["stem"]["kernel"]


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("trunk", "'trunk' is no part of this model; it has 'all', 'backbone', 'head'"),
        ("all", r"params/head/kernel is \(3, 2\) here and \(3, 5\) there"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_path(part, said):
    with pytest.raises(ValueError, match=said):
        start_from(fresh(), other(), part=part)


def test_a_model_that_shares_nothing_is_refused():
    with pytest.raises(ValueError, match="shares no array of 'head'"):
        start_from(fresh(), {"params": {"trunk": {"kernel": np.ones(3)}}}, part="head")


def test_learned_positions_are_not_dropped_for_a_model_that_makes_its_own():
    path = ("params", "backbone", "positions")
    _check_positions([path], {path: sincos_positions(3, 8)})  # the same table is no loss
    with pytest.raises(ValueError, match="learned positions"):
        _check_positions([path], {path: np.ones((10, 8), np.float32)})


def test_a_checkpoint_of_another_library_must_be_whole():
    built = "backbone: name='iresnet', depth=50"
    with pytest.raises(ValueError, match="another network") as raised:
        start_from(fresh(), deeper(), part="backbone", settings=built)
    assert "this model has no params/backbone/stage_9/kernel" in str(raised.value)
    assert str(raised.value).endswith(f"To build it: {built}.")
    shallow = {"params": {"backbone": {"norm": {"scale": np.ones(3)}}}}
    with pytest.raises(ValueError, match="it lacks params/backbone/stem/kernel"):
        start_from(fresh(), shallow, part="backbone", settings=built)


def deeper():
    made = other()
    made["params"]["backbone"] = {
        "stem": {"kernel": np.arange(3.0)},
        "norm": {"scale": np.ones(3)},
        "stage_9": {"kernel": np.ones(3)},
    }
    return made


def test_the_last_norm_of_a_transformer_may_be_another():
    made = other()
    made["params"]["backbone"] = {
        "stem": {"kernel": np.arange(3.0)},
        "pooled_norm": {"scale": np.ones(3)},
    }
    state = start_from(fresh(), made, part="backbone", settings="backbone: name='vit'")
    np.testing.assert_array_equal(state.params["backbone"]["stem"]["kernel"], [0, 1, 2])


def test_a_part_may_take_another_parts_weights():
    state = fresh()
    scorer = {"stem": {"kernel": jnp.zeros(3)}}
    state = dataclasses.replace(state, params={**state.params, "scorer": scorer})
    started = start_from(state, other(), part="scorer=backbone")
    np.testing.assert_array_equal(started.params["scorer"]["stem"]["kernel"], [0, 1, 2])
    np.testing.assert_array_equal(started.params["backbone"]["stem"]["kernel"], 0)
    with pytest.raises(ValueError, match="shares no array of 'scorer'"):
        start_from(state, other(), part="scorer=head")
