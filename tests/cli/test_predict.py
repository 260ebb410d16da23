"""`fairjax predict` with a model of numpy."""

import csv
import importlib

import pytest
from model_example import COLOURS, example_model, write_images
from pyarrow import parquet

from fairjax import cli

load = importlib.import_module("fairjax.serve.load")  # `fairjax.serve.load` is the function


@pytest.fixture
def predict(tmp_path, monkeypatch):
    """`(out, words, outputs) -> exit code` in a folder with three photos."""
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "photos")

    def call(out, *words, outputs=("prob_gender", "pred_age")):
        model = example_model(outputs)
        monkeypatch.setattr(load, "load_with_notes", lambda path, **_: (model, ()))
        return cli.main(["predict", "run", "photos", "--out", out, *words])

    return call


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_row_an_image_with_each_task(predict, capsys, suffix):
    assert predict(f"t.{suffix}") == 0
    assert capsys.readouterr().out == f"t.{suffix}: 3 images\n"
    if suffix == "parquet":
        rows = parquet.read_table("t.parquet").to_pylist()
    else:
        with open("t.csv", newline="") as file:
            rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["0.png", "1.png", "2.png"]
    assert [row["pred_gender"] for row in rows] == ["male", "female", "male"]
    for row, (red, _, _) in zip(rows, COLOURS, strict=True):
        assert float(row["prob_gender_female"]) == pytest.approx(red / 255, abs=1e-6)
        assert float(row["prob_gender_male"]) == pytest.approx(1 - red / 255, abs=1e-6)
        assert float(row["pred_age"]) == pytest.approx(red / 10, abs=1e-5)


def test_a_parquet_that_is_complete_is_kept_and_a_csv_is_written_again(predict, capsys):
    for out, says in (("t.parquet", "is complete"), ("t.csv", "3 images")):
        assert predict(out) == predict(out) == 0
        assert says in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize(
    ("out", "outputs", "said"),
    [
        ("t.npz", ("pred_age",), "--out t.npz: tables are written as .parquet or .csv."),
        ("photos", ("pred_age",), "--out photos is a folder; name a file in it."),
        ("t.csv", ("embedding",), "colours predicts no attribute; use fairjax embed."),
    ],
)
def test_what_cannot_be_predicted_is_one_line(predict, tmp_path, capsys, out, outputs, said):
    assert predict(out, outputs=outputs) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"fairjax: {said}"
    assert not (tmp_path / "t.csv").exists()


def test_the_flip_is_the_models_own(predict, capsys):
    with pytest.raises(SystemExit) as caught:
        predict("t.csv", "--flip", "sum")
    assert caught.value.code == 2 and "--flip" in capsys.readouterr().err
