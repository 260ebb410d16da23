import jax
import jax.numpy as jnp
import numpy as np
import pytest
from grouped_example import (
    TARGETS,
    TASKS,
    Stage,
    genders_by_group,
    is_finite,
    losses_without_rows,
    make_batch,
    preprocess,
    train,
    value_and_gradient,
)

from fairjax.losses.adversarial import reverse_gradient
from fairjax.methods import METHODS
from fairjax.methods.fair_mixup import (
    Pairs,
    draw_pairs,
    pair_cells,
    slope_penalty,
    slopes_along,
)


def build(**settings):
    return METHODS["fair_mixup"](
        backbone=Stage(), targets=TARGETS, preprocess=preprocess, tasks=TASKS, **settings
    )


def test_pairs_are_of_two_groups_and_one_label_and_leave_padding_out():
    group = jnp.array([0, 0, 1, 1, 2, -1, 0, 1])
    labels = jnp.array([0, 1, 0, 1, 0, 0, 1, 0])
    mask = jnp.array([True] * 7 + [False])
    seen = set()
    for number in range(30):
        pairs = draw_pairs(jax.random.key(number), group, labels, mask)
        assert pairs.drawn.tolist() == [True, True, True, True, True, False, True, False]
        for row in np.flatnonzero(pairs.drawn):
            a, b = int(pairs.first[row]), int(pairs.second[row])
            assert row in (a, b) and group[a] < group[b] and labels[a] == labels[b]
            assert mask[a] and mask[b]
            seen.add((a, b))
    assert seen == {(0, 2), (0, 4), (2, 4), (1, 3), (6, 3)}
    assert pairs.first[5] == pairs.second[5] == 5


def test_the_penalty_by_hand():
    slopes = jnp.array([[0.4, -0.4], [-0.2, 0.2], [0.1, -0.1], [0.5, -0.5], [9.0, 9.0]])
    group = jnp.array([0, 0, 1, 0, 0])
    pairs = Pairs(jnp.array([0, 1, 2, 3, 4]), jnp.array([2, 2, 2, 2, 4]), jnp.arange(5) < 4)
    cell = pair_cells(pairs, group, groups=3)
    assert cell[:2].tolist() == [1, 1]
    cell = jnp.array([1, 1, 5, 1, 1])  # groups 0 and 1, and 1 and 2
    labels = jnp.array([0, 0, 0, 1, 0])
    settings = {"cells": 9, "classes": 2}
    got = slope_penalty(slopes, cell, labels, pairs.drawn, **settings)
    np.testing.assert_allclose(got, (0.1 + 0.1) / 2 + 0.5, rtol=1e-6)
    none = slope_penalty(slopes, cell, labels, jnp.zeros(5, bool), **settings)
    assert none == 0


@pytest.mark.parametrize("criterion", ["demographic_parity", "equalised_odds"])
def test_the_penalty_is_the_slope_along_the_blend_by_differences(key, criterion):
    batch = make_batch()
    batch["group"] = batch["group"].at[0].set(-1)
    batch["mask"] = batch["mask"].at[11].set(False)
    method = build(criterion=criterion, weight=3.0)
    loss, aux, gradient, params = value_and_gradient(method, batch, key)
    share_key, pair_key, _ = jax.random.split(jax.random.split(key)[1], 3)
    share = float(jax.random.beta(share_key, 1.0, 1.0))
    group, gender = np.asarray(batch["group"]), np.asarray(batch["gender"])
    labels = gender if criterion == "equalised_odds" else 0 * gender
    pairs = draw_pairs(pair_key, batch["group"], jnp.asarray(labels), batch["mask"])
    images = np.asarray(preprocess(batch["image"]), np.float64)
    first, second = images[np.asarray(pairs.first)], images[np.asarray(pairs.second)]

    def probability(share):
        with jax.enable_x64(True):
            own = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), params)
            blend = jnp.asarray(share * first + (1 - share) * second)
            features = Stage().apply({"params": own["backbone"]}, blend, train=True)
            head = own["head_gender"]
            return np.asarray(jax.nn.softmax(features @ head["kernel"] + head["bias"][None]))

    slopes = (probability(share - 1e-6) - probability(share + 1e-6)) / 2e-6
    expected = 0.0
    for y in set(labels.tolist()):
        cells = []
        for a, b in ((0, 1), (0, 2), (1, 2)):
            rows = np.asarray(pairs.drawn) & (labels == y)
            rows &= (group[np.asarray(pairs.first)] == a) & (group[np.asarray(pairs.second)] == b)
            if rows.any():
                cells.append(np.abs(slopes[rows].mean(axis=0)).mean())
        expected += np.mean(cells) if cells else 0.0
    np.testing.assert_allclose(aux.scalars["mixup_penalty"][0], expected, rtol=1e-3)
    tasks = [aux.scalars[f"{name}_loss"] for name in ("gender", "age")]
    main = sum(float(total) / float(count) for total, count in tasks)
    np.testing.assert_allclose(loss, main + 3 * expected, rtol=1e-3)
    assert is_finite(gradient)


def test_unknown_and_absent_groups_give_no_nan(key):
    batch = make_batch()
    for group in (-1, 0):
        batch["group"] = jnp.full_like(batch["group"], group)
        loss, aux, gradient, _ = value_and_gradient(build(), batch, key)
        assert not losses_without_rows(aux)
        assert is_finite((loss, gradient))
        assert aux.scalars["mixup_penalty"][0] == 0


def test_the_running_statistics_are_those_of_real_images_alone(key):
    def moved(weight):
        method = METHODS["fair_mixup"](
            backbone=Stage(norm=True),
            targets=TARGETS,
            preprocess=preprocess,
            tasks=TASKS,
            weight=weight,
        )
        return value_and_gradient(method, make_batch(), key)[1].model_state

    plain = METHODS["classify"](
        backbone=Stage(norm=True), targets=TARGETS, preprocess=preprocess, tasks=TASKS
    )
    expected = value_and_gradient(plain, make_batch(), key)[1].model_state
    jax.tree.map(np.testing.assert_array_equal, moved(5.0), expected)


def test_the_gap_in_demographic_parity_shrinks(key):
    batch = genders_by_group()

    group = np.asarray(batch["group"])

    def gap(weight):
        state, _ = train(build(weight=weight), batch, key, steps=60, lr=0.01)
        columns = jax.jit(build().predict)(state.variables, batch)
        probability = np.asarray(columns["prob_gender"])[:, 1]
        return abs(probability[group == 0].mean() - probability[group == 1].mean())

    free, penalised = gap(0.0), gap(8.0)
    assert free > 0.4
    assert penalised < 0.5 * free


def test_a_layer_without_a_second_derivative_is_refused_in_one_line():
    x = jnp.ones((2, 3))
    np.testing.assert_allclose(slopes_along(jnp.sin, x, 2 * x), 2 * np.cos(1.0) * x, rtol=1e-6)
    with pytest.raises(ValueError, match="fused attention lacks; set config.compute_dtype"):
        slopes_along(lambda x: reverse_gradient(x, 1.0), x, x)
