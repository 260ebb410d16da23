"""What embed and predict leave behind is all that an audit needs, and a diff names its making."""

import json
from dataclasses import replace

import numpy as np
import onnx_graphs as graphs
import pytest
from pyarrow import parquet

from fairjax.cli import main
from fairjax.core.comparisons import Pairs
from fairjax.data.phantom.benchmark import PhantomPairs
from fairjax.serve import Model, load
from fairjax.serve.colour import order_warning
from fairjax.serve.load import load_with_notes
from fairjax.serve.onnx_file import OnnxInput
from fairjax.serve.output import predicted, write_embeddings, write_predictions
from fairjax.serve.sources import of_benchmark
from fairjax.serve.stream import Outcome, run_over

SIZE = 32


@pytest.fixture(scope="module")
def people():
    """Made-up people with pairs in two parts."""
    settings = PhantomPairs(
        identities=48, images_per_identity=3, folds=2, pairs_per_fold=12, image_size=SIZE
    )
    return of_benchmark("phantom:", settings.load(seed=0))


@pytest.fixture
def path(tmp_path):
    return graphs.embedder(tmp_path / "m.onnx", graphs.weights(size=SIZE), size=SIZE)


def embedded(path, people, out, **stated):
    model, _ = load_with_notes(path, stated=OnnxInput(**stated))
    outcome = run_over(model, people, out, batch_size=32)
    write_embeddings(out, model, people, outcome)
    return outcome


def test_an_audit_needs_nothing_but_the_file(path, people, tmp_path):
    embedded(path, people, tmp_path / "emb.npz")
    line = ["audit", str(tmp_path / "emb.npz"), "--protocol", "rfw", "--fmr", "0.1"]
    assert main([*line, "--bootstrap", "20", "--out", str(tmp_path / "audit")]) == 0
    results = json.loads((tmp_path / "audit" / "results.json").read_text())
    stated = results["provenance"]["stated"]
    assert stated["model"] == load(path).hash
    assert stated["preprocessing"] == "32 x 32 RGB, as they are, (pixel - 127.5) / 127.5"
    assert stated["flip"] == "none" and stated["alignment"] == "as they are"
    assert results["protocol"]["groups"] == sorted(set(people.groups["group"].tolist()))
    assert results["protocol"]["n"] == len(people.pairs)
    accuracies = {m["name"] for m in results["measures"] if m["name"].startswith("accuracy")}
    assert accuracies


def test_the_pairs_and_folds_are_the_benchmarks(path, people, tmp_path):
    from fairjax.audit.embeddings import load_embeddings
    from fairjax.audit.layout import TableOptions

    embedded(path, people, tmp_path / "emb.npz")
    loaded = load_embeddings(
        {"m": tmp_path / "emb.npz"},
        TableOptions(),
        people=None,
        pairs=None,
        sample=None,
        seed=0,
        own=True,
    )["group"]
    vectors = graphs.expected(
        np.stack([people.read(row) for row in range(len(people))]), graphs.weights(size=SIZE)
    )
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = (unit[people.pairs.first] * unit[people.pairs.second]).sum(axis=1)
    np.testing.assert_allclose(loaded.scores["m"], cosines, atol=1e-4)
    np.testing.assert_array_equal(loaded.mated, people.pairs.mated)
    np.testing.assert_array_equal(loaded.fold, people.pairs.fold)


def test_a_diff_names_another_preprocessing(path, people, tmp_path, capsys):
    for name, stated in (("one", {}), ("other", {"mean": (0.0,), "colour": "BGR"})):
        embedded(path, people, tmp_path / f"{name}.npz", **stated)
        line = ["audit", str(tmp_path / f"{name}.npz"), "--fmr", "0.1", "--bootstrap", "20"]
        assert main([*line, "--out", str(tmp_path / name)]) == 0
    capsys.readouterr()
    with pytest.raises(SystemExit):  # they differ
        main(["diff", str(tmp_path / "one"), str(tmp_path / "other")])
    said = " ".join(capsys.readouterr().out.split())
    assert "preprocessing" in said and "BGR" in said


