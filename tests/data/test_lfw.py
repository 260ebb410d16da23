"""LFW-style pairs: one list with a table of groups, or one list a group."""

import numpy as np
import pytest

from fairjax.core.comparisons import UNKNOWN
from fairjax.data.dataset import DataError
from fairjax.data.lfw import LfwPairs, read_lists

ONE = "2 1\na 1 2\na 1 b 1\nc 1 2\nc 2 d 1\n"


@pytest.fixture
def source(tmp_path, write_folder, people_files):
    """Five people, one of whom is in no pair, and one list."""
    write_folder(tmp_path / "lfw", people_files({"a": 2, "b": 1, "c": 2, "d": 1, "e": 3}))
    (tmp_path / "pairs.txt").write_text(ONE)
    (tmp_path / "groups.csv").write_text("identity,group\na,x\nb,x\nc,y\n")
    return tmp_path


def read(folder, *, pairs="pairs.txt", groups="", folds=()):
    groups = groups and str(folder / groups)
    settings = LfwPairs(
        root=str(folder / "lfw"), pairs=str(folder / pairs), groups=groups, folds=folds
    )
    return settings.load(seed=0)


def test_one_list_gives_pairs_and_a_table_gives_groups(source):
    found = read(source, groups="groups.csv")
    faces, pairs = found.faces, found.pairs
    assert faces.people.tolist() == ["a", "b", "c", "d"]  # e is in no pair
    assert faces.groups == ("x", "y") and faces.group.tolist() == [0, 0, 1, UNKNOWN]
    ids = faces.ids
    assert [(ids[i], ids[j]) for i, j in zip(pairs.first, pairs.second, strict=True)] == [
        ("a/a_0001.jpg", "a/a_0002.jpg"),
        ("a/a_0001.jpg", "b/b_0001.jpg"),
        ("c/c_0001.jpg", "c/c_0002.jpg"),
        ("c/c_0002.jpg", "d/d_0001.jpg"),
    ]
    assert pairs.fold.tolist() == [0, 0, 1, 1]
    assert (read(source).faces.group == UNKNOWN).all()


def test_one_list_a_group_says_who_is_in_which(source):
    (source / "lists").mkdir()
    (source / "lists" / "y_pairs.txt").write_text("1\na 1 2\na 1 b 1\n")
    (source / "lists" / "x_pairs.txt").write_text("1\nc 1 2\nc 2 d 1\n")
    found = read(source, pairs="lists")
    assert found.faces.groups == ("x", "y")
    assert found.faces.group.tolist() == [1, 1, 0, 0]
    both = np.array([found.pairs.first, found.pairs.second])
    assert (found.faces.group[found.faces.person[both]] == [[0, 0, 1, 1]] * 2).all()


def test_chosen_parts_are_all_that_is_read(source):
    found = read(source, folds=(2,))
    assert found.faces.people.tolist() == ["c", "d"]
    assert found.pairs.fold.tolist() == [1, 1]
    with pytest.raises(DataError, match="there is no part 3"):
        read(source, folds=(1, 3))


def test_a_missing_image_is_named_with_its_line(source):
    (source / "lfw" / "b" / "b_0001.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 4 pairs .*pairs\.txt:3: image 1 of b is not there"):
        read(source)


def test_two_images_of_one_number_are_refused(source, face):
    (source / "lfw" / "a" / "a_01.jpg").write_bytes(face(77))
    with pytest.raises(DataError, match=r"a/a_01\.jpg and a/a_0001\.jpg are both image 1 of a"):
        read(source)


def test_a_person_of_two_groups_is_refused(tmp_path):
    (tmp_path / "x_pairs.txt").write_text("1\na 1 2\na 1 b 1\n")
    (tmp_path / "y_pairs.txt").write_text("1\nc 1 2\nc 1 b 1\n")
    with pytest.raises(DataError, match=r"y_pairs\.txt:3: b is also in x_pairs\.txt"):
        read_lists(tmp_path)


def test_an_empty_group_and_a_folder_without_lists_are_refused(tmp_path):
    with pytest.raises(DataError, match="no list of pairs"):
        read_lists(tmp_path)
    (tmp_path / "x_pairs.txt").write_text("")
    with pytest.raises(DataError, match=r"x_pairs\.txt: 0 pairs"):
        read_lists(tmp_path)


def test_an_insightface_bin_is_its_own_list(tmp_path, write_bin, face):
    images = [face(k) for k in range(21)]
    pairs = [(images[k], images[k + 10], k % 2 == 0) for k in range(10)]
    path = write_bin(tmp_path / "agedb_30.bin", pairs)
    found = LfwPairs(root=str(path)).load(seed=0)
    assert len(found.faces) == 20 and len(found.pairs) == 10
    assert found.pairs.fold.tolist() == list(range(10))


def test_what_is_missing_says_what_to_give(tmp_path):
    for root, words in ((str(tmp_path / "none"), "root=.*none does not exist"), ("", "both empty")):
        with pytest.raises(DataError, match=words) as caught:
            LfwPairs(root=root).load(seed=0)
        assert "vis-www.cs.umass.edu/lfw" in str(caught.value) and "\n" not in str(caught.value)
