import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.models.margin_policy import greedy, make_states, read_policy, write_policy

SETTINGS = {
    "reference": "B",
    "margin": "cosface",
    "start": 0.35,
    "lowest": 0.2,
    "highest": 0.6,
    "step": 0.05,
    "edges": (0.01, 0.1),
}


def states(groups=("A", "B", "C"), **changes):
    return make_states(groups, **{**SETTINGS, **changes})


def test_a_state_is_group_margin_and_two_buckets():
    made = states()
    assert made.shape == (3, 9, 3, 3, 3)
    assert made.place(jnp.array([0.2, 0.35, 0.6, 0.7])).tolist() == [0, 3, 8, 8]
    assert made.bucket(jnp.array([0.0, 0.01, 0.05, 0.5])).tolist() == [0, 1, 1, 2]


def test_the_reference_keeps_its_margin_and_the_others_stay_within_the_range():
    made = states()
    moved = made.moved(jnp.array([0.6, 0.35, 0.4]), jnp.array([1, 1, 2]))
    np.testing.assert_allclose(moved, [0.6, 0.35, 0.35], rtol=1e-6)


def test_the_action_with_the_largest_value_is_taken_and_ties_keep():
    made, table = states(), np.zeros(states().shape, np.float32)
    table[0, 3, 2, 0] = [0.0, 1.0, 0.5]
    table[2, 3, 2, 0] = [0.0, -1.0, 0.5]
    arguments = jnp.full(3, 0.35), jnp.full(3, 0.2), jnp.zeros(3)
    assert greedy(jnp.asarray(table), made, *arguments).tolist() == [1, 0, 2]


def test_a_policy_is_read_as_written_and_one_of_another_config_is_refused(tmp_path):
    path = tmp_path / "policy.json"
    table = np.arange(np.prod(states().shape), dtype=np.float32).reshape(states().shape)
    write_policy(path, states(), table)
    np.testing.assert_array_equal(read_policy(str(path), states()), table)
    for change, message in (
        ({"groups": ("A", "B")}, r"learned with groups=\['A', 'B', 'C'\]"),
        ({"reference": "A"}, "learned with reference='B', and this run has 'A'"),
        ({"margin": "arcface"}, "learned with margin='cosface', and this run has 'arcface'"),
        ({"highest": 0.5}, "learned with highest=0.6, and this run has 0.5"),
        ({"edges": (0.02,)}, "learned with edges="),
    ):
        with pytest.raises(ValueError, match=message) as error:
            read_policy(str(path), states(**change))
        assert "\n" not in str(error.value)
        assert "fairjax margins" in str(error.value)


@pytest.mark.parametrize("content", ["", "[]", '{"format": "other"}', "{broken"])
def test_a_file_that_is_no_policy_is_refused(tmp_path, content):
    path = tmp_path / "policy.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="is no table of margins"):
        read_policy(str(path), states())
    with pytest.raises(ValueError, match="is no table of margins"):
        read_policy(str(tmp_path / "missing.json"), states())


def test_a_table_with_holes_is_refused(tmp_path):
    path = tmp_path / "policy.json"
    write_policy(path, states(), np.zeros((3, 9, 3, 3)))
    with pytest.raises(ValueError, match="holds no finite table"):
        read_policy(str(path), states())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reference": "D"}, "reference='D' is no group; they are: A, B, C"),
        ({"start": 0.7}, "margin.margin=0.7 must lie between config.method.lowest=0.2"),
        ({"lowest": -0.1}, "must lie between config.method.lowest=-0.1"),
        ({"step": 0.0}, "step=0.0 must be above 0 and at most"),
        ({"step": 0.5}, "step=0.5 must be above 0 and at most"),
        ({"edges": (0.1, 0.01)}, "must rise from above 0"),
    ],
)
def test_settings_out_of_range_are_one_line(change, message):
    with pytest.raises(ValueError, match=message):
        states(**change)
