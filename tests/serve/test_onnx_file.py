"""Any .onnx embedder: what it takes is found or stated, and what is none is refused in one line."""

import json

import numpy as np
import onnx_graphs as graphs
import pytest

from fairjax.serve import ModelError, load
from fairjax.serve.load import load_with_notes
from fairjax.serve.onnx_file import METADATA, OnnxInput


def pictures(n=5, size=graphs.SIZE):
    return np.random.default_rng(3).integers(0, 256, (n, size, size, 3), np.uint8)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("batch", ["n", 1, 2])
def test_embeddings_are_those_of_the_graph(layout, batch, tmp_path):
    model = load(graphs.embedder(tmp_path / "m.onnx", layout=layout, batch=batch))
    images = pictures()
    np.testing.assert_allclose(model.embed(images), graphs.expected(images), rtol=1e-4, atol=1e-4)
    assert model.embed(images).dtype == np.float32
    assert model.preprocessing.layout == layout
    assert model.preprocessing.found["size"] == "graph"
    assert model.preprocessing.found["mean"] == "assumed"
    np.testing.assert_allclose(
        model.embed(images, batch_size=2), model.embed(images), rtol=1e-5, atol=1e-5
    )


def test_a_graph_that_scales_its_pixels_gets_them_as_they_are(tmp_path):
    model = load(graphs.embedder(tmp_path / "m.onnx", scaled=True))
    assert model.preprocessing.mean == (0.0, 0.0, 0.0)
    assert model.preprocessing.found["mean"] == "graph"
    images = pictures()
    np.testing.assert_allclose(
        model.embed(images), graphs.expected(images, std=128), rtol=1e-4, atol=1e-4
    )


def test_flags_win(tmp_path):
    stated = OnnxInput(colour="BGR", mean=(10.0,), std=(20.0,), size=(8, 8), layout="NCHW")
    model, _ = load_with_notes(graphs.embedder(tmp_path / "m.onnx", size="s"), stated=stated)
    images = pictures()
    np.testing.assert_allclose(
        model.embed(images),
        graphs.expected(images, mean=10, std=20, bgr=True),
        rtol=1e-4,
        atol=1e-3,
    )
    assert model.preprocessing.describe() == "8 x 8 BGR, as they are, (pixel - 10) / 20"


def test_flip_sums_or_joins_both_embeddings(tmp_path):
    path, images = graphs.embedder(tmp_path / "m.onnx"), pictures()
    one, other = graphs.expected(images), graphs.expected(images[:, :, ::-1])
    for flip, both in (("sum", one + other), ("concat", np.concatenate([one, other], axis=1))):
        unit = both / np.linalg.norm(both, axis=1, keepdims=True)
        np.testing.assert_allclose(load(path, flip=flip).embed(images), unit, atol=1e-5)


def test_weights_beside_the_file_are_read_and_hashed(tmp_path):
    plain = load(graphs.embedder(tmp_path / "m.onnx"))
    apart = load(graphs.external(graphs.embedder(tmp_path / "e.onnx"), "e.bin"))
    images = pictures()
    np.testing.assert_allclose(apart.embed(images), plain.embed(images), rtol=1e-5)
    content = bytearray((tmp_path / "e.bin").read_bytes())
    content[0] ^= 1
    (tmp_path / "e.bin").write_bytes(bytes(content))
    assert load(tmp_path / "e.onnx").hash != apart.hash


def test_half_precision_is_said_and_close(tmp_path):
    model, notes = load_with_notes(graphs.embedder(tmp_path / "m.onnx", half=True))
    assert len(notes) == 1 and "half precision" in notes[0]
    images = pictures()
    found, whole = model.embed(images), graphs.expected(images)
    assert 0 < np.abs(found - whole).max() < 0.02 * np.abs(whole).max()


