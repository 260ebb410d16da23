import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.losses.sample_pairs import (
    balanced_weights,
    hardest,
    instance_tpr_penalty,
    one_pair_a_person,
    same_person,
    supervised_contrastive,
    unified_threshold_loss,
)

LABELS = jnp.array([3, 1, 3, 3, 1, 2, 9, 9])
MASK = jnp.array([True] * 6 + [False] * 2)


def random_cosines(key, n):
    x = jax.random.normal(key, (n, 5))
    x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    return x @ x.T


def test_padding_is_of_nobody():
    same = np.asarray(same_person(LABELS, MASK))
    assert same[0].tolist() == [True, False, True, True] + [False] * 4
    assert same[5].tolist() == [False] * 5 + [True] + [False] * 2
    assert not same[6:].any() and not same[:, 6:].any()


def test_the_pair_of_a_person_is_its_first_two_images():
    pairs = one_pair_a_person(same_person(LABELS, MASK))
    assert pairs.paired.tolist() == [True, True] + [False] * 6
    assert pairs.second[:2].tolist() == [2, 4]


def test_the_unified_threshold_loss_by_hand():
    cosines = jnp.array([[0.5, 0.2], [0.1, 0.4]])
    own = jnp.eye(2, dtype=bool)
    counted = jnp.array([[True, True], [False, True]])
    got = unified_threshold_loss(cosines, own, counted, jnp.float32(3.0), scale=10.0, margin=0.1)
    first = np.log1p(np.exp(-(10 * 0.4 - 3))) + np.log1p(np.exp(10 * 0.2 - 3))
    np.testing.assert_allclose(got, [first, np.log1p(np.exp(-(10 * 0.3 - 3)))], rtol=1e-6)


def test_the_unified_threshold_is_where_misses_and_false_matches_pull_alike():
    """At the best threshold the sigmoids of missed and of wrongly accepted pairs sum up alike."""
    cosines = jnp.array([[0.9, 0.0, 0.1], [0.0, 0.8, 0.2], [0.1, 0.2, 0.7]])
    own, everything = jnp.eye(3, dtype=bool), jnp.ones((3, 3), bool)

    def total(b):
        return unified_threshold_loss(cosines, own, everything, b, scale=8.0, margin=0.0).sum()

    b = jnp.float32(0)
    for _ in range(200):
        b -= 0.5 * jax.grad(total)(b)
    misses = jax.nn.sigmoid(b - 8 * jnp.diag(cosines)).sum()
    false = jnp.where(~own, jax.nn.sigmoid(8 * cosines - b), 0.0).sum()
    np.testing.assert_allclose(misses, false, rtol=1e-3)
    assert 8 * 0.2 < b < 8 * 0.7


def test_the_tpr_penalty_by_hand():
    same = same_person(jnp.array([0, 0, 0, 1]), jnp.ones(4, bool))
    cosines = jnp.array(
        [[1.0, 0.8, 0.3, 0.9], [0.8, 1.0, 0.1, 0.0], [0.3, 0.1, 1.0, 0.0], [0.9, 0.0, 0.0, 1.0]]
    )
    got = instance_tpr_penalty(cosines, same, jnp.float32(0.5))
    mu = (4 * 1.0 + 2 * 0.8) / 6
    np.testing.assert_allclose(got.centre, mu, rtol=1e-6)
    expected = [(mu - 0.3) ** 2 / 3, (mu - 0.1) ** 2 / 3, ((mu - 0.3) ** 2 + (mu - 0.1) ** 2) / 3]
    np.testing.assert_allclose(got.penalty, [*expected, 0.0], rtol=1e-6)
    np.testing.assert_allclose(got.tpr, [2 / 3, 2 / 3, 1 / 3, 1.0], rtol=1e-6)


def test_without_a_row_the_tpr_penalty_is_zero_and_finite():
    none = jnp.zeros((3, 3), bool)

    def total(cosines):
        return instance_tpr_penalty(cosines, none, jnp.float32(-jnp.inf)).penalty.sum()

    value, gradient = jax.value_and_grad(total)(jnp.eye(3))
    assert value == 0 and not gradient.any()


def test_the_hardest_are_the_largest_candidates():
    cosines = jnp.array([[0.9, 0.1, 0.5, 0.7]] * 4)
    candidates = jnp.array(
        [[True] * 4, [False, True, True, True], [False] * 4, [True, False, False, False]]
    )
    kept = hardest(cosines, candidates, count=2)
    assert kept.tolist() == [
        [True, False, False, True],
        [False, False, True, True],
        [False] * 4,
        [True, False, False, False],
    ]


def contrastive_by_numpy(cosines, positives, negatives, temperature):
    rows = []
    for c, p, n in zip(np.asarray(cosines, np.float64), positives, negatives, strict=True):
        total = np.exp(c[p | n] / temperature).sum()
        rows.append(-np.mean(np.log(np.exp(c[p] / temperature) / total)) if p.any() else 0.0)
    return rows


def test_the_contrastive_loss_is_that_of_its_equation(key):
    cosines = random_cosines(key, 8)
    same = np.asarray(same_person(LABELS, MASK))
    positives = same & ~np.eye(8, dtype=bool)
    negatives = ~same & np.asarray(MASK)[:, None] & np.asarray(MASK)[None]
    negatives[1, 0] = False

    def total(cosines):
        rows = supervised_contrastive(
            cosines, jnp.asarray(positives), jnp.asarray(negatives), temperature=0.3
        )
        return rows.sum(), rows

    (_, got), gradient = jax.value_and_grad(total, has_aux=True)(cosines)
    expected = contrastive_by_numpy(cosines, positives, negatives, 0.3)
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    assert jnp.isfinite(gradient).all()
    assert not gradient[5:].any(), "a row without a positive, and padding, teach something"
    for i, j in ((0, 2), (0, 1), (1, 0)):
        step = np.zeros((8, 8))
        step[i, j] = 1e-5
        up, down = (
            sum(
                contrastive_by_numpy(np.asarray(cosines, np.float64) + s, positives, negatives, 0.3)
            )
            for s in (step, -step)
        )
        np.testing.assert_allclose(gradient[i, j], (up - down) / 2e-5, rtol=1e-3, atol=1e-5)


def test_groups_weigh_the_same_in_the_mean():
    group = jnp.array([0, 0, 0, 2, 1, -1])
    anchors = jnp.array([True, True, True, True, False, False])
    weights = balanced_weights(group, anchors, groups=4)
    np.testing.assert_allclose(weights, [4 / 6] * 3 + [4 / 2, 0, 0], rtol=1e-6)
    values = jnp.array([1.0, 2.0, 3.0, 10.0, 5.0, 5.0])
    np.testing.assert_allclose((weights * values).sum() / 4, (2.0 + 10.0) / 2, rtol=1e-6)
    assert not balanced_weights(group, jnp.zeros(6, bool), groups=4).any()


@pytest.mark.parametrize("n", [4, 8])
def test_the_order_of_rows_does_not_matter(key, n):
    cosines, labels = random_cosines(key, n), LABELS[:n]
    same = same_person(labels, jnp.ones(n, bool))
    order = jax.random.permutation(key, n)
    there = instance_tpr_penalty(cosines, same, jnp.float32(0.2)).penalty
    again = instance_tpr_penalty(
        cosines[order][:, order], same[order][:, order], jnp.float32(0.2)
    ).penalty
    np.testing.assert_allclose(there[order], again, rtol=1e-5)
