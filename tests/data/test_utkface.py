import csv
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dataset_example import loaded

from fairjax.data import utkface
from fairjax.data.dataset import DataError
from fairjax.data.utkface import BadName, parse_name

SPLIT = {"ratio": (0.6, 0.2, 0.2), "stratify": True, "dedup": "group"}
REAL = os.environ.get("FAIRJAX_DATA", "")  # the fixtures hide it from the code under test


def load_from(root, *, seed=0, **changes):
    options = {"split": SPLIT, "on_error": "skip", "max_bad": 0.1}
    return loaded({"name": "utkface", "root": str(root), **options, **changes}, seed=seed)


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("25_0_2_20170116174525125.jpg.chip.jpg", (25, 0, 2)),
        ("1_1_4_20170116174525125.jpg", (1, 1, 4)),
        ("14_0_0_2017011022340900.jpg.chip.jpg", (14, 0, 0)),
        ("28_1_2_201701161846515488.jpg.chip.jpg", (28, 1, 2)),
        ("24_0_1_20170116220224657 .jpg.chip.jpg", (24, 0, 1)),
        ("55_0_0_20170116232725357jpg.chip.jpg", (55, 0, 0)),
        ("part1/116_1_3_20170116174525125.jpg", (116, 1, 3)),
        ("0_0_0_20170116174525125.jpg", (0, 0, 0)),
    ],
)
def test_labels_are_the_first_three_fields_whatever_follows(name, labels):
    assert parse_name(name) == labels


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("61_1_20170109142408075.jpg.chip.jpg", "name", "no race"),
        ("25_0_2.jpg", "name", "no race"),
        ("IMG_0042.jpg", "name", "does not start"),
        ("-1_0_0_20170116174525125.jpg", "name", "does not start"),
        ("2 5_0_0_20170116174525125.jpg", "name", "does not start"),
        ("٣_0_0_20170116174525125.jpg", "name", "does not start"),
        ("25_0_0_\x1b[2J.jpg", "name", "unprintable"),
        ("117_0_0_20170116174525125.jpg", "label", "age 117 is outside 0..116"),
        ("25_2_0_20170116174525125.jpg", "label", "gender 2 is outside 0..1"),
        ("25_0_5_20170116174525125.jpg", "label", "race 5 is outside 0..4"),
        (f"25_0_{'9' * 5000}_1.jpg", "name", "does not start"),
    ],
)
def test_names_without_labels_are_told_from_labels_outside_their_range(name, kind, reason):
    with pytest.raises(BadName, match=reason) as caught:
        parse_name(name)
    assert caught.value.kind == kind


def test_every_attribute_says_who_assigned_it():
    assert {key: a.values for key, a in utkface.ATTRIBUTES.items()} == {
        "age": (),
        "gender": ("male", "female"),
        "race": ("White", "Black", "Asian", "Indian", "Others"),
    }
    assert all("nobody was asked" in a.assigned_by for a in utkface.ATTRIBUTES.values())


def test_loaded_rows_carry_their_own_labels_and_bytes(tmp_path, write_folder, utkface_files):
    dataset = load_from(write_folder(tmp_path / "UTKFace", utkface_files))
    seen = []
    for examples in dataset.splits.values():
        rows = np.arange(len(examples))[::-1]
        for row, content in zip(rows, examples.read(rows), strict=True):
            name = str(examples.ids[row])
            assert content == utkface_files[name]
            assert tuple(examples.labels[k][row] for k in ("age", "gender", "race")) == parse_name(
                name
            )
            seen.append(name)
        assert all(label.dtype == np.int32 for label in examples.labels.values())
        assert examples.cluster.dtype == np.int64
    assert sorted(seen) == sorted(utkface_files)


def test_folder_tar_and_environment_load_the_same_split(
    tmp_path, write_folder, write_tar, utkface_files, monkeypatch
):
    nested = {f"UTKFace/{name}": content for name, content in utkface_files.items()}
    one = load_from(write_folder(tmp_path / "a", utkface_files))
    tar = write_tar(tmp_path / "utkface.tar", nested)
    monkeypatch.setenv("FAIRJAX_DATA", str(tmp_path))
    for other in (load_from(tar), load_from(tmp_path), load_from("")):
        assert other.manifest["hash"] == one.manifest["hash"]
        assert other.manifest["split"]["hash"] == one.manifest["split"]["hash"]


