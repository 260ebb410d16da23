"""The demonstration's table, and what it says of itself."""

import csv

import numpy as np
import pytest

from fairjax.audit.demo import COLUMNS, GAP, limits, write_comparisons
from fairjax.audit.phantom_scores import GROUPS, Planted


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("demo") / "comparisons.csv"
    write_comparisons(path, GAP, seed=3)
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_pair_a_row_with_two_images_of_one_or_two_people(rows):
    assert tuple(rows[0]) == COLUMNS
    assert {row["group1"] for row in rows} == set(GROUPS)
    group = {row[f"subject{k}"]: row[f"group{k}"] for row in rows for k in (1, 2)}
    assert all(row[f"group{k}"] == group[row[f"subject{k}"]] for row in rows for k in (1, 2))
    for row in rows:
        assert row["image1"] != row["image2"]
        assert row["image1"].rpartition("_")[0] == row["subject1"]
        assert row["image2"].rpartition("_")[0] == row["subject2"]
    mated = np.array([row["subject1"] == row["subject2"] for row in rows])
    score = np.array([float(row["score"]) for row in rows])
    assert 0 < mated.sum() < len(rows) and score[mated].mean() > score[~mated].mean() + 0.1


def test_a_seed_gives_the_same_file_again(tmp_path, rows):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_comparisons(tmp_path / name, GAP, seed=seed)
    one, again, other = ((tmp_path / name).read_bytes() for name in "abc")
    assert one == again != other
    assert one.count(b"\r\n") == 1 + len(rows)


def test_it_says_that_it_is_made_up_and_what_the_truth_is():
    (said,) = limits(GAP)
    assert said.startswith("No face and no model stands behind these scores")
    assert "FMR 0.03 and FNMR 0.08 for jade, and 0.01 and 0.04 for every other group" in said
    assert "a planted ratio of 3 and 2." in said
    (fair,) = limits(Planted())
    assert "of every group are FMR 0.01 and FNMR 0.04: there is no gap." in fair
