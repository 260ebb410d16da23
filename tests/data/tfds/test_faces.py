"""The three builders serve what the readers read, pair by pair and person by person."""

import csv
import io

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

import fairjax.data.tfds.faces  # noqa: F401  registers the builders
from fairjax.data import bfw, bupt, rfw
from fairjax.data.dataset import DataError


@pytest.fixture
def prepare(tmp_path):
    """A builder's name and a manual folder -> the built data set, all on this machine."""

    def build(name, manual):
        builder = tfds.builder(name, data_dir=tmp_path / "tfds")
        config = tfds.download.DownloadConfig(manual_dir=manual)
        builder.download_and_prepare(download_config=config)
        return builder

    return build


def rows_of(builder, split):
    return list(tfds.as_numpy(builder.as_dataset(split=split)))


def by_ids(rows):
    return {(row["first_id"].decode(), row["second_id"].decode()): row for row in rows}


def assert_pairs_are_those_of(benchmark, builder):
    faces, pairs = benchmark.faces, benchmark.pairs
    rows = by_ids(rows_of(builder, "test"))
    assert len(rows) == len(pairs)
    for i, j, mated, fold in zip(pairs.first, pairs.second, pairs.mated, pairs.fold, strict=True):
        row = rows[faces.ids[i], faces.ids[j]]
        assert (row["mated"], row["fold"]) == (mated, fold)
        for side, at in (("first", i), ("second", j)):
            assert row[f"{side}_{faces.attribute}"] == faces.group[faces.person[at]]


def test_rfw_serves_its_pairs(tmp_path, write_bin, face, prepare):
    (tmp_path / "manual").mkdir()
    for at, race in enumerate(rfw.RACES):
        images = [face(100 * at + k) for k in range(20)]
        pairs = [(images[2 * k], images[2 * k + 1], k % 2 == 0) for k in range(10)]
        write_bin(tmp_path / "manual" / f"{race}_test.bin", pairs)
    builder = prepare("rfw", tmp_path / "manual")
    benchmark = rfw.RfwPairs(root=str(tmp_path / "manual")).load(seed=0)
    assert_pairs_are_those_of(benchmark, builder)
    row = by_ids(rows_of(builder, "test"))["Asian/00004", "Asian/00005"]
    with Image.open(io.BytesIO(face(104))) as image:
        assert np.abs(np.asarray(image).astype(int) - row["first_image"]).mean() < 2


def test_bfw_serves_its_pairs(tmp_path, write_folder, people_files, prepare):
    people = {f"{group}/n{k}": 2 for group in bfw.SUBGROUPS for k in (0, 1)}
    manual = write_folder(tmp_path / "manual", people_files(people))
    rows = []
    for group in bfw.SUBGROUPS:
        one, two, other = (f"{group}/n{p}/n{p}_000{k}.jpg" for p, k in ((0, 1), (0, 2), (1, 1)))
        rows += [[1, one, two, 1, group, group], [2, one, other, 0, group, group]]
    with (manual / "bfw-v0-datatable.csv").open("w", newline="") as file:
        csv.writer(file).writerows([bfw.COLUMNS, *rows])
    benchmark = bfw.BfwPairs(root=str(manual)).load(seed=0)
    assert_pairs_are_those_of(benchmark, prepare("bfw", manual))


def test_bupt_serves_the_images_of_its_people(tmp_path, write_folder, people_files, prepare):
    people = {f"{race}/m.0{race}{k}": 2 for race in rfw.RACES for k in range(2)}
    manual = write_folder(tmp_path / "manual", people_files(people))
    builder = prepare("bupt_balancedface", manual)
    faces = bupt.read(str(manual))
    rows = {row["id"].decode(): row for row in rows_of(builder, "train")}
    assert sorted(rows) == sorted(faces.ids.tolist())
    for name, row in rows.items():
        race, identity, _ = name.split("/")
        assert row["identity"].decode() == f"{race}/{identity}"
        assert rfw.RACES[row["race"]] == race


@pytest.mark.parametrize("name", ["rfw", "bfw", "bupt_balancedface"])
def test_without_data_a_builder_says_what_is_missing(tmp_path, prepare, name):
    (tmp_path / "manual").mkdir()
    (tmp_path / "manual" / "notes.md").touch()
    with pytest.raises(DataError, match="no image file|0 tables"):
        prepare(name, tmp_path / "manual")