def test_an_unreadable_image_takes_its_pairs_along(path, people, tmp_path):
    lost = int(people.pairs.first[0])

    def read(row):
        if row == lost:
            raise OSError("cannot be read")
        return people.read(row)

    out = tmp_path / "emb.npz"
    some = replace(people, read=read)
    model = load(path)
    outcome = run_over(model, some, out, batch_size=32)
    assert outcome.unreadable == [(str(people.names[lost]), "cannot be read")]
    gone = write_embeddings(out, model, some, outcome)
    touched = (people.pairs.first == lost) | (people.pairs.second == lost)
    assert gone == touched.sum() > 0
    with np.load(out) as arrays:
        kept = [
            (str(arrays["id"][one]), str(arrays["id"][other]))
            for one, other in zip(arrays["pairs.first"], arrays["pairs.second"], strict=True)
        ]
    expected = zip(
        people.names[people.pairs.first[~touched]].tolist(),
        people.names[people.pairs.second[~touched]].tolist(),
        strict=True,
    )
    assert kept == list(expected)
    line = ["audit", str(out), "--fmr", "0.1", "--bootstrap", "20", "--out", str(tmp_path / "a")]
    assert main(line) == 0
    limits = json.loads((tmp_path / "a" / "results.json").read_text())["limits"]
    assert f"1 images could not be read and are left out, and with them {gone}" in " ".join(limits)


def test_a_model_that_expects_bgr_is_noticed_on_mated_pairs(tmp_path):
    """Identity is in red here; blue is noise, and the embedder looks at what it takes for red."""
    rng = np.random.default_rng(0)
    red = rng.integers(0, 256, (10, SIZE, SIZE)).astype(np.uint8)
    images = rng.integers(0, 256, (20, SIZE, SIZE, 3)).astype(np.uint8)
    images[..., 0] = red.repeat(2, axis=0)
    rows = np.arange(10)
    pairs = Pairs(
        np.concatenate([2 * rows, 2 * rows]),
        np.concatenate([2 * rows + 1, (2 * rows + 3) % 20]),
        np.repeat([True, False], 10),
        np.zeros(20, np.int64),
    )
    kernel = graphs.weights(size=SIZE).reshape(3, -1, graphs.DIM)
    kernel[:2] *= 0.01  # as a model does that expects BGR and looks at red
    path = graphs.embedder(tmp_path / "m.onnx", kernel.reshape(-1, graphs.DIM), size=SIZE)
    people = of_benchmark(
        "phantom:",
        PhantomPairs(identities=16, folds=2, pairs_per_fold=1, image_size=SIZE).load(seed=0),
    )
    people = replace(people, read=images.__getitem__, names=np.arange(20).astype(str), pairs=pairs)
    said = order_warning(load(path), people)
    assert "BGR tells people apart better" in said and "\n" not in said
    model, _ = load_with_notes(path, stated=OnnxInput(colour="BGR"))
    assert order_warning(model, people) == ""  # stated, so that nothing is assumed
    assert order_warning(load(path), replace(people, pairs=None)) == ""


def test_predictions_have_names_and_units(people, tmp_path):
    n = 4
    columns = {
        "pred_age": np.array([30.5, 2, 3, 4], np.float32),
        "prob_gender": np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]], np.float32),
        "prob_age_bin": np.eye(4, dtype=np.float32)[:, :3],
        "embedding": np.zeros((n, 8), np.float32),
    }
    plain = load(graphs.embedder(tmp_path / "m.onnx", graphs.weights(size=SIZE), size=SIZE))
    model = Model(
        **{
            **vars(plain),
            "targets": {"sex": {"values": ["male", "female"]}, "age": {"values": []}},
            "tasks": {"gender": "sex", "age": "age", "age_bin": "age"},
            "outputs": {name: x.shape[1:] for name, x in columns.items()},
        }
    )
    table = predicted(model, columns)
    assert table["pred_gender"].tolist() == ["male", "female", "male", "male"]
    assert table["prob_gender_female"][1] == np.float32(0.8)
    assert table["pred_age"][0] == np.float32(30.5)
    assert table["pred_age_bin"].tolist() == ["0", "1", "2", "0"]
    outcome = Outcome(np.arange(n), columns, [], 0)
    write_predictions(tmp_path / "t.parquet", model, people, outcome)
    read = parquet.read_table(tmp_path / "t.parquet")
    assert read.column_names[:3] == ["image", "subject", "group"]
    assert read["image"].to_pylist() == people.names[:n].tolist()
    assert json.loads(read.schema.metadata[b"fairjax"])["model_hash"] == plain.hash
    write_predictions(tmp_path / "t.csv", model, people, outcome)
    assert (tmp_path / "t.csv").read_text().splitlines()[0].startswith('"image","subject","group"')


def test_one_line_embeds_and_audits(path, people, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("fairjax.serve.sources.open_images", lambda text, size: people)
    line = ["audit", "--model", str(path), "--data", "phantom:", "--fmr", "0.1"]
    assert main([*line, "--bootstrap", "20", "--out", str(tmp_path / "audit")]) == 0
    assert (tmp_path / "audit" / "report.html").exists()
    results = json.loads((tmp_path / "audit" / "results.json").read_text())
    assert results["provenance"]["stated"]["model"] == load(path).hash
    assert main(["audit", "--model", str(path), "--out", str(tmp_path / "b")]) == 2
    assert "go together" in capsys.readouterr().err
