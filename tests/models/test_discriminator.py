import jax
import jax.numpy as jnp
import numpy as np
import pytest
from authors_vectors import authors_vectors

from fairjax.models.discriminator import IndependenceDiscriminator, MaskDiscriminator


def authors_mask_discriminator(v):
    """Our parameters and singular vectors from the authors': OIHW kernels, v in the order IHW."""
    params, spectral = {}, {}
    for number in (1, 2, 3):
        weight = getattr(v, f"conv{number}_0_weight_orig")
        features, channels, size, _ = weight.shape
        singular = getattr(v, f"conv{number}_0_weight_v").reshape(channels, size, size)
        params[f"conv_{number}"] = {"kernel": jnp.asarray(weight.transpose(2, 3, 1, 0))}
        spectral[f"conv_{number}"] = {
            "v": jnp.asarray(singular.transpose(1, 2, 0).ravel()),
            "u": jnp.asarray(getattr(v, f"conv{number}_0_weight_u")),
        }
        assert features == len(spectral[f"conv_{number}"]["u"])
    return {"params": params, "spectral": spectral}


def test_mask_discriminator_losses_and_gradient_are_the_authors():
    v = authors_vectors("automae_discriminator")
    with jax.enable_x64(True):
        variables = authors_mask_discriminator(v)
        maps = jnp.asarray(v.prob.reshape(4, 196))

        def judge(maps):
            return MaskDiscriminator().apply(variables, maps, train=False)

        out = judge(maps)
        real, to_maps = jax.value_and_grad(lambda m: jnp.mean((judge(m) - 1) ** 2))(maps)
    np.testing.assert_allclose(out, v.out[:, 0], rtol=1e-9)
    np.testing.assert_allclose(real, v.loss_real, rtol=1e-9)
    np.testing.assert_allclose(np.mean(np.asarray(out) ** 2), v.loss_fake, rtol=1e-9)
    np.testing.assert_allclose(to_maps, v.grad_real.reshape(4, 196), rtol=1e-8, atol=1e-10)


def test_power_steps_make_the_largest_singular_value_one(key):
    model = MaskDiscriminator()
    maps = jax.nn.softmax(jax.random.normal(key, (2, 196)))
    variables = model.init(key, maps, train=False)
    step = jax.jit(lambda v: model.apply(v, maps, train=True, mutable=["spectral"])[1])
    for _ in range(60):
        variables = {**variables, **step(variables)}
    for name, layer in variables["params"].items():
        kernel = np.asarray(layer["kernel"], np.float64)
        matrix = kernel.reshape(-1, kernel.shape[-1])
        spectral = variables["spectral"][name]
        ours = np.asarray(spectral["v"]) @ matrix @ np.asarray(spectral["u"])
        np.testing.assert_allclose(ours, np.linalg.norm(matrix, 2), rtol=1e-3)


def test_small_grids_leave_one_number_an_image_and_too_small_ones_are_refused(key):
    for side in (4, 7, 16):
        maps = jnp.full((3, side**2), 1 / side**2)
        variables = MaskDiscriminator().init(key, maps, train=False)
        assert MaskDiscriminator().apply(variables, maps, train=False).shape == (3,)
    with pytest.raises(ValueError, match="3x3 patches are too small for automae"):
        MaskDiscriminator().init(key, jnp.zeros((1, 9)), train=False)


def test_rows_of_padding_leave_the_independence_discriminator_as_it_is(key):
    model, rows = IndependenceDiscriminator(), jax.random.normal(key, (6, 4))
    variables = model.init(key, rows, train=False)

    def judged(rows, mask):
        return model.apply(variables, rows, mask, train=True, mutable=["batch_stats"])

    mask = jnp.arange(6) < 4
    masked, statistics = judged(rows, mask)
    alone, of_alone = judged(rows[:4], None)
    np.testing.assert_allclose(masked[:4], alone, rtol=1e-4, atol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), statistics, of_alone
    )
    nothing, statistics = judged(rows, jnp.zeros(6, bool))
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((nothing, statistics)))
