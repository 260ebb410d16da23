"""From a trained recognition network to its variances (PFE) and to a picture of a pair."""

import json
import logging

import pytest
from every_entry import PIXELS
from ml_collections import ConfigDict
from PIL import Image
from run_folder import write_run

from fairjax.config import load
from fairjax.core.results import load_results
from fairjax.run.build import build_run
from fairjax.run.checkpoint import read_variables
from fairjax.run.experiment import run_experiment
from fairjax.run.gradcam import pair_picture


@pytest.mark.slow
def test_pfe_keeps_the_backbone_it_starts_from_and_is_measured_by_likelihood(tmp_path, caplog):
    first, second = tmp_path / "cosface", tmp_path / "pfe"
    write_run(first, "cosine_margin", "iresnet")
    config = load("recognition/margin:smoke,method=pfe")
    config.backbone = ConfigDict(json.loads((first / "config.json").read_text())["backbone"])
    config.input.image_size = PIXELS
    config.init.run = str(first)
    assert run_experiment(build_run(config), second) == 0
    results = load_results(second / "results.json")
    assert results.protocol["scorer"] == "mls"
    assert results.get("accuracy").value is not None
    caplog.clear()
    before, after = read_variables(first), read_variables(second)
    # Orbax warns where a folder is no whole checkpoint
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    stem = before["params"]["backbone"]["stem_conv"]["kernel"]
    assert (stem == after["params"]["backbone"]["stem_conv"]["kernel"]).all()
    for name in ("one", "two"):
        Image.new("RGB", (PIXELS, PIXELS), (90, 60, 30)).save(tmp_path / f"{name}.png")
    picture, cosine = pair_picture(
        second, tmp_path / "one.png", tmp_path / "two.png", layer="stage_1"
    )
    assert picture.shape == (PIXELS, 2 * PIXELS, 3) and cosine == pytest.approx(1, abs=1e-3)
