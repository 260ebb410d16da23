"""`fairjax align` as it is typed; the aligner itself is tested in `serve`."""

from dataclasses import replace

import numpy as np
import pytest
from model_example import write_images
from PIL import Image

from fairjax import cli


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Sizes and tables that the aligner is asked for; it then gives a grey square."""
    calls = []

    def aligned(images, table, *, size):
        calls.append((table, size))

        def read(row):
            if row == 1:
                raise ValueError("it has no landmarks in the table")
            return np.full((size, size, 3), 100 + row, np.uint8)

        return replace(images, read=read, notes=["no second note"])

    monkeypatch.setattr("fairjax.serve.landmarks.aligned", aligned)
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "photos")
    return calls


LINE = ["align", "photos", "points.csv", "--out", "crops"]


@pytest.mark.parametrize(("words", "size"), [([], 112), (["--size", "8"], 8)])
def test_crops_are_counted_and_images_without_one_are_listed(asked, tmp_path, capsys, words, size):
    assert cli.main([*LINE, *words]) == 0
    assert asked == [("points.csv", size)]
    said = capsys.readouterr()
    assert said.out == f"crops: 2 crops of {size} x {size}\n"
    assert "1 of 3 images have no crop; the first, 1.png: it has no landmarks" in said.err
    assert {path.name for path in (tmp_path / "crops").iterdir()} == {
        "0.png",
        "2.png",
        "crops.unreadable.csv",
    }
    with Image.open(tmp_path / "crops" / "2.png") as crop:
        assert crop.size == (size, size) and crop.getpixel((0, 0)) == (102, 102, 102)


@pytest.mark.parametrize("size", ["7", "4097", "0", "-8"])
def test_a_size_beyond_its_ends_is_refused(asked, capsys, size):
    assert cli.main([*LINE, "--size", size]) == 1
    error = capsys.readouterr().err
    assert error == f"fairjax: --size {size} must lie between 8 and 4096.\n" and asked == []


def test_the_largest_size_is_allowed(asked, monkeypatch):
    monkeypatch.setattr("fairjax.serve.output.write_crops", lambda *_, **__: (0, []))
    assert cli.main([*LINE, "--size", "4096"]) == 0
    assert asked == [("points.csv", 4096)]


@pytest.mark.parametrize(
    "words", [LINE[:3], ["align", "photos", "--out", "c"], [*LINE, "--size", "x"]]
)
def test_an_incomplete_line_ends_with_two(words, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2 and capsys.readouterr().err.count("\n") == 1
