import jax
import jax.numpy as jnp
import numpy as np
from authors_vectors import authors_vectors

from fairjax.models.gac import AdaptiveUnit, GacNet


def test_unit_in_training_is_the_authors():
    v = authors_vectors("gac_block_train")
    theirs = v.y.transpose(0, 2, 3, 1)
    # The slopes of the last PReLU are not among the vectors. Of each channel the most negative
    # output tells its slope; the others then check it.
    last_slopes = np.ones(8)

    def norm(name):
        return {"scale": getattr(v, f"{name}_weight"), "bias": getattr(v, f"{name}_bias")}

    def conv(name):
        return {
            "base": getattr(v, f"{name}_kernel_base").transpose(2, 3, 1, 0),
            "masks": getattr(v, f"{name}_kernel_mask").transpose(0, 2, 3, 1),
        }

    params = {
        "norm_0": norm("p_bn0"),
        "conv_1": conv("p_conv1"),
        "norm_1": norm("p_bn1"),
        "prelu_1": {"slope": v.p_prelu1_weight},
        "prelu_2": {"slope": last_slopes},
        "conv_2": conv("p_conv2"),
        "norm_2": norm("p_bn2"),
        "shortcut_conv": {"kernel": v.p_downsample_0_weight.transpose(2, 3, 1, 0)},
        "shortcut_norm": norm("p_downsample_1"),
    }
    unit = AdaptiveUnit(width=8, strides=2, groups=4)
    x, group = jnp.asarray(v.x.transpose(0, 2, 3, 1), jnp.float32), jnp.asarray(v.group)
    variables = unit.init(jax.random.key(0), x, group, train=False)
    assert jax.tree.structure(params) == jax.tree.structure(variables["params"])
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), params)

    def output(params):
        return unit.apply(
            {**variables, "params": params}, x, group, train=True, mutable=["batch_stats"]
        )[0]

    plain = np.asarray(output(params)).reshape(-1, 8)
    first = plain.argmin(axis=0)
    slopes = theirs.reshape(-1, 8)[first, range(8)] / plain[first, range(8)]
    params["prelu_2"] = {"slope": jnp.asarray(slopes, jnp.float32)}
    np.testing.assert_allclose(output(params), theirs, rtol=2e-4, atol=2e-5 * abs(theirs).max())


def test_embeddings_depend_on_the_group_once_masks_differ(key):
    net = GacNet(depth=10, groups=3, width=8, dim=16)
    images = jax.random.normal(key, (3, 32, 32, 3))
    group = jnp.array([0, 1, 2])
    variables = net.init(key, images, group, train=False)
    same = net.apply(variables, images, jnp.zeros(3, int), train=False)
    np.testing.assert_allclose(net.apply(variables, images, group, train=False), same, rtol=1e-5)
    masks = variables["params"]["stage_1_unit_1"]["conv_1"]["masks"]
    variables["params"]["stage_1_unit_1"]["conv_1"]["masks"] = masks.at[1].multiply(2.0)
    moved = net.apply(variables, images, group, train=False)
    np.testing.assert_allclose(moved[0], same[0], rtol=1e-5)
    assert not np.allclose(moved[1], same[1], rtol=1e-2)


def test_without_groups_no_layer_has_masks_or_attention(key):
    net = GacNet(depth=10, width=8, dim=16)
    params = net.init(key, jnp.zeros((1, 32, 32, 3)), train=False)["params"]
    names = {path[-1].key for path, _ in jax.tree_util.tree_leaves_with_path(params)}
    assert names == {"kernel", "bias", "scale", "slope"}
