"""Public residual networks in our modules: torch's numbers, and nothing left out in silence."""

import os
import pickle
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_rendering
from torch_rendering import KINDS, checkpoint, images

from fairjax.interop import from_checkpoint, read_tensors, to_iresnet, write_tensors
from fairjax.models import BACKBONES


def built(found):
    """Our network as the checkpoint's own settings build it."""
    settings = dict(found.backbone)
    return BACKBONES[settings.pop("name")](**settings)


def applied(found, pixels):
    network = built(found)
    given = {name: tree["backbone"] for name, tree in found.variables.items()}
    variables = jax.tree.map(jnp.asarray, given)
    return np.asarray(network.apply(variables, jnp.asarray(pixels), train=False))


def assert_close(found, expected):
    """Equal up to float32 rounding of the largest number."""
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("kind", KINDS)
def test_ours_computes_what_torch_computes(kind):
    with np.load(torch_rendering.VECTORS) as stored:
        expected = stored[kind]
    found = from_checkpoint(checkpoint(kind))
    assert_close(applied(found, images()), expected)
    assert found.leftovers == (["fc.bias", "fc.weight"] if "torchvision" in kind else [])


@pytest.mark.parametrize("kind", KINDS)
def test_the_vectors_are_those_of_torch(kind):
    pytest.importorskip("torch")
    with np.load(torch_rendering.VECTORS) as stored:
        assert_close(torch_rendering.rendered(kind), stored[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_every_array_of_our_network_comes_from_the_file(kind):
    found = from_checkpoint(checkpoint(kind))
    network = built(found)
    shapes = jax.eval_shape(
        lambda: network.init({"params": jax.random.key(0)}, jnp.asarray(images()), train=False)
    )
    given = {name: tree["backbone"] for name, tree in found.variables.items()}
    assert jax.tree.map(np.shape, given) == jax.tree.map(np.shape, shapes)


def test_the_settings_say_which_network_it_is():
    found = from_checkpoint(checkpoint("insightface"))
    assert found.settings == (
        "backbone: name='iresnet', depth=18, dialect='insightface', dim=6, width=4; "
        "input.image_size=32"
    )
    assert from_checkpoint(checkpoint("torchvision_50")).backbone["depth"] == 50


@pytest.mark.parametrize("prefix", ["net.", "module.", "model."])
def test_prefixes_are_taken_off_beside_a_head(prefix):
    wrapped = {prefix + name: tensor for name, tensor in checkpoint("tface").items()}
    found = from_checkpoint(wrapped | {"head.kernel": np.ones((6, 3))})
    assert found.leftovers == ["head.kernel"]
    assert found.backbone["dialect"] == "tface"


def test_counters_are_passed_over_and_halves_become_floats():
    tensors = {name: tensor.astype(np.float16) for name, tensor in checkpoint("tface").items()}
    tensors |= {"input_layer.1.num_batches_tracked": np.array(7)}
    found = from_checkpoint(tensors)
    assert found.leftovers == []
    assert {leaf.dtype for leaf in jax.tree.leaves(found.variables)} == {np.dtype("float32")}


def test_a_bgr_network_sees_our_rgb_images_as_its_own():
    tensors = checkpoint("tface")
    plain = applied(from_checkpoint(tensors), images())
    turned = applied(from_checkpoint(tensors, channels="bgr"), images()[..., ::-1])
    assert_close(turned, plain)
    other = applied(from_checkpoint(tensors), images()[..., ::-1])
    assert np.abs(other - plain).max() > 1e-2 * np.abs(plain).max()


def without(kind, name):
    return {key: tensor for key, tensor in checkpoint(kind).items() if key != name}


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"conv.weight": np.ones((1, 1, 1, 1))}, "none of the known networks.*conv.weight"),
        (
            checkpoint("tface") | {"body.0.res_layer.se_block.fc1.weight": np.ones((1, 4, 1, 1))},
            "computes with body.0.res_layer.se_block.fc1.weight.*squeeze",
        ),
        (without("tface", "body.0.res_layer.2.running_mean"), "no norm after their first"),
        (
            checkpoint("tface") | {"body.0.res_layer.7.weight": np.ones((1, 1, 1, 1))},
            "bottlenecks of three convolutions",
        ),
        (
            checkpoint("insightface") | {"features.weight": np.full(6, 2.0)},
            "features.weight is a learned scale",
        ),
        (checkpoint("insightface") | {"fc.weight": np.ones((6, 33))}, "no square map of 32"),
        (
            checkpoint("torchvision_18") | {"layer5.0.conv1.weight": np.ones((1, 1, 1, 1))},
            "are no ResNet 18",
        ),
    ],
)
def test_another_network_is_refused_by_the_name_of_what_is_over(tensors, said):
    with pytest.raises(ValueError, match=said):
        from_checkpoint(tensors)


@pytest.mark.parametrize("kind", ["insightface", "tface"])
def test_our_iresnet_goes_back_under_their_names(kind):
    tensors = checkpoint(kind)
    back = to_iresnet(from_checkpoint(tensors).variables)
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(back[name], tensor, err_msg=name)
    with pytest.raises(ValueError, match="stage_1_unit_1/more/kernel has no name"):
        variables = from_checkpoint(tensors).variables
        variables["params"]["backbone"]["stage_1_unit_1"]["more"] = {"kernel": np.ones(1)}
        to_iresnet(variables)


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_a_file_gives_the_same_network(tmp_path, suffix):
    path = tmp_path / f"backbone.{suffix}"
    write_tensors(path, checkpoint("insightface"))
    expected = applied(from_checkpoint(checkpoint("insightface")), images())
    found = applied(from_checkpoint(read_tensors(path)), images())
    np.testing.assert_array_equal(found, expected)


class Evil:
    def __reduce__(self):
        return os.system, ("touch was_here",)


@pytest.mark.parametrize("suffix", ["pth", "pt", "bin", "ckpt"])
def test_a_pickle_that_poses_as_weights_runs_nothing(tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"backbone.{suffix}"
    path.write_bytes(pickle.dumps({"state_dict": Evil()}))  # bare, as torch wrote before 1.6
    with pytest.raises(ValueError, match="not a file of torch.save since version 1.6"):
        read_tensors(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"state_dict": Evil()}))
    with pytest.raises(ValueError, match="could run code; it is refused"):
        read_tensors(path)
    assert not (tmp_path / "was_here").exists()
