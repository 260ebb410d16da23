"""An exported file gives what the run gives, and says what it is."""

import functools
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

FORMS = ("safetensors", "stablehlo", "onnx")


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


@pytest.fixture(scope="module")
def expected(runs):
    """From a backbone's name to its run as a model, and what that gives; each is computed once."""

    @functools.cache
    def compute(backbone):
        run = load(runs / backbone)
        return run, run.predict(pictures())

    return compute


@pytest.mark.parametrize(
    ("backbone", "form"),
    [
        *(("vit", form) for form in FORMS),
        *((backbone, "onnx") for backbone in ("iresnet", "resnet", "tfc")),
        ("resnet", "safetensors"),
        ("tfc", "stablehlo"),
    ],
)
def test_a_file_gives_what_the_run_gives_for_any_batch(runs, expected, backbone, form, tmp_path):
    model = load(exported(runs, backbone, form, tmp_path))
    run, columns = expected(backbone)
    assert model.hash == run.hash and model.step == run.step == 7
    assert set(model.outputs) == set(run.outputs)
    assert model.preprocessing.describe() == run.preprocessing.describe()
    for n in (1, 5):
        found = model.predict(pictures()[:n])
        for name, x in columns.items():
            scale = np.abs(x).max()
            np.testing.assert_allclose(found[name], x[:n], atol=1e-4 * scale, err_msg=name)


def test_onnx_says_what_it_is_and_takes_normalised_images(runs, tmp_path):
    import onnx
    import onnxruntime

    path = exported(runs, "vit", "onnx", tmp_path, "--input", "normalised", "--flip", "concat")
    model = onnx.load(str(path))
    onnx.checker.check_model(model, full_check=True)
    own = json.loads({entry.key: entry.value for entry in model.metadata_props}[METADATA])
    assert own["targets"]["gender"]["values"] == ["male", "female"]
    assert own["preprocessing"]["layout"] == "NCHW" and own["preprocessing"]["flip"] == "concat"
    assert "phantom" in own["licence_note"] and own["licence_note"] in model.doc_string
    (dims,) = [one.type.tensor_type.shape.dim for one in model.graph.input]
    assert dims[0].dim_param == "batch" and [d.dim_value for d in dims[1:]] == [3, PIXELS, PIXELS]
    run = load(runs / "vit", flip="concat")
    mean, std = (np.array(v, np.float32) for v in (run.preprocessing.mean, run.preprocessing.std))
    scaled = ((pictures() - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    (found,) = onnxruntime.InferenceSession(str(path)).run(["embedding"], {"images": scaled})
    for array in (found, load(path).embed(pictures())):
        np.testing.assert_allclose(array, run.embed(pictures()), atol=1e-4)


def test_weights_of_a_large_onnx_lie_beside_it(runs, tmp_path, monkeypatch):
    whole = exported(runs, "vit", "onnx", tmp_path)
    (tmp_path / "apart").mkdir()
    monkeypatch.setattr(exporting, "_INLINE", 0)
    for _ in range(2):  # a second export replaces the first one's weights
        path = exported(runs, "vit", "onnx", tmp_path / "apart")
    beside = path.with_name("vit.onnx.data")
    assert path.stat().st_size + beside.stat().st_size < 1.5 * whole.stat().st_size
    np.testing.assert_array_equal(load(path).embed(pictures()), load(whole).embed(pictures()))
    beside.unlink()
    assert "'vit.onnx.data' are missing" in refused(path)


def test_normalised_input_is_scaled_outside(runs, expected, tmp_path):
    path = exported(runs, "vit", "stablehlo", tmp_path, "--input", "normalised")
    inside, columns = expected("vit")
    file = jax.export.deserialize(bytearray(path.read_bytes()))
    mean, std = (
        np.array(v, np.float32) for v in (inside.preprocessing.mean, inside.preprocessing.std)
    )
    scaled = ((pictures() - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    for found in (file.call(scaled), load(path).predict(pictures())):
        np.testing.assert_allclose(found["embedding"], columns["embedding"], atol=1e-4)


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
    path = exported(runs, "vit", "safetensors", tmp_path, "--check")
    assert "Largest difference on generated faces" in capsys.readouterr().out
    run = load_run(runs / "vit")
    variables = jax.tree.map(lambda x: x, run.variables)
    variables["params"]["backbone"] = jax.tree.map(
        lambda x: x * 1.01 + 0.01, variables["params"]["backbone"]
    )
    other = run.__class__(**{**vars(run), "variables": variables})
    assert exporting.largest_difference(other, load(path)) > exporting.TOLERANCE


def test_a_file_that_differs_is_not_kept(runs, tmp_path, capsys, monkeypatch):
    out = tmp_path / "m.stablehlo"
    monkeypatch.setattr(exporting, "largest_difference", lambda run, model: float("nan"))
    line = ["export", str(runs / "vit"), "--to", "stablehlo", "--out", str(out), "--check"]
    assert main(line) == 1
    assert "was deleted" in capsys.readouterr().err and not [*tmp_path.iterdir()]


def refused(path):
    with pytest.raises(ModelError) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_no_export_is_refused_in_one_line(runs, tmp_path, capsys):
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(3)}, tmp_path / "other.safetensors")
    assert "was not exported by FairJAX" in refused(tmp_path / "other.safetensors")
    whole = exported(runs, "vit", "safetensors", tmp_path)
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
