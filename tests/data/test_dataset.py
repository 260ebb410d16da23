"""What any dataset must be, whoever has read it."""

from dataclasses import replace

import numpy as np
import pytest

from fairjax.data.dataset import Attribute, DataError, Dataset, Examples, require_sound


def examples(split, *, people, ids=None):
    count = len(people)
    return Examples(
        ids=np.array(ids or [f"{split}{k}.jpg" for k in range(count)]),
        labels={"gender": np.arange(count, dtype=np.int32) % 2},
        cluster=np.array(people),
        read=lambda rows: np.zeros((len(rows), 8, 8, 3), np.uint8),
    )


@pytest.fixture
def dataset():
    splits = {
        "train": examples("train", people=[0, 0, 1]),
        "validation": examples("validation", people=[2, 3]),
        "test": examples("test", people=[4, 5]),
    }
    gender = Attribute(("female", "male"), 0, 1, "", "the test")
    return Dataset("mine", {"gender": gender}, splits, {"hash": "0"})


def test_a_sound_dataset_is_taken(dataset):
    require_sound(dataset)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"validation": None}, "mine: no image in validation; every split needs some"),
        ({"test": examples("t", people=[])}, "mine: no image in test"),
        ({"test": examples("t", people=[7, 1])}, "1 clusters .* are in train and in test, such as"),
        (
            {"test": examples("t", people=[7, 8], ids=["train1.jpg", "a.jpg"])},
            "the image 'train1.jpg' is in train and in test",
        ),
        (
            {"test": examples("t", people=[7, 8, 9], ids=["a.jpg", "b.jpg", "b.jpg"])},
            "the image 'b.jpg' is 2 times in test",
        ),
        (
            {"test": replace(examples("t", people=[7]), labels={})},
            "mine, test: labels have no 'gender'",
        ),
        (
            {"test": replace(examples("t", people=[7]), labels={"gender": np.array(["f"])})},
            "gender must be whole numbers, one for each of the 1 images; it is <U1",
        ),
        (
            {"test": replace(examples("t", people=[7, 8]), cluster=np.array([7]))},
            "cluster must be whole numbers, one for each of the 2 images; it is int64 of shape",
        ),
    ],
)
def test_parts_that_do_not_fit_are_one_line(dataset, changed, said):
    splits = {k: v for k, v in {**dataset.splits, **changed}.items() if v is not None}
    with pytest.raises(DataError, match=said) as caught:
        require_sound(replace(dataset, splits=splits))
    assert "\n" not in str(caught.value)


def test_the_account_has_a_hash(dataset):
    with pytest.raises(DataError, match="the manifest has no 'hash'"):
        require_sound(replace(dataset, manifest={}))
