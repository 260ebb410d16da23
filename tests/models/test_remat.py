import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.models.iresnet import IResNet
from fairjax.models.resnet import ResNet
from fairjax.models.vit import ViT

MAKE = {
    "iresnet": lambda remat: IResNet(depth=10, width=4, dim=8, dropout=0.2, remat=remat),
    "resnet": lambda remat: ResNet(18, width=4, stages=2, remat=remat),
    "vit": lambda remat: ViT(dim=8, depth=3, heads=2, patch=4, dropout=0.2, remat=remat),
}


@pytest.mark.parametrize("name", MAKE)
def test_the_gradient_is_the_same_and_fewer_activations_are_kept_for_it(name, key):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 16, 16, 3)), jnp.float32)
    plain, again = (MAKE[name](remat) for remat in (False, True))
    variables = jax.jit(lambda key: plain.init(key, x, train=False))(key)
    shapes = jax.eval_shape(lambda key: again.init(key, x, train=False), key)
    assert jax.tree.structure(shapes) == jax.tree.structure(variables)

    def loss_of(module):
        def loss(params):
            y, moved = module.apply(
                {**variables, "params": params},
                x,
                train=True,
                rngs={"dropout": key},
                mutable=["batch_stats", "intermediates"],
            )
            return jnp.square(y).mean(), moved

        return loss

    kept, found = [], []
    for module in (plain, again):
        _, backward, _ = jax.eval_shape(
            lambda p, m=module: jax.vjp(loss_of(m), p, has_aux=True), variables["params"]
        )
        kept.append(sum(leaf.size for leaf in jax.tree.leaves(backward)))
        found.append(
            jax.jit(jax.value_and_grad(loss_of(module), has_aux=True))(variables["params"])
        )
    assert kept[1] < 0.6 * kept[0]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), *found)
