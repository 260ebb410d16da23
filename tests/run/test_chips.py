import jax
import jax.numpy as jnp
import pytest

from fairjax.run.chips import peak_flops, step_flops


def test_a_chip_is_known_by_the_beginning_of_its_name():
    assert peak_flops("NVIDIA H100 80GB HBM3") == 989e12
    assert peak_flops("NVIDIA H100 PCIe") == 756e12, "the longer name comes first"
    assert peak_flops("NVIDIA L4") == 121e12
    assert peak_flops("NVIDIA L40S") == 362e12
    assert peak_flops("TPU v5 lite") == 197e12
    assert peak_flops("cpu") is None


@pytest.mark.parametrize("rows", [2, 8])
def test_a_matrix_product_counts_two_operations_for_each_multiply_add(rows):
    product = jax.jit(jnp.matmul)
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((rows, 5), (5, 3))]
    assert step_flops(product, *shapes) == 2 * rows * 5 * 3
