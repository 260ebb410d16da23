"""Trees of people and tables of groups: what is read, and every fault of them."""

import pytest

from fairjax.core.comparisons import UNKNOWN
from fairjax.data.dataset import DataError
from fairjax.data.formats.tree import numbered, read_table, read_tree

TABLE = "identity,group\na,red\nb,blue\nc,\n"


@pytest.fixture
def tree(tmp_path, write_folder, people_files):
    return write_folder(tmp_path / "tree", people_files({"a": 2, "b": 1, "c": 1, "d": 1}))


def table(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    return str(path)


def test_folder_and_tar_give_the_same_people(tmp_path, tree, write_tar, people_files):
    files = people_files({"a": 2, "b": 1, "c": 1, "d": 1})
    tar = write_tar(tmp_path / "x.tar", {f"top/{name}": c for name, c in files.items()})
    one, other = read_tree(str(tree), ""), read_tree(str(tar), "")
    assert one.people.tolist() == other.people.tolist() == ["a", "b", "c", "d"]
    assert one.ids.tolist() == other.ids.tolist() == sorted(files)
    assert one.group.tolist() == [UNKNOWN] * 4 and one.groups == ()


def test_a_table_gives_groups_by_person_and_leaves_the_rest_unknown(tmp_path, tree):
    found = read_tree(str(tree), table(tmp_path, TABLE))
    assert found.groups == ("blue", "red")
    assert found.group.tolist() == [1, 0, UNKNOWN, UNKNOWN]
    assert found.assigned_by == "The table table.csv."


def test_a_table_of_images_gives_each_person_once(tmp_path, tree):
    rows = "image,identity,group,more\n1,a,red,x\n2,a,red,y\n3,b,blue,z\n"
    assert read_tree(str(tree), table(tmp_path, rows)).group.tolist() == [1, 0, UNKNOWN, UNKNOWN]


def test_the_folders_above_give_groups(tmp_path, write_folder, people_files):
    files = people_files({"red/a": 1, "blue/a": 2})
    found = read_tree(str(write_folder(tmp_path / "x", files)), "folder")
    assert found.people.tolist() == ["blue/a", "red/a"]
    assert [found.groups[g] for g in found.group] == ["blue", "red"]


def test_people_without_images_and_images_without_people_are_named(tmp_path, tree, face):
    (tree / "empty").mkdir()
    (tree / "loose.jpg").write_bytes(face(0))
    found = read_tree(str(tree), table(tmp_path, TABLE + "nobody,red\n"))
    assert found.skipped == (
        ("empty", "identity", "a person without an image"),
        ("loose.jpg", "name", "not in a person's folder"),
        ("nobody", "identity", "in table.csv, without an image"),
    )


def test_an_empty_folder_of_a_tar_is_named(tmp_path, write_tar, people_files):
    import tarfile

    path = write_tar(tmp_path / "x.tar", people_files({"a": 1, "b": 1}))
    with tarfile.open(path, "a") as archive:
        for name in ("a", "empty"):
            folder = tarfile.TarInfo(name)
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
    assert [skip[0] for skip in read_tree(str(path), "").skipped] == ["empty"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column group and no column identity"),
        ("name,group\na,red\n", "no column identity; its first line is 'name,group'"),
        ("identity,group\na,red\nb,red\na,blue\n", ":4: 'a' is in group 'blue', and in 'red'"),
        ("identity,group\na\n", ":2: the row has too few fields"),
    ],
)
def test_a_table_of_another_form_is_refused_in_one_line(tmp_path, text, words):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        read_table(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_a_table_that_is_no_text_or_not_there_is_refused(tmp_path, tree):
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match="no text in UTF-8"):
        read_table(tmp_path / "x.csv")
    with pytest.raises(DataError, match="config.data.groups=none.csv does not exist"):
        read_tree(str(tree), "none.csv")


def test_a_flat_tree_has_no_folders_of_groups(tree):
    with pytest.raises(DataError, match="'a' lies in no group's folder"):
        read_tree(str(tree), "folder")


def test_relative_places_are_looked_for_in_the_environment_s_folder(tmp_path, tree, monkeypatch):
    table(tmp_path, TABLE)
    monkeypatch.setenv("FAIRJAX_DATA", str(tmp_path))
    assert read_tree("tree", "table.csv").groups == ("blue", "red")
    with pytest.raises(DataError, match="config.data.root=nowhere does not exist"):
        read_tree("nowhere", "")


def test_images_are_found_by_the_number_at_the_end_of_their_names():
    names = {"m.07_k/m.07_k_0012.jpg": "m.07_k", "b/b_3.PNG": "b", "b/cover.jpg": "b"}
    assert numbered(names) == {
        ("m.07_k", 12): "m.07_k/m.07_k_0012.jpg",
        ("b", 3): "b/b_3.PNG",
    }
