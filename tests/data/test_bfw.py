"""BFW: subgroups in folders, pairs in a table."""

import csv
import io

import numpy as np
import pytest

from fairjax.data.bfw import SUBGROUPS, BfwPairs, read
from fairjax.data.dataset import DataError

USED = ("asian_females", "black_males")
HEAD = ["", "fold", "p1", "p2", "label", "id1", "id2", "att1", "att2", "resnet50", "a1", "a2"]


def row(fold, one, other):
    """A row of the table from two paths, as released, with columns that nobody needs."""
    att = [path.partition("/")[0] for path in (one, other)]
    same = one.rpartition("/")[0] == other.rpartition("/")[0]
    return ["0", str(fold), one, other, str(int(same)), "1", "2", *att, "0.5", "AF", "BM"]


@pytest.fixture
def rows():
    found = []
    for fold in (1, 2, 3, 4, 5):
        for group in USED:
            one, other = (f"{group}/n{fold}{k}" for k in range(2))
            found.append(row(fold, f"{one}/n{fold}0_0001.jpg", f"{one}/n{fold}0_0002.jpg"))
            found.append(row(fold, f"{one}/n{fold}0_0001.jpg", f"{other}/n{fold}1_0001.jpg"))
        across = [f"{group}/n{fold}0/n{fold}0_0002.jpg" for group in USED]
        found.append(row(fold, *across))
    return found


def write(folder, rows, head=HEAD):
    text = io.StringIO()
    csv.writer(text).writerows([head, *rows])
    (folder / "bfw-v0.1.5-datatable.csv").write_text(text.getvalue())
    return folder


@pytest.fixture
def release(tmp_path, write_folder, people_files, rows):
    people = {f"{group}/n{fold}{k}": 2 for group in USED for fold in range(1, 6) for k in (0, 1)}
    return write(write_folder(tmp_path / "bfw", people_files(people)), rows)


def loaded(path, **changes):
    return BfwPairs(root=str(path), **changes).load(seed=0)


def test_pairs_people_and_subgroups_are_those_of_the_table(release):
    found = loaded(release)
    faces, pairs = found.faces, found.pairs
    assert faces.groups == SUBGROUPS and faces.attribute == "subgroup"
    assert len(faces) == 40 and len(faces.people) == 20 and len(pairs) == 25
    assert np.bincount(pairs.fold).tolist() == [5] * 5
    assert pairs.mated.tolist() == [True, False, True, False, False] * 5
    both = faces.person[np.array([pairs.first, pairs.second])]
    np.testing.assert_array_equal(both[0] == both[1], pairs.mated)
    assert (faces.group[both[:, 4::5]] == [[0] * 5, [3] * 5]).all()  # a pair across subgroups
    assert faces.ids[pairs.first[1]] == "asian_females/n10/n10_0001.jpg"
    assert faces.ids[pairs.second[1]] == "asian_females/n11/n11_0001.jpg"


def test_the_table_may_lie_elsewhere_and_only_one_is_taken_by_itself(release, tmp_path):
    table = release / "bfw-v0.1.5-datatable.csv"
    (release / "old-datatable.csv").write_text(table.read_text())
    with pytest.raises(DataError, match="2 tables"):
        loaded(release)
    assert len(loaded(release, pairs=str(table)).pairs) == 25
    table.rename(tmp_path / "t.csv")
    (release / "old-datatable.csv").unlink()
    with pytest.raises(DataError, match="0 tables"):
        loaded(release)
    assert len(loaded(release, pairs=str(tmp_path / "t.csv")).pairs) == 25


def changed(rows, at, **cells):
    new = [list(cells_of) for cells_of in rows]
    for name, value in cells.items():
        new[at][HEAD.index(name)] = value
    return new


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda r: changed(r, 3, label="2"), ":5: label '2' must be 0 or 1"),
        (lambda r: changed(r, 3, fold="x"), ":5: .*fold 'x' a number"),
        (
            lambda r: changed(r, 4, att2="white_males"),
            ":6: att2 of black_males/n10 is white_males, and",
        ),
        (
            lambda r: changed(r, 4, att1=""),
            ":6: att1 '' is none of asian_females, ",
        ),
        (lambda r: changed(r, 0, p2=r[0][2]), ":2: image n10_0001.jpg .* with itself"),
        (
            lambda r: changed(r, 0, p2="asian_females/n10/x.jpg"),
            ":2: image x.jpg of .* is not there",
        ),
        (lambda r: changed(r, 0, label="0"), ":2: asian_females/n10 is given as two people"),
        (lambda r: changed(r, 1, label="1"), ":3: asian_females/n10 and .* given as one person"),
        (lambda r: [*r, r[2]], r":27: the pair of bfw-v0\.1\.5-datatable\.csv:4 again"),
    ],
)
def test_a_row_that_cannot_be_used_is_one_line(release, rows, edit, words):
    write(release, edit(rows))
    with pytest.raises(DataError, match=words) as caught:
        loaded(release)
    assert "\n" not in str(caught.value)


def test_rows_that_cannot_be_used_are_left_out_if_asked(release, rows):
    write(release, [*rows, rows[2]])
    found = loaded(release, on_error="skip")
    assert len(found.pairs) == 25 and len(found.problems) == 1
    assert read(str(release), "").problems == found.problems


def test_a_table_without_a_needed_column_is_refused(release, rows):
    write(release, [r[:1] + r[2:] for r in rows], head=HEAD[:1] + HEAD[2:])
    with pytest.raises(DataError, match="no column fold; it has: , p1, p2"):
        loaded(release)


def test_a_pickled_table_is_not_read():
    with pytest.raises(ValueError, match="can run code and is not read; give the .csv"):
        BfwPairs(pairs="bfw-v0.1.5-datatable.pkl")
