import io

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

import fairjax.data.tfds.utkface  # noqa: F401  registers the builder
from fairjax.data.dataset import DataError
from fairjax.data.utkface import parse_name


@pytest.fixture
def prepare(tmp_path):
    """A manual folder -> the built data set, all on this machine."""

    def build(manual):
        builder = tfds.builder("utkface", data_dir=tmp_path / "tfds")
        config = tfds.download.DownloadConfig(manual_dir=manual)
        builder.download_and_prepare(download_config=config)
        return builder

    return build


def test_builder_serves_the_reader_s_rows(tmp_path, write_tar, utkface_files, prepare):
    (tmp_path / "manual").mkdir()
    write_tar(tmp_path / "manual" / "utkface.tar", utkface_files)
    builder = prepare(tmp_path / "manual")
    assert builder.info.features["race"].names[4] == "Others"
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {
        "train": 160,
        "validation": 20,
        "test": 20,
    }
    rows = list(tfds.as_numpy(builder.as_dataset(split="train+validation+test")))
    assert sorted(row["id"].decode() for row in rows) == sorted(utkface_files)
    for row in rows:
        name = row["id"].decode()
        assert (row["age"], row["gender"], row["race"]) == parse_name(name)
    with Image.open(io.BytesIO(utkface_files[rows[0]["id"].decode()])) as image:
        difference = np.asarray(image).astype(int) - rows[0]["image"]
    assert np.abs(difference).mean() < 2


def test_builder_without_data_says_what_is_missing(tmp_path, prepare):
    (tmp_path / "manual").mkdir()
    with pytest.raises(AssertionError, match="susanqq.github.io"):  # the library's own check
        prepare(tmp_path / "manual")
    (tmp_path / "manual" / "notes.txt").touch()
    with pytest.raises(DataError, match="no image file"):
        prepare(tmp_path / "manual")
