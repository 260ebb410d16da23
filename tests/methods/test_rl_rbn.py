import jax
import jax.numpy as jnp
import numpy as np
import pytest
from grouped_example import TARGETS, Stage, is_finite, planted_people, preprocess, train

from fairjax.losses import ArcFace, CosFace
from fairjax.methods import METHODS
from fairjax.models.margin_policy import make_states, write_policy

MARGINS = {
    "cosface": CosFace(scale=16.0, margin=0.35),
    "arcface": ArcFace(scale=16.0, margin=0.5),
}


def build(name="rl_rbn", margin="cosface", **settings):
    return METHODS[name](
        backbone=Stage(),
        targets=TARGETS,
        preprocess=preprocess,
        margin=MARGINS.get(margin, margin),
        tta="none",
        **settings,
    )


def policy(tmp_path, *, action):
    """A file by which every group but the reference takes one action in every state."""
    states = make_states(
        TARGETS["group"].values,
        reference="",
        margin="cosface",
        start=0.35,
        lowest=0.2,
        highest=0.6,
        step=0.05,
        edges=(0.01, 0.02, 0.04, 0.08),
    )
    table = np.zeros(states.shape, np.float32)
    table[..., action] = 1
    write_policy(tmp_path / "policy.json", states, table)
    return str(tmp_path / "policy.json")


@pytest.mark.parametrize("margin", MARGINS)
def test_each_row_has_its_groups_margin(key, margin):
    batch = planted_people()
    batch["group"] = batch["group"].at[0].set(-1)  # unknown: the margin at the start
    method = build(margin=margin)
    params, model_state = jax.jit(method.init)(key, batch)
    margins = jnp.array([0.3, 0.4, 0.55])
    own_state = {**model_state["extension"], "margins": margins}
    (loss, aux), gradient = jax.jit(jax.value_and_grad(method.loss, has_aux=True))(
        params, {**model_state, "extension": own_state}, batch, key
    )
    x = Stage().apply({"params": params["backbone"]}, preprocess(batch["image"]), train=True)
    x, w = np.asarray(x, np.float64), np.asarray(params["head"]["kernel"], np.float64)
    x, w = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, w))
    c, own = x @ w.T, np.eye(6, dtype=bool)[np.asarray(batch["identity"])]
    m = np.asarray(margins, np.float64)[np.asarray(batch["group"])]
    m[0] = MARGINS[margin].margin
    u = c[own] - m if margin == "cosface" else np.cos(np.arccos(c[own]) + m)
    rows = np.log(np.exp(16 * np.where(own, u[:, None], c)).sum(1)) - 16 * u
    np.testing.assert_allclose(loss, rows.mean(), rtol=1e-4)
    assert is_finite(gradient)
    collected = aux.model_state["extension"]
    assert collected["images"].tolist() == [4.0] * 6
    assert collected["group"].tolist() == [0, 0, 1, 1, 2, 2]
    np.testing.assert_allclose(
        collected["cosines"], c[own].reshape(6, 4).sum(1), rtol=1e-4, atol=1e-5
    )


def test_without_a_policy_it_is_cosface(key):
    batch, method, plain = planted_people(), build(), build("cosine_margin")
    params, model_state = jax.jit(method.init)(key, batch)
    loss, _ = jax.jit(method.loss)(params, model_state, batch, key)
    expected, _ = jax.jit(plain.loss)(params, {}, batch, key)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    assert method.after_epoch is None


def test_margins_move_between_epochs_as_the_policy_says(key, tmp_path):
    batch = planted_people()
    method = build(policy=policy(tmp_path, action=1), every_epochs=2)
    state, logged = train(method, batch, key, steps=9, lr=0.01, steps_per_epoch=2.0)
    # Moves after epochs 2 and 4; the reference, A, stays.
    assert [round(s["margin_B"], 2) for s in logged] == [0.35] * 4 + [0.4] * 4 + [0.45]
    assert all(s["margin_A"] == pytest.approx(0.35) for s in logged)
    own = state.model_state["extension"]
    assert own["images"].tolist() == [4.0] * 6, "counts of earlier epochs are left"


def test_a_group_without_people_keeps_its_margin(key, tmp_path):
    batch = planted_people()
    batch["group"] = jnp.where(batch["group"] == 2, -1, batch["group"])
    method = build(policy=policy(tmp_path, action=2))
    state, logged = train(method, batch, key, steps=3, lr=0.01, steps_per_epoch=1.0)
    np.testing.assert_allclose(
        state.model_state["extension"]["margins"], [0.35, 0.2, 0.35], rtol=1e-5
    )
    assert all(np.isfinite(s["loss"]) for s in logged)


def test_a_policy_of_another_step_is_refused(tmp_path):
    with pytest.raises(ValueError, match="learned with step=0.05, and this run has 0.1"):
        build(policy=policy(tmp_path, action=0), step=0.1)
