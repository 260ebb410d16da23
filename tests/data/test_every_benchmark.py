"""What every benchmark of pairs promises: people, groups and pairs that fit together."""

import csv
import io

import numpy as np
import pytest

from fairjax import config
from fairjax.core.comparisons import UNKNOWN
from fairjax.data import BENCHMARKS
from fairjax.data.bfw import SUBGROUPS
from fairjax.data.dataset import DataError
from fairjax.data.rfw import RACES

every_benchmark = pytest.mark.parametrize("name", BENCHMARKS)


def load_benchmark(section, *, seed):
    return config.bind_section(BENCHMARKS, section, "config.data.benchmark")().load(seed=seed)


def rfw(folder, write_bin, face):
    for at, race in enumerate(RACES):
        images = [face(100 * at + k) for k in range(40)]
        pairs = [(images[2 * k], images[2 * k + 1], k % 2 == 0) for k in range(20)]
        write_bin(folder / f"{race}_test.bin", pairs)
    return {}


def lfw(folder, write_folder, people_files):
    write_folder(folder, people_files({"a": 2, "b": 1, "c": 2, "d": 1}))
    (folder / "pairs.txt").write_text("2 1\na 1 2\na 1 b 1\nc 1 2\nc 2 d 1\n")
    return {"pairs": str(folder / "pairs.txt")}


def bfw(folder, write_folder, people_files):
    names = [f"{group}/n{k}" for group in SUBGROUPS[:2] for k in range(4)]
    write_folder(folder, people_files(dict.fromkeys(names, 2)))
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["fold", "p1", "p2", "label", "att1", "att2"])
    for k, name in enumerate(names):
        one, other = (f"{name}/n{k % 4}_{image:04d}.jpg" for image in (1, 2))
        next_ = names[k - 1 if k % 2 else k + 1]
        group = name.partition("/")[0]
        table.writerow([1 + k % 4 // 2, one, other, 1, group, group])
        stranger = f"{next_}/{next_.rpartition('/')[2]}_0002.jpg"
        table.writerow([1 + k % 4 // 2, one, stranger, 0, group, group])
    (folder / "bfw-datatable.csv").write_text(text.getvalue())
    return {}


def phantom(folder):
    return {
        "image_size": 32,
        "identities": 32,
        "images_per_identity": 3,
        "folds": 2,
        "pairs_per_fold": 6,
    }


# For each benchmark what writes a tiny one into a folder, and the settings that read it.
WRITERS = {"bfw": bfw, "lfw": lfw, "phantom": phantom, "rfw": rfw}


def test_every_benchmark_has_a_writer():
    missing = BENCHMARKS.keys() - WRITERS.keys()
    assert not missing, f"add {', '.join(sorted(missing))} to WRITERS"


@pytest.fixture
def read(name, tmp_path, request):
    """`(**changes) -> benchmark` from files that were written for it."""
    writer = WRITERS[name]
    tools = writer.__code__.co_varnames[1 : writer.__code__.co_argcount]
    changes = writer(tmp_path, *(request.getfixturevalue(tool) for tool in tools))
    root = "" if name == "phantom" else str(tmp_path)

    def load(*, seed=0):
        return load_benchmark(config.benchmark(name, root=root, **changes), seed=seed)

    return load


@every_benchmark
def test_pairs_are_of_its_images_and_mated_where_the_person_is_one(name, read):
    found = read()
    faces, pairs = found.faces, found.pairs
    assert found.name == name and not found.problems
    assert len(set(faces.ids.tolist())) == len(faces) > 0
    assert sorted(set(faces.person.tolist())) == list(range(len(faces.people)))
    assert faces.group.shape == faces.people.shape
    assert ((faces.group == UNKNOWN) | (faces.group < len(faces.groups))).all()
    assert 0 < pairs.mated.sum() < len(pairs)
    person = faces.person[np.stack([pairs.first, pairs.second])]
    np.testing.assert_array_equal(person[0] == person[1], pairs.mated)
    assert (pairs.first != pairs.second).all()
    assert set(pairs.fold.tolist()) == set(range(pairs.fold.max() + 1))
    assert len(faces.read(np.array([2, 0]))) == 2


@every_benchmark
def test_a_seed_gives_the_same_pairs_again(read):
    one, again = read(seed=5), read(seed=5)
    np.testing.assert_array_equal(one.faces.ids, again.faces.ids)
    for field in ("first", "second", "mated", "fold"):
        np.testing.assert_array_equal(getattr(one.pairs, field), getattr(again.pairs, field))


@every_benchmark
def test_a_bad_section_is_one_line_that_says_where(name):
    for make in (
        lambda: config.benchmark(f"{name}x"),
        lambda: config.benchmark(name, rooot="x"),
        lambda: config.dataset("identities", benchmark={"name": name, "rooot": "x"}),
    ):
        with pytest.raises(config.ConfigError) as caught:
            make()
        assert str(caught.value).startswith("config.data.benchmark.")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in BENCHMARKS if name != "phantom"])
def test_files_that_are_not_there_are_one_line_that_names_them(name, tmp_path):
    section = config.benchmark(name, root=str(tmp_path / "gone"))
    with pytest.raises(DataError) as caught:
        load_benchmark(section, seed=0)
    assert "gone" in str(caught.value) and "\n" not in str(caught.value)
