"""What every dataset promises: rows, labels and images that fit together, drawn from a seed."""

import io
import json

import numpy as np
import pytest
from dataset_example import loaded
from PIL import Image

from fairjax import config
from fairjax.core.comparisons import UNKNOWN
from fairjax.data import DATASETS
from fairjax.data.dataset import DataError
from fairjax.data.rfw import RACES

PAIRS = config.benchmark(
    "phantom", image_size=32, identities=32, images_per_identity=3, folds=2, pairs_per_fold=6
)
# For each dataset, settings of a tiny one; those that are read from files have a writer below.
TINY = {
    "bupt": {"held_out": 6, "benchmark": PAIRS},
    "identities": {"held_out": 6, "benchmark": PAIRS},
    "phantom": {"image_size": 32, "identities": 92, "images_per_identity": 2},
    "phantom_identities": {
        "image_size": 32,
        "identities": 104,
        "images_per_identity": 2,
        "held_out": 80,
        "benchmark": PAIRS,
    },
    "utkface": {"max_bad": 0.1},
}
GENERATED = ("phantom", "phantom_identities")
every_dataset = pytest.mark.parametrize("name", DATASETS)


def test_every_dataset_has_tiny_settings():
    missing = DATASETS.keys() - TINY.keys()
    assert not missing, f"add {', '.join(sorted(missing))} to TINY, and what writes their files"


@pytest.fixture
def section(name, tmp_path, write_folder, people_files, utkface_files):
    """A `data` section of the dataset, and what it is read from."""
    people = {f"{race}/m.0{race[:2].lower()}{k}": 2 + k % 3 for race in RACES for k in range(6)}
    files = {
        "bupt": lambda: people_files(people),
        "identities": lambda: people_files({f"p{k:02d}": 2 + k % 4 for k in range(24)}),
        "utkface": lambda: utkface_files,
    }
    root = "" if name in GENERATED else str(write_folder(tmp_path / name, files[name]()))
    return config.dataset(name, root=root, **TINY[name])


def pixels(examples, rows):
    """The images of these rows, decoded."""
    read = examples.read(np.array(rows))
    assert len(read) == len(rows)
    if isinstance(read, np.ndarray):
        assert read.dtype == np.uint8 and read.ndim == 4 and read.shape[-1] == 3
        return list(read)
    return [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in read]


@every_dataset
def test_splits_share_no_row_and_no_cluster_and_every_label_is_in_its_range(section):
    data = loaded(section)
    assert tuple(data.splits) == ("train", "validation", "test")
    ids = [name for examples in data.splits.values() for name in examples.ids.tolist()]
    assert len(set(ids)) == len(ids) > 0
    clusters = [set(examples.cluster.tolist()) for examples in data.splits.values()]
    assert sum(map(len, clusters)) == len(set.union(*clusters))
    for split, examples in data.splits.items():
        assert len(examples) > 0, split
        assert examples.cluster.dtype == np.int64 and examples.cluster.shape == examples.ids.shape
        assert examples.labels.keys() == data.attributes.keys()
        for label, attribute in data.attributes.items():
            values = examples.labels[label]
            assert values.dtype == np.int32 and values.shape == examples.ids.shape
            known = values[values != UNKNOWN]
            assert ((known >= max(attribute.low, 0)) & (known <= attribute.high)).all(), label
            assert not attribute.values or attribute.high == len(attribute.values) - 1
            assert attribute.assigned_by
    for split, pairs in data.pairs.items():
        examples = data.splits[split]
        assert 0 < pairs.mated.sum() < len(pairs)
        same = examples.cluster[pairs.first] == examples.cluster[pairs.second]
        np.testing.assert_array_equal(same, pairs.mated)
        assert (pairs.first != pairs.second).all()


@every_dataset
def test_one_image_is_read_for_each_row_in_the_order_asked_for(section):
    test = loaded(section).splits["test"]
    one, two = pixels(test, [0, 1])
    assert one.shape != two.shape or not np.array_equal(one, two)
    for expected, found in zip([two, one, two], pixels(test, [1, 0, 1]), strict=True):
        np.testing.assert_array_equal(found, expected)
    second = test.take(np.array([1]))
    assert second.ids.tolist() == [test.ids[1]]
    np.testing.assert_array_equal(pixels(second, [0])[0], two)


@every_dataset
def test_a_seed_gives_the_same_rows_again_and_its_account_is_json(section):
    one, again, other = (loaded(section, seed=seed) for seed in (3, 3, 4))
    for split, examples in one.splits.items():
        same = again.splits[split]
        np.testing.assert_array_equal(examples.ids, same.ids)
        np.testing.assert_array_equal(examples.cluster, same.cluster)
        for label in examples.labels:
            np.testing.assert_array_equal(examples.labels[label], same.labels[label])
    assert json.loads(json.dumps(one.manifest)) == json.loads(json.dumps(again.manifest))
    assert "hash" in one.manifest
    drawn = [[data.splits[s].ids.tolist() for s in data.splits] for data in (one, other)]
    labels = [data.splits["train"].labels for data in (one, other)]
    assert drawn[0] != drawn[1] or any(
        not np.array_equal(labels[0][key], labels[1][key]) for key in labels[0]
    )


@every_dataset
def test_a_bad_section_is_one_line_that_says_where(name):
    with pytest.raises(config.ConfigError) as caught:
        config.dataset(name, rooot="x")
    assert str(caught.value).startswith("config.data.rooot is not a setting of ")
    section = config.dataset(name).to_dict()
    wrong = [{**section, "name": f"{name}x"}, {**section, "nonsense": 1}]
    for setting, value in (("on_error", "ask"), ("held_out", 1), ("identities", 0)):
        wrong += [{**section, setting: value}] if setting in section else []
    for bad in wrong:
        with pytest.raises(config.ConfigError) as caught:
            loaded(bad)
        assert str(caught.value).startswith("config.data.") and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in DATASETS if name not in GENERATED])
def test_files_that_are_not_there_are_one_line_that_names_them(name, tmp_path):
    gone = str(tmp_path / "gone")
    with pytest.raises(DataError) as caught:
        loaded(config.dataset(name, root=gone))
    assert "gone" in str(caught.value) and "\n" not in str(caught.value)
