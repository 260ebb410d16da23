"""An exported file gives what the run gives, and says what it is."""

import json
import shutil

import jax
import numpy as np
import pytest
from every_entry import PIXELS
from results_example import example_results
from run_folder import write_run

from fairjax.cli import main
from fairjax.core.results import save_results
from fairjax.run.loading import load_run
from fairjax.serve import ModelError, load
from fairjax.serve import export as exporting
from fairjax.serve.onnx_file import METADATA

FORMS = ("safetensors", "stablehlo")


def pictures(n=5):
    return np.random.default_rng(1).integers(0, 256, (n, PIXELS, PIXELS, 3), np.uint8)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One run of each backbone that is exported, of an embedder or a classifier."""
    folder = tmp_path_factory.mktemp("runs")
    for method, backbone in (
        ("cosine_margin", "iresnet"),
        ("classify", "resnet"),
        ("classify", "vit"),
        ("time_frequency", "tfc"),
    ):
        write_run(folder / backbone, method, backbone, averaged=backbone == "resnet")
    return folder


def exported(runs, backbone, form, folder, *more):
    out = folder / f"{backbone}.{form}"
    assert main(["export", str(runs / backbone), "--to", form, "--out", str(out), *more]) == 0
    return out


@pytest.mark.parametrize(
    ("backbone", "form"),
    [
        *(("iresnet", form) for form in FORMS),
        ("resnet", "safetensors"),
        ("vit", "stablehlo"),
        ("tfc", "stablehlo"),
    ],
)
def test_a_file_gives_what_the_run_gives_for_any_batch(runs, backbone, form, tmp_path, capsys):
    path = exported(runs, backbone, form, tmp_path, "--check")
    assert "Largest difference on generated faces" in capsys.readouterr().out
    model, run = load(path), load(runs / backbone)
    assert model.hash == run.hash and model.step == run.step == 7
    assert set(model.outputs) == set(run.outputs)
    assert model.preprocessing.describe() == run.preprocessing.describe()
    for n in (1, 5):
        found, expected = model.predict(pictures(n)), run.predict(pictures(n))
        for name, x in expected.items():
            scale = np.abs(x).max()
            np.testing.assert_allclose(found[name], x, atol=1e-4 * scale, err_msg=name)


def test_normalised_input_is_scaled_outside(runs, tmp_path):
    path = exported(runs, "iresnet", "stablehlo", tmp_path, "--input", "normalised")
    inside = load(runs / "iresnet")
    file = jax.export.deserialize(bytearray(path.read_bytes()))
    images = pictures(3)
    mean, std = (
        np.array(v, np.float32) for v in (inside.preprocessing.mean, inside.preprocessing.std)
    )
    scaled = ((images - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    np.testing.assert_allclose(file.call(scaled)["embedding"], inside.embed(images), atol=1e-4)
    np.testing.assert_allclose(load(path).embed(images), inside.embed(images), atol=1e-4)


def test_weights_that_predicting_does_not_use_stay_behind(runs, tmp_path):
    from safetensors import safe_open

    path = exported(runs, "iresnet", "safetensors", tmp_path)
    with safe_open(path, framework="numpy") as file:
        names, own = list(file.keys()), json.loads(file.metadata()[METADATA])
    assert not [name for name in names if "head" in name]
    assert any(name.startswith("params/backbone") for name in names)
    assert own["config"].keys().isdisjoint({"data", "init", "train"})
    assert "phantom" in own["licence_note"]
    assert own["targets"]["gender"]["values"] == ["male", "female"]


def test_a_check_notices_other_weights(runs, tmp_path, capsys):
    path = exported(runs, "iresnet", "safetensors", tmp_path)
    run = load_run(runs / "iresnet")
    assert exporting.check(run, load(path)) <= exporting.TOLERANCE
    variables = jax.tree.map(lambda x: x, run.variables)
    variables["params"]["backbone"] = jax.tree.map(
        lambda x: x * 1.01 + 0.01, variables["params"]["backbone"]
    )
    other = run.__class__(**{**vars(run), "variables": variables})
    assert exporting.check(other, load(path)) > exporting.TOLERANCE


def test_a_file_that_differs_is_not_kept(runs, tmp_path, capsys, monkeypatch):
    out = tmp_path / "m.safetensors"
    monkeypatch.setattr(exporting, "check", lambda run, model: float("nan"))
    line = ["export", str(runs / "iresnet"), "--to", "safetensors", "--out", str(out), "--check"]
    assert main(line) == 1
    assert "was deleted" in capsys.readouterr().err and not out.exists()


def refused(path):
    with pytest.raises(ModelError) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_no_export_is_refused_in_one_line(runs, tmp_path, capsys):
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(3)}, tmp_path / "other.safetensors")
    assert "was not exported by FairJAX" in refused(tmp_path / "other.safetensors")
    whole = exported(runs, "iresnet", "safetensors", tmp_path)
    (tmp_path / "cut.safetensors").write_bytes(whole.read_bytes()[:-9])
    assert "no whole .safetensors" in refused(tmp_path / "cut.safetensors")
    (tmp_path / "x.stablehlo").write_bytes(b"nothing")
    assert "x.stablehlo" in refused(tmp_path / "x.stablehlo")
    capsys.readouterr()
    for line, words in (
        (["export", str(runs / "vit"), "--to", "stablehlo", "--out", "m.hlo"], "writes .stablehlo"),
        (
            ["export", str(tmp_path / "no"), "--to", "stablehlo", "--out", "m.stablehlo"],
            "no run's folder",
        ),
    ):
        assert main(line) == 1
        assert words in capsys.readouterr().err


def test_a_card_is_written_beside_the_file(runs, tmp_path):
    pytest.importorskip("huggingface_hub")
    folder = tmp_path / "run"
    shutil.copytree(runs / "vit", folder)
    save_results(folder / "results.json", example_results())
    line = ["export", str(folder), "--to", "safetensors", "--out", str(tmp_path / "m.safetensors")]
    assert main([*line, "--card", str(tmp_path / "README.md")]) == 0
    assert (tmp_path / "README.md").read_text().startswith("---\n")
