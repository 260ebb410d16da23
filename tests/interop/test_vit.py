"""Weights there and back, and the same numbers as a torch model of the same architecture."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.interop import from_timm, read_tensors, to_timm, write_tensors
from fairjax.models.mae import MaskedAutoencoder
from fairjax.models.masking import select
from fairjax.models.vit import ViT, patchify

DIM, DEPTH, HEADS, PATCH, SIDE = 16, 2, 2, 4, 12


def random_like(key, shapes):
    leaves, tree = jax.tree.flatten(shapes)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(
        tree, [0.3 * jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=True)]
    )


@pytest.fixture(scope="module")
def autoencoder():
    encoder = ViT(dim=DIM, depth=DEPTH, heads=HEADS, patch=PATCH, pool="tokens", positions="sincos")
    model = MaskedAutoencoder(encoder, decoder_dim=8, decoder_depth=1, decoder_heads=2)
    images = jax.random.normal(jax.random.key(1), (2, SIDE, SIDE, 3))
    selection = select(jax.random.normal(jax.random.key(2), (2, 9)), ratio=0.6)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), images, selection, train=False))
    params = random_like(jax.random.key(0), shapes["params"])
    return model, params, images, selection


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_weights_go_out_to_a_file_and_come_back(autoencoder, tmp_path, suffix):
    _, params, _, _ = autoencoder
    path = tmp_path / f"weights.{suffix}"
    write_tensors(path, to_timm(params, patch=PATCH))
    back, leftovers = from_timm(read_tensors(path))
    assert not leftovers
    jax.tree.map(np.testing.assert_array_equal, back, jax.tree.map(np.asarray, params))


def test_what_has_no_place_is_named_and_a_head_goes_where_it_is_sent(autoencoder):
    tensors = to_timm(autoencoder[1], patch=PATCH)
    tensors |= {"head.weight": np.ones((3, DIM)), "head.bias": np.ones(3)}
    tensors |= {"head_dist.bias": np.ones(1)}
    tree, leftovers = from_timm(tensors)
    assert leftovers == ["head.bias", "head.weight", "head_dist.bias"]
    tree, leftovers = from_timm(tensors, head="race")
    assert leftovers == ["head_dist.bias"]
    assert tree["head_race"]["kernel"].shape == (DIM, 3)
    assert to_timm(tree, patch=PATCH, head="race")["head.weight"].shape == (3, DIM)


def test_something_else_than_a_transformer_is_refused():
    with pytest.raises(ValueError, match="found conv1.weight"):
        from_timm({"conv1.weight": np.ones((1, 1))})
    with pytest.raises(ValueError, match="backbone/stem has no name in timm"):
        to_timm({"backbone": {"stem": np.ones(1)}}, patch=PATCH)


def test_a_torch_rendering_of_mae_gives_the_same_guess(autoencoder):
    torch = pytest.importorskip("torch")
    model, params, images, selection = autoencoder
    state = {k: torch.tensor(v) for k, v in to_timm(params, patch=PATCH).items()}
    functional = torch.nn.functional

    def positions(dim):
        grid = np.stack(np.meshgrid(np.arange(3.0), np.arange(3.0)), axis=0)  # column, row
        halves = []
        for axis in grid.reshape(2, -1):
            angle = axis[:, None] / 10000 ** (np.arange(dim // 4) / (dim / 4))[None]
            halves += [np.sin(angle), np.cos(angle)]
        return torch.tensor(np.concatenate(halves, axis=1), dtype=torch.float32)

    def linear(x, name):
        return functional.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def norm(x, name):
        return functional.layer_norm(
            x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-6
        )

    def block(x, name, heads):
        b, n, d = x.shape
        qkv = linear(norm(x, f"{name}.norm1"), f"{name}.attn.qkv")
        q, k, v = qkv.reshape(b, n, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) / (d // heads) ** 0.5).softmax(-1)
        x = x + linear((weights @ v).transpose(1, 2).reshape(b, n, d), f"{name}.attn.proj")
        hidden = functional.gelu(linear(norm(x, f"{name}.norm2"), f"{name}.mlp.fc1"))
        return x + linear(hidden, f"{name}.mlp.fc2")

    pixels = torch.tensor(np.array(images)).permute(0, 3, 1, 2)
    x = functional.conv2d(
        pixels, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=PATCH
    )
    x = x.flatten(2).transpose(1, 2) + positions(DIM)
    keep = torch.tensor(np.array(selection.keep_ids)).long()
    x = torch.stack([row[ids] for row, ids in zip(x, keep, strict=True)])
    x = torch.cat([state["cls_token"].expand(2, 1, DIM), x], dim=1)
    for k in range(DEPTH):
        x = block(x, f"blocks.{k}", HEADS)
    x = linear(norm(x, "norm"), "decoder_embed")
    drawn = state["mask_token"].repeat(2, 9, 1)
    for row in range(2):
        drawn[row, keep[row]] = x[row, 1:]
    x = torch.cat([x[:, :1], drawn + positions(8)], dim=1)
    x = block(x, "decoder_blocks.0", 2)
    guess = linear(norm(x, "decoder_norm"), "decoder_pred")[:, 1:]

    ours = model.apply({"params": params}, images, selection, train=False)
    np.testing.assert_allclose(ours, guess.numpy(), rtol=1e-4, atol=1e-5)
    target = torch.tensor(np.array(patchify(images, patch=PATCH)))
    unfolded = functional.unfold(pixels, PATCH, stride=PATCH).reshape(2, 3, PATCH**2, 9)
    np.testing.assert_array_equal(  # theirs: row, column, channel, too
        target, unfolded.permute(0, 3, 2, 1).reshape(2, 9, -1).numpy()
    )


def test_a_torch_rendering_of_a_classifier_reads_our_class_token(tmp_path):
    """Learned positions and the class token: against PyTorch's own encoder layer."""
    torch = pytest.importorskip("torch")
    model = ViT(dim=DIM, depth=1, heads=HEADS, patch=PATCH)
    images = jax.random.normal(jax.random.key(1), (2, SIDE, SIDE, 3))
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False))["params"]
    params = random_like(jax.random.key(5), shapes)
    state = {k: torch.tensor(v) for k, v in to_timm({"backbone": params}, patch=PATCH).items()}
    layer = torch.nn.TransformerEncoderLayer(
        DIM,
        HEADS,
        4 * DIM,
        dropout=0.0,
        activation="gelu",
        layer_norm_eps=1e-6,
        batch_first=True,
        norm_first=True,
    )
    names = {
        "self_attn.in_proj_weight": "attn.qkv.weight",
        "self_attn.in_proj_bias": "attn.qkv.bias",
        "self_attn.out_proj.weight": "attn.proj.weight",
        "self_attn.out_proj.bias": "attn.proj.bias",
        "linear1.weight": "mlp.fc1.weight",
        "linear1.bias": "mlp.fc1.bias",
        "linear2.weight": "mlp.fc2.weight",
        "linear2.bias": "mlp.fc2.bias",
        "norm1.weight": "norm1.weight",
        "norm1.bias": "norm1.bias",
        "norm2.weight": "norm2.weight",
        "norm2.bias": "norm2.bias",
    }
    layer.load_state_dict({ours: state[f"blocks.0.{theirs}"] for ours, theirs in names.items()})
    x = torch.nn.functional.conv2d(
        torch.tensor(np.array(images)).permute(0, 3, 1, 2),
        state["patch_embed.proj.weight"],
        state["patch_embed.proj.bias"],
        stride=PATCH,
    )
    x = torch.cat([state["cls_token"].expand(2, 1, DIM), x.flatten(2).transpose(1, 2)], dim=1)
    x = layer.train()(x + state["pos_embed"])
    x = torch.nn.functional.layer_norm(
        x, (DIM,), state["norm.weight"], state["norm.bias"], eps=1e-6
    )
    ours = jnp.asarray(model.apply({"params": params}, images, train=False))
    np.testing.assert_allclose(ours, x[:, 0].detach().numpy(), rtol=1e-4, atol=1e-5)


