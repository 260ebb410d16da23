import jax
import jax.numpy as jnp
import numpy as np
import pytest
from grouped_example import (
    TARGETS,
    Stage,
    is_finite,
    losses_without_rows,
    pair_cosines,
    planted_people,
    preprocess,
    train,
)

from fairjax.losses import ArcFace
from fairjax.methods import METHODS

MARGIN = ArcFace(scale=16.0, margin=0.1)


def build(name="descon", **settings):
    return METHODS[name](
        backbone=Stage(),
        targets=TARGETS,
        preprocess=preprocess,
        margin=MARGIN,
        tta="none",
        **settings,
    )


def step_of(method, batch, key):
    params, model_state = jax.jit(method.init)(key, batch)
    step = jax.jit(jax.value_and_grad(method.loss, has_aux=True))
    (loss, aux), gradient = step(params, model_state, batch, key)
    x = Stage().apply({"params": params["backbone"]}, preprocess(batch["image"]), train=True)
    x = np.asarray(x, np.float64)
    return loss, aux, gradient, x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("negatives", ["all", "within_group", "hard"])
def test_the_contrastive_term_is_the_mean_over_groups_by_numpy(key, negatives):
    batch = planted_people(noise=80.0)
    batch["group"] = batch["group"].at[:2].set(-1)  # an anchor less, two negatives less
    batch["mask"] = batch["mask"].at[20:].set(False)  # the second person of C
    method = build(negatives=negatives, hard_count=2, temperature=0.2)
    loss, aux, gradient, x = step_of(method, batch, key)
    people, group = np.asarray(batch["identity"]), np.asarray(batch["group"])
    known = np.asarray(batch["mask"]) & (group >= 0)
    c, by_group = x @ x.T, {0: [], 1: [], 2: []}
    for i in np.flatnonzero(known):
        positives = np.flatnonzero(known & (people == people[i]) & (np.arange(24) != i))
        others = known & (people != people[i])
        if negatives != "all":
            others &= group == group[i]
        others = np.flatnonzero(others)
        if negatives == "hard":
            others = others[np.argsort(-c[i, others])][:2]
        total = np.exp(c[i, [*positives, *others]] / 0.2).sum()
        by_group[group[i]].append(-np.mean(np.log(np.exp(c[i, positives] / 0.2) / total)))
    expected = np.mean([np.mean(rows) for rows in by_group.values()])
    total, count = aux.scalars["loss_contrastive"]
    np.testing.assert_allclose(total / count, expected, rtol=1e-4)
    margin_total, rows = aux.scalars["loss_identity"]
    np.testing.assert_allclose(loss, margin_total / rows + expected, rtol=1e-4)
    total, count = aux.scalars["loss_contrastive_C"]
    assert count == 4
    np.testing.assert_allclose(total / count, np.mean(by_group[2]), rtol=1e-4)
    assert is_finite(gradient)


@pytest.mark.parametrize("negatives", ["all", "hard"])
def test_without_groups_pairs_or_rows_it_is_arcface(key, negatives):
    batch = planted_people()
    nobody = {**batch, "group": jnp.full_like(batch["group"], -1)}
    single = {**batch, "mask": jnp.arange(24) % 4 == 0}
    nothing = {**batch, "mask": jnp.zeros(24, bool)}
    for rows in (nobody, single, nothing):
        loss, aux, gradient, _ = step_of(build(negatives=negatives), rows, key)
        total, count = aux.scalars["loss_identity"]
        np.testing.assert_allclose(loss, total / max(count, 1), rtol=1e-6)
        assert is_finite(gradient)
        assert not count or not losses_without_rows(aux)


def group_gap(cosines, people, group):
    """Difference between C's and the others' mean of the largest impostor cosine in the group."""
    impostor = (people[:, None] != people[None]) & (group[:, None] == group[None])
    largest = np.where(impostor, cosines, -2).max(1)
    return largest[group == 2].mean() - largest[group != 2].mean()


def test_hard_negatives_within_groups_narrow_the_planted_gap(key):
    batch = planted_people(alike=0.85, noise=40.0)
    people, group = np.asarray(batch["identity"]), np.asarray(batch["group"])
    gaps = {}
    for name in ("descon", "cosine_margin"):
        method = build(name)
        state, _ = train(method, batch, key, steps=25, lr=0.02)
        gaps[name] = group_gap(pair_cosines(method, state, batch), people, group)
    assert gaps["descon"] < gaps["cosine_margin"], gaps
