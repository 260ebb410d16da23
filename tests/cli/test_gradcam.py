"""`fairjax gradcam` on the folder of a run with a tiny network."""

import functools
import json

import jax
import numpy as np
import pytest
from PIL import Image

from fairjax import config as config_lib
from fairjax.cli import main
from fairjax.run import gradcam


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A run of an IResNet of 32 pixels whose weights are as they start, and two pictures."""
    config = config_lib.base_config()
    config.backbone = config_lib.backbone("iresnet", depth=18, width=4, dim=8)
    config.input.image_size = 32
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps(config.to_dict()))
    network = gradcam.build_run(config).backbone
    start = jax.jit(functools.partial(network.init, train=False))
    variables = start(jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32))
    kept = {name: {"backbone": tree} for name, tree in variables.items() if "inter" not in name}
    monkeypatch.setattr(gradcam, "read_variables", lambda run: jax.device_get(kept))
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        pixels = rng.integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return tmp_path


def words(folder, *more, second="two.png"):
    return ["gradcam", *(str(folder / name) for name in ("run", "one.png", second)), *more]


def test_a_picture_of_both_faces_and_their_cosine(folder, capsys):
    assert main(words(folder, "--out", str(folder / "new" / "pair.png"))) == 0
    said = capsys.readouterr().out
    assert -1 <= float(said.rpartition(" ")[2]) < 1
    with Image.open(folder / "new" / "pair.png") as image:
        assert image.size == (64, 32)
    assert main(words(folder, "--out", str(folder / "same.png"), second="one.png")) == 0
    assert float(capsys.readouterr().out.rpartition(" ")[2]) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("more", "second", "said"),
    [
        (["--layer", "stage_9"], "two.png", "exposes no map 'stage_9'; it has: stage_1"),
        ([], "three.png", "three.png is no image that can be read"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(folder, capsys, more, second, said):
    assert main(words(folder, *more, second=second)) == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_folder_without_a_run_is_one_line(tmp_path, capsys):
    assert main(words(tmp_path)) == 1
    assert "config.json is missing" in capsys.readouterr().err