def test_the_hash_moves_with_names_and_with_bytes(tmp_path, write_folder, utkface_files):
    hashes = {load_from(write_folder(tmp_path / "a", utkface_files)).manifest["hash"]}
    (name, content), *rest = utkface_files.items()
    renamed = {name.replace("2017", "2018"): content, **dict(rest)}
    hashes.add(load_from(write_folder(tmp_path / "b", renamed)).manifest["hash"])
    swapped = {**utkface_files, name: rest[0][1]}
    hashes.add(load_from(write_folder(tmp_path / "c", swapped)).manifest["hash"])
    assert len(hashes) == 3


def test_copies_never_straddle_splits_and_conflicts_are_counted(
    tmp_path, write_folder, utkface_files
):
    names = sorted(utkface_files)[::10]
    copies = {f"99_0_4_{k:017d}.jpg": utkface_files[name] for k, name in enumerate(names)}
    dataset = load_from(write_folder(tmp_path / "x", {**utkface_files, **copies}))
    home = {
        str(name): (split, int(number))
        for split, examples in dataset.splits.items()
        for name, number in zip(examples.ids, examples.cluster, strict=True)
    }
    for copy, name in zip(copies, names, strict=True):
        assert home[copy] == home[name]
    assert len({number for _, number in home.values()}) == len(utkface_files)
    account = dataset.manifest
    assert account["duplicates"]["groups"] == account["duplicates"]["exact_groups"] == len(names)
    assert account["duplicates"]["files"] == 2 * len(names)
    assert account["duplicates"]["largest"] == 2
    assert account["conflicts"]["age"] == account["conflicts"]["groups"] == len(names)
    assert account["conflicts"]["gender"] == sum(parse_name(name)[1] != 0 for name in names)

    first = load_from(tmp_path / "x", split={**SPLIT, "dedup": "first"})
    assert first.manifest["split"]["left_out"] == len(names)
    assert sum(map(len, first.splits.values())) == len(utkface_files)


