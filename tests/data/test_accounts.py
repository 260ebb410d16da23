"""What a source holds adds up: used, skipped and passed over; nothing is guessed in silence."""

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fairjax.data.dataset import DataError
from fairjax.data.faces import account, file_account
from fairjax.data.formats.pairs import parse_pairs
from fairjax.data.formats.tree import read_tree
from fairjax.data.formats.upright import is_rotated, upright


def picture(seed: int, *, orientation: int = 1, size=(24, 16)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, "JPEG", quality=95, exif=exif)
    return stored.getvalue()


def tree(folder: Path, names: dict[str, bytes]) -> Path:
    for name, content in names.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_every_file_is_counted_once(tmp_path):
    root = tree(
        tmp_path / "x",
        {
            "a/0.jpg": picture(0),
            "a/1.webp": b"",
            "b/0.jpg": picture(1),
            "b/._0.jpg": b"",
            "__MACOSX/a/._0.jpg": b"",
            "b/broken.jpg": b"no picture",
            "loose.jpg": picture(2),
        },
    )
    (root / "c").symlink_to(root / "a")
    found = file_account(read_tree(str(root), ""))
    assert found.pop("found") == sum(found.values()) == 8
    assert found["used"] == 2 and found[".webp files"] == 1 and found["links to folders"] == 1
    assert found["files of __MACOSX"] == 1 and found["hidden files"] == 1
    assert found["skipped: image"] == 1 and found["skipped: name"] == 1


@pytest.mark.parametrize("packed", [False, True])
def test_links_and_devices_are_no_files_without_an_extension(tmp_path, packed):
    root = tree(tmp_path / "x", {"a/0.jpg": picture(0), "a/README": b"", "b/0.jpg": picture(1)})
    (root / "gone").symlink_to(tmp_path / "nowhere")  # of a person, or of a picture: unknown
    (root / "b" / "1.jpg").symlink_to(tmp_path / "nowhere.jpg")
    expected = {"files without an extension": 1, "skipped: image": 1, "used": 2}
    if packed:
        with tarfile.open(tmp_path / "x.tar", "w") as archive:
            archive.add(root, "x")
        root, expected["links"] = tmp_path / "x.tar", 1
    else:
        os.mkfifo(root / "b" / "pipe")
        expected |= {"broken links": 1, "devices": 1}
    found = file_account(read_tree(str(root), ""))
    assert found.pop("found") == sum(found.values())
    assert found == expected


def test_people_who_share_a_picture_or_nearly_a_name_are_reported(tmp_path):
    root = tree(
        tmp_path, {"anna/0.jpg": picture(0), "Anna/1.jpg": picture(1), "b/0.jpg": picture(0)}
    )
    notes = account(read_tree(str(root), ""))["notes"]
    assert "differ by case alone (1 such name)" in notes[0]
    assert "1 picture stands under the names of several people" in notes[1]


def test_a_rotated_picture_is_read_upright(tmp_path):
    encoded = picture(0, orientation=6)  # the camera lay on its side
    root = tree(tmp_path, {"a/0.jpg": encoded, "b/0.jpg": picture(1)})
    faces = read_tree(str(root), "")
    assert faces.notes == ("1 picture was turned as the EXIF orientation says.",)
    turned, plain = (Image.open(io.BytesIO(x)) for x in faces.read(np.array([0, 1])))
    assert (turned.size, plain.size) == ((16, 24), (24, 16))
    stored = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
    np.testing.assert_array_equal(np.asarray(turned), np.rot90(stored, -1))
    assert is_rotated(encoded) and not is_rotated(upright(encoded))


@pytest.mark.parametrize(
    ("names", "level", "people"),
    [
        (["train/a/0.jpg", "train/b/0.jpg", "val/a/1.jpg"], "2", ["a", "b"]),
        (["p/v0/0.jpg", "p/v1/0.jpg", "q/v0/0.jpg"], "1", ["p", "q"]),
        (["p/v0/0.jpg", "p/v1/0.jpg", "q/w0/0.jpg"], "1", ["p", "q"]),
    ],
)
def test_which_folder_names_the_person_is_asked_where_it_is_not_plain(
    tmp_path, names, level, people
):
    root = str(tree(tmp_path, {name: picture(k) for k, name in enumerate(names)}))
    with pytest.raises(DataError, match="config.data.person_folder"):
        read_tree(root, "")
    assert read_tree(root, "", level).people.tolist() == people
    assert len(read_tree(root, "", "path").people) == 3


FORMS = {
    "tabs": "1\t1\nAnna B\t1\t2\nAnna B\t1\tBo\t2\n",
    "padded": "1 1\nAnna_B 0001 0002\nAnna_B 0001 Bo 0002\n",
    "kaggle": "name,imagenum1,imagenum2,\nAnna_B,1,2,\nAnna_B,1,Bo,2\n",
    "windows": "\ufeff1\t1\r\nAnna_B\t1\t2\t\r\nAnna_B\t1\tBo\t2\r\n",
    "mixed": "Anna_B 1 Bo 2\nAnna_B 1 2\n",
    "paths": "Anna_B/Anna_B_0001.jpg Anna_B/Anna_B_0002.jpg 1\nAnna_B/1.jpg Bo\\2.jpg 0\n",
    "cplfw": "Anna_B_1.jpg 1\nAnna_B_2.jpg 1\nAnna_B_1.jpg 0\nBo_2.jpg 0\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_lists_of_pairs_are_read_in_the_forms_that_there_are(form):
    lines = parse_pairs(FORMS[form], name="pairs.txt")
    found = {(x.first[0].replace(" ", "_"), x.second[0]) if not x.mated else "mated" for x in lines}
    assert found == {"mated", ("Anna_B", "Bo")}


def test_a_list_of_people_is_told_from_a_list_of_pairs():
    with pytest.raises(DataError, match="a list of people and not of pairs; a line is"):
        parse_pairs("2\nAnna\t4\nBo\t4\n", name="people.txt")
