"""Images of people as readers gather them: what is kept, what is skipped, what is counted."""

import numpy as np
import pytest

from fairjax.core.comparisons import UNKNOWN
from fairjax.data import duplicates, faces
from fairjax.data.faces import account, counts, gather
from fairjax.data.formats.files import open_files


@pytest.fixture
def source(tmp_path, write_folder, people_files):
    """Three people, one of whom has an image that is cut short and one that is none."""
    files = people_files({"a": 2, "b": 1, "c": 3})
    files["c/c_0002.jpg"] = files["c/c_0002.jpg"][:-20]
    files["c/c_0003.jpg"] = b"text"
    return open_files(write_folder(tmp_path / "x", files))


def gathered(files, **changes):
    settings = {
        "group_of": {"a": "red", "b": "blue"},
        "groups": ("blue", "red"),
        "attribute": "group",
        "assigned_by": "us",
        **changes,
    }
    return gather(files, {name: name.split("/")[0] for name in files.names}, **settings)


def test_images_come_person_by_person_with_what_is_known_of_them(source):
    found = gathered(source)
    assert found.ids.tolist() == ["a/a_0001.jpg", "a/a_0002.jpg", "b/b_0001.jpg", "c/c_0001.jpg"]
    assert found.people.tolist() == ["a", "b", "c"]
    assert found.person.tolist() == [0, 0, 1, 2]
    assert found.group.tolist() == [1, 0, UNKNOWN]
    rows = np.array([3, 0])
    assert found.read(rows) == [source.read(found.ids[row]) for row in rows]


def test_what_is_no_picture_is_named_with_its_reason(source):
    found = gathered(source, skipped=[("d", "identity", "a person without an image")])
    assert [skip[:2] for skip in found.skipped] == [
        ("c/c_0002.jpg", "image"),
        ("c/c_0003.jpg", "image"),
        ("d", "identity"),
    ]
    assert "truncated" in found.skipped[0][2]
    assert found.skipped[1][2] == "not a JPEG or PNG image"


def test_rows_are_taken_with_their_people_renumbered(source):
    found = gathered(source).take(np.array([3, 1]))
    assert found.people.tolist() == ["a", "c"]
    assert found.person.tolist() == [1, 0]
    assert found.group.tolist() == [1, UNKNOWN]
    assert found.read(np.array([1])) == [source.read("a/a_0002.jpg")]
    again = found.take(np.array([0]))
    assert again.read(np.array([0])) == [source.read("c/c_0001.jpg")]


def test_a_second_look_reads_no_file_until_one_changes(tmp_path, source, monkeypatch):
    looked = []
    look = duplicates._look
    monkeypatch.setattr(duplicates, "_look", lambda f, n: looked.append(n) or look(f, n))
    first = faces.look(source)
    assert len(looked) == 6
    assert faces.look(source) == first
    assert len(looked) == 6
    (tmp_path / "x" / "b" / "b_0001.jpg").write_bytes(b"no longer a picture")
    digests, unreadable, _ = faces.look(open_files(tmp_path / "x"))
    assert "b/b_0001.jpg" in unreadable and "b/b_0001.jpg" not in digests
    assert len(looked) == 12


def test_files_are_looked_at_some_at_a_time(source, monkeypatch):
    whole = [one for some in duplicates.look(source) for one in some]
    monkeypatch.setattr(duplicates, "_AT_ONCE", 4)
    parts = list(duplicates.look(source))
    assert [len(part) for part in parts] == [4, 2]
    assert [one[0] for part in parts for one in part] == [one[0] for one in whole]


def test_counts_are_by_group_and_by_images_a_person(source):
    assert counts(gathered(source)) == {
        "people": 3,
        "images": 4,
        "by_group": {
            "blue": {"people": 1, "images": 1},
            "red": {"people": 1, "images": 2},
            "unknown": {"people": 1, "images": 1},
        },
        "images_per_person": {"1": 2, "2": 1},
    }
    everyone_known = gathered(source, group_of={"a": "red", "b": "blue", "c": "red"})
    assert list(counts(everyone_known)["by_group"]) == ["blue", "red"]


def test_the_hash_moves_with_names_people_groups_and_bytes(
    tmp_path, write_folder, people_files, face
):
    files = people_files({"a": 2, "b": 1})
    original = account(gathered(open_files(write_folder(tmp_path / "0", files))))["hash"]
    again = account(gathered(open_files(write_folder(tmp_path / "1", files))))["hash"]
    assert original == again
    renamed = {name.replace("b/", "z/"): content for name, content in files.items()}
    repainted = {**files, "a/a_0001.jpg": face(99)}
    hashes = {original}
    for k, changed in enumerate((renamed, repainted)):
        source = open_files(write_folder(tmp_path / f"c{k}", changed))
        hashes.add(account(gathered(source))["hash"])
    regrouped = gathered(open_files(tmp_path / "0"), group_of={"a": "blue", "b": "blue"})
    hashes.add(account(regrouped)["hash"])
    assert len(hashes) == 4
