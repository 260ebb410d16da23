"""BUPT: four races from folders and from records with their list; RFW's people are dropped."""

import struct

import pytest
from dataset_example import loaded

from fairjax import config
from fairjax.data import bupt
from fairjax.data.dataset import DataError
from fairjax.data.rfw import RACES

LISTED = {"Caucasian": 0, "Indian": 1, "Asian": 2, "African": 3}


@pytest.fixture(scope="module")
def people():
    return {f"{race}/m.0{race[:2].lower()}{k}": 2 + k % 3 for race in RACES for k in range(6)}


@pytest.fixture
def folders(tmp_path, write_folder, people_files, people):
    return write_folder(tmp_path / "race_per_7000", people_files(people))


@pytest.fixture
def records(tmp_path, people_files, people):
    """The same images as records, in the order of the list, which has the races."""
    folder = tmp_path / "rec"
    folder.mkdir()
    listed, index, written, key = [], [], b"", 1
    numbers = {person: k for k, person in enumerate(people)}
    for name, content in people_files(people).items():
        race, identity, file = name.split("/")
        label = numbers[f"{race}/{identity}"]
        listed.append(f"{identity}/{file}\t{label}\t{LISTED[race]}")
        data = struct.pack("<IfQQff", 2, 0.0, key, 0, label, 1.0) + content
        assert bytes.fromhex("0a23d7ce") not in data
        index.append(f"{key}\t{len(written)}")
        written += struct.pack("<II", 0xCED7230A, len(data)) + data + bytes(-len(data) % 4)
        key += 1
    (folder / "train.rec").write_bytes(written)
    (folder / "train.idx").write_text("\n".join(index))
    (folder / "train_balancedface.lst").write_text("\n".join(listed))
    (folder / "property").write_text(f"{len(people)},112,112\n")
    return folder


def load(root, **changes):
    section = {
        **config.dataset(
            "bupt",
            root=str(root),
            held_out=6,
            benchmark=config.benchmark("phantom", identities=80, pairs_per_fold=4, folds=2),
        ).to_dict(),
        **changes,
    }
    return loaded(section)


def test_folders_and_records_give_the_same_people_races_and_bytes(folders, records, people):
    one, other = bupt.read(str(folders)), bupt.read(str(records))
    assert one.people.tolist() == other.people.tolist() == sorted(people)
    assert one.groups == other.groups == RACES
    assert one.group.tolist() == other.group.tolist()
    assert [RACES[g] for g in one.group] == [person.split("/")[0] for person in sorted(people)]
    assert sorted(one.digests.tolist()) == sorted(other.digests.tolist())
    assert len(one) == sum(people.values())


def test_the_dataset_has_races_and_contiguous_identities(records):
    data = load(records)
    assert data.attributes["race"].values == RACES
    identity = data.splits["train"].labels["identity"]
    assert sorted(set(identity.tolist())) == list(range(18))
    assert set(data.splits["test"].labels["race"].tolist()) == {-1}  # phantom people have a group
    assert "Freebase" in data.attributes["race"].assigned_by


def test_a_race_that_is_missing_is_named(tmp_path, write_folder, people_files, people):
    files = people_files({person: n for person, n in people.items() if "Indian" not in person})
    with pytest.raises(DataError, match="holds no image of Indian"):
        bupt.read(str(write_folder(tmp_path / "x", files)))


def test_records_without_races_or_with_wrong_ones_are_refused(records):
    listed = records / "train_balancedface.lst"
    text = listed.read_text()
    listed.write_text(text.replace("\t3\n", "\t4\n"))
    with pytest.raises(DataError, match=r"race 4 in the \.lst is none of 0\.\.3"):
        bupt.read(str(records))
    listed.write_text("\n".join(line.rpartition("\t")[0] for line in text.splitlines()))
    with pytest.raises(DataError, match="no list of races"):
        bupt.read(str(records))
    listed.unlink()
    with pytest.raises(DataError, match="no list of races"):
        bupt.read(str(records))


def test_a_person_of_two_races_or_a_number_of_two_people_is_refused(records):
    listed = records / "train_balancedface.lst"
    text = listed.read_text()
    first, rest = text.split("\n", 1)
    listed.write_text(first[:-1] + "0\n" + rest)
    with pytest.raises(DataError, match="gives label 0 to African/m.0af0 and Caucasian/m.0af0"):
        bupt.read(str(records))


def test_general_records_are_people_to_train_on(records):
    section = config.dataset(
        "identities",
        root=str(records),
        held_out=6,
        benchmark=config.benchmark("phantom", identities=80, pairs_per_fold=4, folds=2),
    ).to_dict()
    data = loaded(section)
    assert all(name.startswith("m.0") for name in data.attributes["identity"].values)
    (records / "train_balancedface.lst").unlink()
    again = loaded(section)
    assert all(name.isdecimal() for name in again.attributes["identity"].values)


def test_a_missing_source_says_where_to_get_it_its_terms_and_layout(tmp_path):
    with pytest.raises(DataError) as caught:
        bupt.read(str(tmp_path / "none"))
    for words in ("whdeng.cn", "non-commercial research", "train_balancedface.lst", "FAIRJAX_DATA"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)
