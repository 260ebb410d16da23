import jax
import jax.numpy as jnp
import numpy as np

from fairjax.losses.group_gaps import gap_between_groups, group_means, robust_weights

VALUES = jnp.array([1.0, 3.0, 8.0, 100.0, 7.0])
GROUP = jnp.array([0, 0, 2, 2, -1])
MASK = jnp.array([True, True, True, False, True])


def test_group_means_leave_out_padding_and_say_who_is_absent():
    mean, present = group_means(VALUES, GROUP, MASK, groups=3)
    np.testing.assert_array_equal(mean, [2.0, 0.0, 8.0])
    np.testing.assert_array_equal(present, [True, False, True])


def test_gap_by_hand():
    # Means 2 and 8, overall (1 + 3 + 8) / 3 = 4: deviations 2 and 4, mean 3.
    assert gap_between_groups(VALUES, GROUP, MASK, groups=3) == 3.0


def test_gap_of_equal_groups_is_zero_and_an_empty_batch_has_finite_gradients():
    assert gap_between_groups(jnp.ones(4), jnp.array([0, 0, 1, 1]), MASK[:4], groups=2) == 0
    gradient = jax.grad(gap_between_groups)(VALUES, GROUP, jnp.zeros(5, bool), groups=3)
    np.testing.assert_array_equal(gradient, 0)


def test_robust_weights_by_hand():
    # (1/2 e^log 2, 1/2 e^log 6, absent 0): 1 : 3 after the step
    weights = robust_weights(
        jnp.array([0.5, 0.5]), jnp.log(jnp.array([2.0, 6.0])), jnp.ones(2, bool), step=1.0
    )
    np.testing.assert_allclose(weights, [0.25, 0.75], rtol=1e-6)


def test_robust_weights_move_to_the_worst_group_and_ignore_absent_ones():
    weights = jnp.full(3, 1 / 3)
    for _ in range(200):
        weights = robust_weights(
            weights, jnp.array([1.0, 2.0, 9.0]), jnp.array([True, True, False]), step=0.1
        )
    assert weights[1] > 0.9 and np.isclose(weights.sum(), 1)
