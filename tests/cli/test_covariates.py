"""`fairjax covariates` as it is typed; what is measured is tested in `serve`."""

import pytest
from model_example import write_images

from fairjax import cli
from fairjax.serve import covariates


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_images(tmp_path / "photos")


def test_a_row_an_image_in_a_folder_that_is_made(photos, tmp_path, capsys):
    assert cli.main(["covariates", "photos", "--out", "new/images.csv"]) == 0
    said = capsys.readouterr().out
    assert said == "new/images.csv: brightness, contrast, sharpness, width, height of 3 images\n"
    header, *rows = (tmp_path / "new" / "images.csv").read_text().splitlines()
    assert header == "image,brightness,contrast,sharpness,width,height"
    luma = 0.299 * 200 + 0.587 * 100  # of 1.png
    assert rows[1].split(",")[:2] == ["1.png", f"{luma:.6g}"]
    assert rows[1].split(",")[2:] == ["0", "0", "8", "8"]


def test_images_that_cannot_be_read_are_counted(photos, tmp_path, capsys):
    (photos / "1.png").write_bytes(b"no picture")
    assert cli.main(["covariates", "photos", "--out", "images.CSV"]) == 0
    said = capsys.readouterr()
    assert said.out.endswith(" of 2 images\n")
    assert "1 of 3 images have no covariates; the first, 1.png: " in said.err
    assert (tmp_path / "images.unreadable.csv").exists()


@pytest.mark.parametrize(("words", "table"), [([], ""), (["--landmarks", "p.txt"], "p.txt")])
def test_the_table_of_points_is_passed_on(photos, monkeypatch, words, table):
    tables = []

    def measure(images, *, landmarks, progress):
        progress(2)
        tables.append((len(images), landmarks))
        return ["brightness"], [("0.png", [1.5])], []

    monkeypatch.setattr(covariates, "measure", measure)
    assert cli.main(["covariates", "photos", "--out", "i.csv", *words]) == 0
    assert tables == [(3, table)]


@pytest.mark.parametrize("out", ["images.parquet", "images", "images.csv.gz"])
def test_another_kind_of_table_is_refused_before_an_image_is_read(photos, capsys, out):
    assert cli.main(["covariates", "none", "--out", out]) == 2
    assert capsys.readouterr().err == f"fairjax: --out {out} must end in .csv.\n"


def test_images_that_are_not_there_are_one_line(photos, capsys):
    assert cli.main(["covariates", "none", "--out", "i.csv"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("fairjax: ") and error.count("\n") == 1 and "none" in error