def small_checkpoint(seed: int = 0) -> dict[str, np.ndarray]:
    """The tensors of a ViT of one block of width 8 on 2 x 2 patches, as timm names them."""
    rng = np.random.default_rng(seed)
    shapes = {
        "cls_token": (1, 1, 8),
        "pos_embed": (1, 5, 8),
        "patch_embed.proj.weight": (8, 3, 4, 4),
        "patch_embed.proj.bias": (8,),
        "blocks.0.norm1.weight": (8,),
        "blocks.0.norm1.bias": (8,),
        "blocks.0.attn.qkv.weight": (24, 8),
        "blocks.0.attn.qkv.bias": (24,),
        "blocks.0.attn.proj.weight": (8, 8),
        "blocks.0.attn.proj.bias": (8,),
        "blocks.0.norm2.weight": (8,),
        "blocks.0.norm2.bias": (8,),
        "blocks.0.mlp.fc1.weight": (16, 8),
        "blocks.0.mlp.fc1.bias": (16,),
        "blocks.0.mlp.fc2.weight": (8, 16),
        "blocks.0.mlp.fc2.bias": (8,),
        "norm.weight": (8,),
        "norm.bias": (8,),
    }
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def features(tree, x):
    model = ViT(patch=4, dim=8, depth=1, heads=2, mlp_ratio=2.0)
    return model.apply(
        {"params": jax.tree.map(jnp.asarray, tree["backbone"])}, jnp.asarray(x), train=False
    )


