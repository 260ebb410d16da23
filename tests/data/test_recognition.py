"""A training source and a benchmark as one dataset: splits, labels, pairs, limits, overlap."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from dataset_example import loaded

from fairjax import config
from fairjax.core.comparisons import UNKNOWN
from fairjax.data.dataset import DataError
from fairjax.data.faces import Problem

REAL = os.environ.get("FAIRJAX_DATA", "")  # the fixtures hide it from the code under test
PEOPLE = {f"p{k:02d}": 1 + k % 5 for k in range(40)}
TESTED = {f"t{k:02d}": 2 for k in range(20)}


@pytest.fixture
def sources(tmp_path, write_folder, people_files):
    """Forty people to train on, with a table of groups, and two lists of pairs of twenty others."""
    write_folder(tmp_path / "train", people_files(PEOPLE))
    write_folder(tmp_path / "test", people_files(TESTED, first=1000))
    rows = [f"{person},{('red', 'blue', '')[k % 3]}" for k, person in enumerate(PEOPLE)]
    (tmp_path / "groups.csv").write_text("\n".join(["identity,group", *rows]))
    (tmp_path / "lists").mkdir()
    for group, people in (("red", list(TESTED)[:10]), ("green", list(TESTED)[10:])):
        lines = ["2 2"]
        for part in (people[:5], people[5:]):
            lines += [f"{part[k]} 1 2" for k in (0, 1)]
            lines += [f"{part[0]} 1 {part[k]} 2" for k in (2, 3)]
        (tmp_path / "lists" / f"{group}_pairs.txt").write_text("\n".join(lines))
    return tmp_path


def load(folder, *, seed=0, lists="lists", test="test", unusable="raise", **changes):
    section = config.dataset(
        "identities",
        root=str(folder / "train"),
        groups=str(folder / "groups.csv"),
        held_out=8,
        benchmark=config.benchmark(
            "lfw", root=str(folder / test), pairs=str(folder / lists), on_error=unusable
        ),
    ).to_dict()
    return loaded(section | changes, seed=seed)


def test_splits_share_no_person_and_only_training_people_have_an_identity(sources):
    data = load(sources)
    assert tuple(data.splits) == ("train", "validation", "test")
    clusters = [set(examples.cluster.tolist()) for examples in data.splits.values()]
    assert sum(map(len, clusters)) == len(set.union(*clusters))
    train = data.splits["train"]
    people = data.attributes["identity"].values
    assert sorted(set(train.labels["identity"].tolist())) == list(range(len(people)))
    for name, label in zip(train.ids.tolist(), train.labels["identity"].tolist(), strict=True):
        assert name.startswith(f"{people[label]}/")
    for split in ("validation", "test"):
        assert (data.splits[split].labels["identity"] == UNKNOWN).all()
    assert len(people) == 32 - 8  # of forty, eight have one image and eight are held out


def test_every_split_has_every_label_within_its_range(sources):
    data = load(sources)
    for examples in data.splits.values():
        assert examples.labels.keys() == data.attributes.keys() == {"identity", "group"}
        for name, attribute in data.attributes.items():
            assert examples.labels[name].dtype == np.int32
            assert examples.labels[name].min() >= attribute.low
            assert examples.labels[name].max() <= attribute.high
        assert examples.cluster.dtype == np.int64
        assert len(set(examples.ids.tolist())) == len(examples)


def test_groups_of_both_sources_are_one_list_and_the_benchmark_s_come_first(sources):
    data = load(sources)
    assert data.attributes["group"].values == ("green", "red", "blue")
    test, train = data.splits["test"], data.splits["train"]
    for name, label in zip(test.ids.tolist(), test.labels["group"].tolist(), strict=True):
        assert label == (1 if name < "t10" else 0)
    expected = {"p01": 2, "p03": 1, "p02": UNKNOWN}
    for person, label in expected.items():
        rows = np.flatnonzero(np.char.startswith(train.ids, f"{person}/"))
        assert set(train.labels["group"][rows].tolist()) <= {label}
    assert "one a group" in data.attributes["group"].assigned_by
    assert "groups.csv" in data.attributes["group"].assigned_by


def test_pairs_are_rows_of_their_split_and_true(sources):
    data = load(sources)
    assert set(data.pairs) == {"validation", "test"}
    for split, pairs in data.pairs.items():
        examples = data.splits[split]
        same = examples.cluster[pairs.first] == examples.cluster[pairs.second]
        np.testing.assert_array_equal(same, pairs.mated)
        assert set(pairs.first.tolist()) | set(pairs.second.tolist()) == set(range(len(examples)))
    test = data.splits["test"]
    pairs = data.pairs["test"]
    named = [(test.ids[i], test.ids[j]) for i, j in zip(pairs.first, pairs.second, strict=True)]
    assert named[0] == ("t10/t10_0001.jpg", "t10/t10_0002.jpg")  # green comes first by name
    assert named[2] == ("t10/t10_0001.jpg", "t12/t12_0002.jpg")
    assert pairs.fold.tolist() == [0] * 4 + [1] * 4 + [0] * 4 + [1] * 4


def test_images_are_read_from_their_own_files(sources, people_files):
    written = people_files(PEOPLE) | people_files(TESTED, first=1000)
    for examples in load(sources).splits.values():
        rows = np.arange(len(examples))[::-1]
        assert examples.read(rows) == [written[examples.ids[row]] for row in rows]


def test_people_are_left_out_below_the_minimum_and_images_above_the_maximum(sources):
    data = load(sources, min_images=3, max_images=4)
    people = [data.splits[split].ids for split in ("train", "validation")]
    number = {}
    for name in np.concatenate(people).tolist():
        number[name[:3]] = number.get(name[:3], 0) + 1
    train = {name[:3] for name in data.splits["train"].ids.tolist()}
    assert len(data.attributes["identity"].values) == 24 - 8
    assert {PEOPLE[person] for person in train} == {3, 4, 5}
    assert all(number[person] == min(PEOPLE[person], 4) for person in train)
    assert data.manifest["people_with_too_few_images"] == 16


def test_what_is_drawn_depends_on_the_seed_alone(sources):
    one, again, other = (load(sources, seed=seed, max_images=3) for seed in (0, 0, 1))
    for split in one.splits:
        assert one.splits[split].ids.tolist() == again.splits[split].ids.tolist()
    assert one.splits["train"].ids.tolist() != other.splits["train"].ids.tolist()
    assert one.splits["test"].ids.tolist() == other.splits["test"].ids.tolist()


def test_people_of_the_benchmark_in_training_are_refused_dropped_or_allowed(
    sources, people_files, face
):
    for name in ("t03", "t12"):  # two by name, with other pictures
        (sources / "train" / name).mkdir()
        for k in (1, 2):
            (sources / "train" / name / f"{k}.jpg").write_bytes(face(5000 + k + ord(name[1])))
    copied = people_files(TESTED, first=1000)["t00/t00_0001.jpg"]
    (sources / "train" / "p05" / "copy.jpg").write_bytes(copied)  # and one by a picture
    with pytest.raises(DataError, match="3 of 42 people .* are also in the benchmark") as caught:
        load(sources)
    assert "p05: an image with the same bytes. --config.data.overlap=drop" in str(caught.value)
    dropped, allowed = load(sources, overlap="drop"), load(sources, overlap="allow")
    for data, expected in ((dropped, set()), (allowed, {"p05", "t03", "t12"})):
        trained = {name[:3] for split in ("train", "validation") for name in data.splits[split].ids}
        assert trained & {"p05", "t03", "t12"} <= expected
        assert data.manifest["overlap"]["people"] == 3
        assert data.manifest["overlap"]["found_by"] == {
            "an image with the same bytes": 1,
            "the same name": 2,
        }
    people = [len(d.attributes["identity"].values) for d in (dropped, allowed)]
    assert people[1] - people[0] == 3


def test_people_who_are_in_no_pair_may_be_trained_on(sources, write_folder, people_files):
    write_folder(sources / "train", people_files({"t09": 2}, first=1018))
    load(sources)  # t09 is in the benchmark's folder and in no pair


def test_pairs_that_cannot_be_used_are_refused_or_listed(sources):
    (sources / "test" / "t00" / "t00_0002.jpg").unlink()
    with pytest.raises(DataError, match="2 of 16 pairs|1 of 16 pairs") as caught:
        load(sources)
    assert "red_pairs.txt:2: image 2 of t00 is not there" in str(caught.value)
    data = load(sources, unusable="skip")
    assert len(data.pairs["test"]) == 15
    assert data.manifest["pairs"]["test"]["left_out"] == [
        Problem("red_pairs.txt:2", "image 2 of t00 is not there, or cannot be read")._asdict()
    ]


def test_files_that_are_no_picture_are_counted_and_too_many_are_refused(sources):
    for k in range(3):
        (sources / "train" / "p01" / f"bad{k}.jpg").write_bytes(b"no")
    with pytest.raises(DataError, match=r"3 of 123 files are bad, more than max_bad=0.01 allows"):
        load(sources)
    with pytest.raises(DataError, match=r"3 of 123 files are bad; the first, p01/bad0.jpg: not a"):
        load(sources, max_bad=0.5, on_error="raise")
    data = load(sources, max_bad=0.5)
    assert [skip["file"] for skip in data.manifest["source"]["skipped"]] == [
        f"p01/bad{k}.jpg" for k in range(3)
    ]


def test_the_manifest_is_json_and_counts_what_is_there(sources):
    data = load(sources)
    account = json.loads(json.dumps(data.manifest))
    for split, examples in data.splits.items():
        assert account["split"][split]["images"] == len(examples)
        assert account["split"][split]["people"] == len(set(examples.cluster.tolist()))
    assert account["source"]["images"] == sum(PEOPLE.values())
    assert account["pairs"]["test"]["by_group"]["green"] == {
        "mated": 4,
        "nonmated": 4,
        "people": 8,
    }
    assert account["hash"] != load(sources, groups="").manifest["hash"]


def test_without_groups_there_is_only_the_benchmark_s(sources):
    data = load(sources, groups="")
    assert data.attributes["group"].values == ("green", "red")
    assert (data.splits["train"].labels["group"] == UNKNOWN).all()


def test_too_few_people_to_hold_out_are_refused(sources):
    with pytest.raises(DataError, match="held_out=33 of 32 people, 32 of them with two images"):
        load(sources, held_out=33)
    with pytest.raises(DataError, match="no pair can be drawn among the 2 held-out people"):
        load(sources, held_out=2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"min_images": 0}, "config.data.min_images=0 must be 1 or more"),
        ({"held_out": 1}, "config.data.held_out=1 must be 2 or more"),
        ({"max_images": 1}, "config.data.max_images=1 must be 0"),
        ({"overlap": "maybe"}, "config.data.overlap='maybe' must be one of refuse, drop, allow"),
        ({"on_error": "ask"}, "config.data.on_error='ask'"),
        ({"max_bad": 2.0}, "config.data.max_bad=2.0 must be a share"),
        ({"benchmark": {"name": "mars"}}, "config.data.benchmark.name='mars' is not known"),
        ({"benchmark": {"name": "rfw", "algin": True}}, "config.data.benchmark.algin .* 'align'"),
        (
            {"benchmark": config.benchmark("lfw", on_error="ask").to_dict()},
            "config.data.benchmark.on_error='ask'",
        ),
        (
            {"benchmark": config.benchmark("lfw", folds=(0,)).to_dict()},
            "folds=.0,. must count from 1",
        ),
    ],
)
def test_impossible_settings_are_refused_before_a_file_is_touched(tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        load(tmp_path / "nothing here", **changes)


@pytest.mark.slow
@pytest.mark.skipif(not (Path(REAL) / "faces_id.tar").exists(), reason="FAIRJAX_DATA has no faces")
def test_the_real_people_of_no_pair_can_be_trained_on(monkeypatch):
    monkeypatch.setenv("FAIRJAX_DATA", REAL)
    section = config.dataset(
        "identities",
        root="faces_id.tar",
        groups="faces_id.csv",
        min_images=1,
        overlap="drop",
        benchmark=config.benchmark("lfw", root="faces_id.tar", pairs="faces_id_pairs"),
    ).to_dict()
    data = loaded(section)
    assert data.manifest["source"]["people"] == 4599
    assert data.manifest["overlap"]["people"] == data.manifest["split"]["test"]["people"] == 2760
    assert len(data.attributes["identity"].values) == 4599 - 2760 - 200
    counts = data.manifest["pairs"]["test"]["by_group"]
    assert {group: n["mated"] for group, n in counts.items()} == {
        "Asian": 800,
        "Black": 310,
        "Indian": 80,
        "White": 3000,
    }
