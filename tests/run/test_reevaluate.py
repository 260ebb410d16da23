"""A finished run, or public weights, on other data; the run's own files stay as they are."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from fairjax.config import ConfigError, benchmark, load, protocol
from fairjax.interop import to_iresnet, write_tensors
from fairjax.run import reevaluate
from fairjax.run.build import build_run
from fairjax.run.checkpoint import read_variables
from fairjax.run.experiment import run_experiment
from fairjax.run.score import read_predictions, score
from fairjax.run.workdir import WorkdirError

TINY = Path(__file__).parents[1] / "configs" / "tiny_faces.py"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of twelve steps."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert run_experiment(build_run(load(str(TINY))), folder) == 0
    return folder


def other_pairs():
    """The same experiment with twice as many pairs, and another protocol's rates."""
    config = load(str(TINY))
    config.data.benchmark = benchmark(
        "phantom", image_size=32, identities=48, images_per_identity=3, folds=2, pairs_per_fold=9
    )
    config.eval.protocol = protocol("lfw", fmrs=(0.2,), resamples=20)
    return config


def settings_on(config, source):
    """The settings of an evaluation of `source` on a config's data."""
    return reevaluate.evaluation_settings(config.to_dict(), source)


def contents(folder):
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_same_data_give_the_runs_own_predictions(run):
    before = contents(run)
    settings = settings_on(load(str(TINY)), run)
    folder = reevaluate.default_folder(settings, run)
    assert folder.parent == run.with_name("run-evaluations")
    reevaluate.reevaluate(settings, run, folder)
    own, again = (read_predictions(path / "predictions.npz")[0] for path in (run, folder))
    np.testing.assert_array_equal(again["id"], own["id"])
    np.testing.assert_allclose(again["embedding"], own["embedding"], atol=1e-6)
    assert contents(run) == before
    assert score(settings.scoring, folder).provenance["evaluated"] == str(run)


def test_other_pairs_and_another_protocol_go_to_a_folder_of_their_own(run):
    settings = settings_on(other_pairs(), run)
    folder = reevaluate.default_folder(settings, run)
    assert folder != reevaluate.default_folder(settings_on(load(str(TINY)), run), run)
    reevaluate.reevaluate(settings, run, folder)
    _, pairs = read_predictions(folder / "predictions.npz")
    groups = json.loads((folder / "data.json").read_text())["attributes"]["group"]["values"]
    assert len(pairs) == 2 * 2 * 9 * len(groups)
    results = score(settings.scoring, folder)
    assert {m.at for m in results.measures if m.name == "fmr"} == {"FMR 2e-1"}
    stamp = (folder / "predictions.npz").stat().st_mtime_ns
    reevaluate.reevaluate(settings, run, folder)  # again: nothing is predicted
    assert (folder / "predictions.npz").stat().st_mtime_ns == stamp


def test_the_model_is_the_runs_whatever_the_config_says(run):
    config = other_pairs()
    config.backbone.width = 8
    settings = settings_on(config, run)
    assert settings.backbone.width == settings.tree["backbone"]["width"] == 4
    assert tuple(settings.scoring.settings.fmrs) == (0.2,)


def test_public_weights_are_evaluated_as_the_run_they_came_from(run, tmp_path):
    path = tmp_path / "public.safetensors"
    write_tensors(path, to_iresnet(read_variables(run)))
    settings = settings_on(load(str(TINY)), path)
    folder = reevaluate.default_folder(settings, path)
    assert folder.parent == tmp_path / "public-evaluations"
    reevaluate.reevaluate(settings, path, folder)
    own, again = (read_predictions(p / "predictions.npz")[0] for p in (run, folder))
    np.testing.assert_allclose(again["embedding"], own["embedding"], atol=1e-6)
    wide = load(str(TINY))
    wide.backbone.width = 8
    with pytest.raises(ConfigError, match="width=4"):
        reevaluate.reevaluate(settings_on(wide, path), path, tmp_path / "wide")


def test_the_runs_own_folder_is_refused(run):
    before = contents(run)
    with pytest.raises(WorkdirError, match="is the evaluated run, whose files stay"):
        reevaluate.reevaluate(settings_on(load(str(TINY)), run), run, run)
    assert contents(run) == before


def test_another_run_in_the_same_folder_is_refused(run, tmp_path):
    settings = settings_on(load(str(TINY)), run)
    reevaluate.reevaluate(settings, run, tmp_path / "out")
    path = tmp_path / "public.safetensors"
    write_tensors(path, to_iresnet(read_variables(run)))
    with pytest.raises(WorkdirError, match="evaluated: .*run.* -> .*public"):
        reevaluate.reevaluate(settings_on(load(str(TINY)), path), path, tmp_path / "out")


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(WorkdirError, match=r"config.json"):
        settings_on(load(str(TINY)), tmp_path)


def test_from_python_the_numbers_are_those_of_the_command(run, tmp_path):
    import fairjax

    before = contents(run)
    model = fairjax.load(run)
    found = model.evaluate(other_pairs(), folder=tmp_path / "python")
    again = model.evaluate(other_pairs(), folder=tmp_path / "python")  # nothing is predicted
    settings = settings_on(other_pairs(), run)
    reevaluate.reevaluate(settings, run, tmp_path / "command")
    command = score(settings.scoring, tmp_path / "command")
    assert found.results.measures == again.results.measures == command.measures
    assert found.measure("fmr", at="FMR 2e-1").value is not None
    assert len(found.table("fmr")) and "<" in found._repr_html_()
    assert contents(run) == before
    with pytest.raises(ValueError, match="no run with its own flip"):
        fairjax.load(run, flip="sum").evaluate(other_pairs())