def test_layer_scale_is_folded_into_the_layer_before_it():
    plain = small_checkpoint()
    gamma = [np.linspace(0.1, 2, 8, dtype=np.float32), np.linspace(-1, 1, 8, dtype=np.float32)]
    scaled = plain | {"blocks.0.ls1.gamma": gamma[0], "blocks.0.ls2.gamma": gamma[1]}
    tree, leftovers = from_timm(scaled)
    assert leftovers == []
    by_hand = dict(plain)  # gamma * (W x + b) = (gamma W) x + gamma b
    for name, scale in (("attn.proj", gamma[0]), ("mlp.fc2", gamma[1])):
        by_hand[f"blocks.0.{name}.weight"] = scale[:, None] * plain[f"blocks.0.{name}.weight"]
        by_hand[f"blocks.0.{name}.bias"] = scale * plain[f"blocks.0.{name}.bias"]
    known, _ = from_timm(by_hand)
    for ours, theirs in zip(jax.tree.leaves(tree), jax.tree.leaves(known), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    images = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype(np.float32)
    assert np.abs(features(tree, images) - features(from_timm(plain)[0], images)).max() > 0.01


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_the_prefixes_of_wrappers_are_taken_off(prefix):
    plain = small_checkpoint()
    tree, leftovers = from_timm({prefix + name: tensor for name, tensor in plain.items()})
    assert leftovers == []
    np.testing.assert_array_equal(tree["backbone"]["cls"], plain["cls_token"].ravel())


def test_positions_of_patches_alone_get_a_row_of_zeros_for_the_class_token():
    plain = small_checkpoint()
    plain["pos_embed"] = plain["pos_embed"][:, 1:]
    positions = from_timm(plain)[0]["backbone"]["positions"]
    np.testing.assert_array_equal(positions[0], np.zeros(8))
    np.testing.assert_array_equal(positions[1:], plain["pos_embed"][0])


@pytest.mark.parametrize(
    "name",
    [
        "reg_token",
        "register_tokens",
        "norm_pre.weight",
        "dist_token",
        "blocks.0.attn.q_norm.weight",
    ],
)
def test_a_network_that_ours_is_not_is_refused(name):
    with pytest.raises(ValueError, match=f"computes with {name}"):
        from_timm(small_checkpoint() | {name: np.ones((1, 1, 8), np.float32)})


def test_other_heads_are_left_out_and_named():
    assert from_timm(small_checkpoint() | {"head.weight": np.ones((2, 8))})[1] == ["head.weight"]
