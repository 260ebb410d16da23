"""A run embeds and predicts images of any source, on all devices."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from every_entry import PIXELS
from PIL import Image
from pyarrow import parquet
from run_folder import write_run

from fairjax.cli import main
from fairjax.serve import load
from fairjax.serve.decode import resize


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A classifier's folder, its method and variables."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    return folder, *write_run(folder, "classify", "resnet")


@pytest.fixture
def photos(tmp_path):
    """Seven pictures, more than devices and no multiple of them; the last of another size."""
    (tmp_path / "photos").mkdir()
    drawn = np.random.default_rng(2).integers(0, 256, (7, PIXELS, PIXELS, 3), np.uint8)
    for k, pixels in enumerate(drawn[:6]):
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{k}.png")
    large = drawn[6].repeat(2, axis=0).repeat(2, axis=1)
    Image.fromarray(large).save(tmp_path / "photos" / "6.png")
    return tmp_path / "photos", np.stack([*drawn[:6], resize(large, height=PIXELS, width=PIXELS)])


def test_predictions_of_files_are_those_of_the_method(run, photos, tmp_path, capsys):
    (folder, method, variables), (place, pixels) = run, photos
    out = tmp_path / "table.parquet"
    assert main(["predict", str(folder), str(place), "--out", str(out), "--batch-size", "3"]) == 0
    table = parquet.read_table(out).to_pydict()
    expected = method.predict(variables, {"image": jnp.asarray(pixels), "mask": jnp.ones(7, bool)})
    assert table["image"] == [f"{k}.png" for k in range(7)]
    np.testing.assert_allclose(table["pred_age"], expected["pred_age"], rtol=1e-4)
    shares = np.asarray(expected["prob_gender"])
    np.testing.assert_allclose(table["prob_gender_female"], shares[:, 1], rtol=1e-4)
    assert table["pred_gender"] == [("male", "female")[k] for k in shares.argmax(axis=1)]
    made = json.loads(parquet.read_schema(out).metadata[b"fairjax"])
    assert made["checkpoint_step"] == 7 and made["resized"] == 1
    assert "1 images of another size" in capsys.readouterr().err


def test_batches_are_spread_over_all_devices(run, photos):
    (folder, *_), (_, pixels) = run, photos
    model = load(folder)
    assert model.multiple == jax.device_count() == 4
    started = model.start(pixels[:4])
    assert len(started["embedding"].sharding.device_set) == 4
    one, many = model.embed(pixels, batch_size=1), model.embed(pixels, batch_size=64)
    assert one.shape == many.shape == (7, *model.outputs["embedding"])
    np.testing.assert_allclose(one, many, rtol=1e-5, atol=1e-5)


def failed(capsys, *line):
    assert main([str(word) for word in line]) == 1
    said = capsys.readouterr().err.splitlines()
    return said[-1]


def test_what_is_no_model_is_refused_in_one_line(run, photos, tmp_path, capsys):
    (folder, *_), (place, _) = run, photos
    out = tmp_path / "e.npz"
    assert "is no run's folder" in failed(capsys, "embed", place, place, "--out", out)
    assert "leave the input flags out" in failed(
        capsys, "embed", folder, place, "--out", out, "--colour", "BGR"
    )
    write_run(tmp_path / "begun", "classify", "resnet", finished=False)
    assert "--step 7" in failed(capsys, "embed", tmp_path / "begun", place, "--out", out)
    assert (
        main(["embed", str(tmp_path / "begun"), str(place), "--out", str(out), "--step", "7"]) == 0
    )