def refused(path, **stated):
    with pytest.raises(ModelError) as caught:
        load_with_notes(path, stated=OnnxInput(**stated))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_no_embedder_is_refused_in_one_line(tmp_path):
    def made(**how):
        return graphs.embedder(tmp_path / "m.onnx", **how)

    assert "2 inputs (in0, in1)" in refused(made(inputs=2))
    assert "no output is an embedding" in refused(made(reshaped=(2, 8)))
    assert "no output is an embedding" in refused(made(kernel=graphs.weights(dim=4)))  # four scores
    assert "class probabilities" in refused(made(last="Softmax"))
    assert "the same for two unlike images" in refused(made(kernel=np.zeros((192, 16), np.float32)))
    assert "say --size" in refused(made(size="s"))
    assert "takes images of 8 x 8, not 9 x 9" in refused(made(), size=(9, 9))
    assert "no output 'x'; it has out" in refused(made(), output="x")
    for content in (b"", b"not a graph", made().read_bytes()[:-40]):
        (tmp_path / "bad.onnx").write_bytes(content)
        assert "bad.onnx" in refused(tmp_path / "bad.onnx")
    assert "does not exist" in refused(tmp_path / "absent.onnx")
    (tmp_path / "model.pth").write_bytes(b"x")
    assert "a run starts from them with config.init.run" in refused(tmp_path / "model.pth")


OWN = {
    "preprocessing": {"height": 8, "width": 8, "mean": [0.0] * 3, "std": [1.0] * 3}
    | {"layout": "NCHW", "resizes": True},
    "outputs": {"embedding": "out"},
    **{"targets": {}, "tasks": {}, "model": "ours", "weights_hash": "sha256:1"},
    "checkpoint_step": 3,
}


def test_what_our_export_says_of_itself_is_taken_and_not_overruled(tmp_path):
    def made(own):
        properties = {METADATA: own if isinstance(own, str) else json.dumps(own)}
        return graphs.embedder(tmp_path / "m.onnx", properties=properties)

    model = load(made(OWN))
    assert (model.name, model.hash, model.step) == ("ours", "sha256:1", 3)
    expected = graphs.expected(pictures(), mean=0, std=1)
    np.testing.assert_allclose(model.embed(pictures()), expected, rtol=1e-4, atol=0.1)
    assert "leave the input flags out" in refused(made(OWN), colour="BGR")
    assert load_with_notes(made(OWN), stated=OnnxInput(resizes=True))[0].preprocessing.resizes
    for name in OWN:
        if name == "preprocessing":
            continue
        left = {key: value for key, value in OWN.items() if key != name}
        assert f"damaged (KeyError: '{name}')" in refused(made(left))
    for damaged in ({}, 3, {**OWN["preprocessing"], "mean": 0}, {**OWN["preprocessing"], "x": 1}):
        assert "is damaged" in refused(made({**OWN, "preprocessing": damaged}))
    assert "damaged" in refused(made({**OWN, "outputs": 7}))
    assert "cannot be run on an image" in refused(made({**OWN, "outputs": {"embedding": "no"}}))
    assert load(made("{")).name == "m.onnx"  # somebody else's use of the key


@pytest.mark.parametrize("location", ["../out.bin", "link.bin", ""])
def test_weights_outside_the_folder_are_not_read(location, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "out.bin").write_bytes(graphs.weights().tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "out.bin")
    path = graphs.external(graphs.embedder(folder / "m.onnx"), location, write=False)
    assert "outside the model's folder" in refused(path)


def test_weights_that_are_missing_or_cut_short_are_said(tmp_path):
    path = graphs.external(graphs.embedder(tmp_path / "m.onnx"), "w.bin")
    content = (tmp_path / "w.bin").read_bytes()
    (tmp_path / "w.bin").write_bytes(content[:-1])
    assert "cut short" in refused(path)
    (tmp_path / "w.bin").unlink()
    assert "'w.bin' are missing" in refused(path)


@pytest.mark.parametrize(
    "images",
    [np.zeros((1, 9, 9, 3), np.uint8), np.zeros((1, 8, 8, 3)), np.zeros((8, 8, 3), np.uint8)],
)
def test_images_of_another_form_are_refused(images, tmp_path):
    model = load(graphs.embedder(tmp_path / "m.onnx"))
    with pytest.raises(ModelError, match=r"takes uint8 \[images, 8, 8, 3\]"):
        model.embed(images)


def test_no_image_gives_no_row(tmp_path):
    model = load(graphs.embedder(tmp_path / "m.onnx"))
    assert model.embed(pictures(0)).shape == (0, graphs.DIM)