def test_splits_have_even_shares_of_every_race_and_age(tmp_path, write_folder, utkface_files):
    dataset = load_from(write_folder(tmp_path / "x", utkface_files))
    for examples, share in zip(dataset.splits.values(), SPLIT["ratio"], strict=True):
        for race, decade in itertools.product(range(5), range(4)):
            inside = (examples.labels["race"] == race) & (examples.labels["age"] // 10 == decade)
            assert inside.sum() == 10 * share
    other = load_from(tmp_path / "x", seed=1)
    assert other.manifest["split"]["hash"] != dataset.manifest["split"]["hash"]
    assert other.manifest["hash"] == dataset.manifest["hash"]


def test_the_manifest_counts_what_is_there_and_is_json(tmp_path, write_folder, utkface_files):
    bad = {
        "61_1_20170109142408075.jpg.chip.jpg": next(iter(utkface_files.values())),
        "200_0_0_20170109142408075.jpg": next(iter(utkface_files.values())),
        "20_0_0_20170109142408075.jpg": b"",
        "20_0_0_20170109142408076.jpg": b"not a picture",
        "20_0_0_20170109142408077.jpg": next(iter(utkface_files.values()))[:-300],
    }
    dataset = load_from(write_folder(tmp_path / "x", {**utkface_files, **bad}))
    account = json.loads(json.dumps(dataset.manifest))
    assert (account["files"], account["usable"]) == (205, 200)
    assert {skip["file"]: skip["kind"] for skip in account["skipped"]} == dict(
        zip(bad, ("name", "label", "image", "image", "image"), strict=True)
    )
    assert account["counts"]["race"] == dict.fromkeys(
        ("White", "Black", "Asian", "Indian", "Others"), 40
    )
    assert account["counts"]["gender"] == {"male": 100, "female": 100}
    assert {age: n for age, n in account["counts"]["age"].items() if n} == {
        "0-9": 50,
        "10-19": 50,
        "20-29": 50,
        "30-39": 50,
    }
    by_split = account["split"]["race_gender"]
    assert sum(by_split[s]["Asian"]["female"] for s in by_split) == 20
    assert account["split"]["sizes"] == {"train": 120, "validation": 40, "test": 40}


@pytest.mark.parametrize(
    ("name", "cut", "words"),
    [
        ("20_0_0_20170109142408075.jpg", slice(0, -300), "truncated"),
        ("20_0_7_20170109142408075.jpg", slice(None), "race 7 is outside 0..4"),
    ],
)
def test_the_policy_raise_names_the_first_bad_file(
    tmp_path, write_folder, utkface_files, name, cut, words
):
    content = next(iter(utkface_files.values()))[cut]
    folder = write_folder(tmp_path / "x", {**utkface_files, name: content})
    load_from(folder)
    with pytest.raises(DataError, match=words) as caught:
        load_from(folder, on_error="raise")
    assert name in str(caught.value)


def test_too_many_bad_files_are_refused(tmp_path, write_folder, utkface_files):
    bad = {f"20_0_0_{k}.jpg": b"no" for k in range(23)}
    folder = write_folder(tmp_path / "x", {**utkface_files, **bad})
    with pytest.raises(DataError, match="23 of 223 files are bad, more than max_bad=0.1"):
        load_from(folder)
    load_from(folder, max_bad=23 / 223)


def test_a_race_left_out_of_a_split_is_named(tmp_path, write_folder, utkface_files):
    few = {n: c for n, c in utkface_files.items() if parse_name(n)[2] != 3}
    with pytest.raises(DataError, match="train split has .* none of race Indian"):
        load_from(write_folder(tmp_path / "x", few))


def test_a_missing_source_says_where_to_get_it_its_terms_and_layout(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    cases = [("", ""), ("", str(tmp_path / "empty")), (str(tmp_path / "none"), "")]
    for root, environment in cases:
        monkeypatch.setenv("FAIRJAX_DATA", environment)
        with pytest.raises(DataError) as caught:
            load_from(root)
        message = str(caught.value)
        assert "\n" not in message
        for words in (
            "susanqq.github.io/UTKFace",
            "non-commercial research only",
            "--config.data.root=DIR",
            "FAIRJAX_DATA",
            "utkface.tar",
        ):
            assert words in message
    with pytest.raises(DataError, match="no image file"):
        load_from(tmp_path / "empty")


def test_a_folder_of_other_pictures_is_refused_with_their_first_name(
    tmp_path, write_folder, utkface_files
):
    content = next(iter(utkface_files.values()))
    folder = write_folder(tmp_path / "x", {"holiday.jpg": content, "beach.jpg": content})
    with pytest.raises(DataError, match=r"none of 2 .* beach\.jpg"):
        load_from(folder)


@pytest.mark.parametrize(
    "split", [{"ratio": (1, 0, 0)}, {"dedup": "none"}, {"stratfy": True}, {"ratio": (0.5, 0.5)}]
)
def test_a_wrong_split_option_is_refused(tmp_path, write_folder, utkface_files, split):
    folder = write_folder(tmp_path / "x", utkface_files)
    with pytest.raises((ValueError, TypeError), match="ratio|dedup|stratfy"):
        load_from(folder, split={**SPLIT, **split})


def test_reading_needs_neither_jax_nor_tensorflow():
    code = "import fairjax.data.utkface, fairjax.cli, sys; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"jax", "tensorflow", "flax"} & set(modules)


@pytest.mark.slow
@pytest.mark.skipif(not (Path(REAL) / "utkface.tar").exists(), reason="FAIRJAX_DATA has no UTKFace")
def test_the_real_faces_are_counted_and_known_copies_are_held_together():
    dataset = load_from(Path(REAL) / "utkface.tar", split={**SPLIT, "ratio": (0.8, 0.1, 0.1)})
    counts = dataset.manifest["counts"]
    assert dataset.manifest["usable"] == 20149
    assert counts["race"] == dict(zip(counts["race"], (8604, 3830, 2913, 3366, 1436), strict=True))
    assert counts["gender"] == {"male": 10494, "female": 9655}
    assert counts["race_gender"]["Asian"] == {"male": 1349, "female": 1564}
    assert dataset.manifest["duplicates"]["exact_files"] == 558
    assert dataset.manifest["duplicates"]["largest"] <= 6
    cluster = {
        str(name): number
        for examples in dataset.splits.values()
        for name, number in zip(examples.ids, examples.cluster, strict=True)
    }
    with (Path(REAL) / "utkface_duplicates.csv").open() as file:
        known = [(row["group"], cluster.get(row["file"])) for row in csv.DictReader(file)]
    for _, rows in itertools.groupby(known, key=lambda row: row[0]):
        assert len({number for _, number in rows if number is not None}) == 1
