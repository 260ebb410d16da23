"""InsightFace's `.bin` sets: pairs, images that occur twice, and who can be told apart."""

import pickle

import numpy as np
import pytest

from fairjax.data.dataset import DataError
from fairjax.data.formats.bins import open_bins


def alternating(n, images):
    """Pairs of 2n images, mated and non-mated in turn."""
    return [(images[2 * k], images[2 * k + 1], k % 2 == 0) for k in range(n)]


IMAGES = [bytes([k, 0, k]) for k in range(60)]


@pytest.mark.parametrize("protocol", [2, 4])
def test_pairs_and_parts_are_those_of_the_file(tmp_path, write_bin, protocol):
    path = write_bin(tmp_path / "x.bin", alternating(20, IMAGES), protocol)
    found = open_bins({"red": path})
    assert found.files.names == tuple(f"red/{k:05d}" for k in range(40))
    assert [found.files.read(name) for name in found.files.names] == IMAGES[:40]
    assert [line.mated for line in found.lines] == [True, False] * 10
    assert [line.fold for line in found.lines] == np.repeat(np.arange(10), 2).tolist()
    assert found.lines[3].where == "x.bin pair 4"
    assert found.names[found.lines[3].first] == "red/00006"


def test_arrays_serve_as_bytes(tmp_path):
    arrays = [np.frombuffer(image, np.uint8) for image in IMAGES[:20]]
    (tmp_path / "x.bin").write_bytes(pickle.dumps((arrays, np.arange(10) % 2 == 0)))
    found = open_bins({"": tmp_path / "x.bin"})
    assert [found.files.read(f"{k:05d}") for k in range(20)] == IMAGES[:20]
    assert sum(line.mated for line in found.lines) == 5


def test_equal_bytes_are_one_image_and_mated_pairs_join_people(tmp_path, write_bin):
    a, b, c, d, e, f = IMAGES[:6]
    pairs = [(a, b, True), (b, c, True), (d, e, True), (c, d, False), (a, f, False)]
    pairs += alternating(15, IMAGES[20:60])
    found = open_bins({"": write_bin(tmp_path / "x.bin", pairs)})
    person = {found.files.read(name): who for name, who in found.person_of.items()}
    assert len({*map(person.get, (a, b, c))}) == 1  # a-b and b-c: by a chain
    assert person[d] == person[e] != person[a]
    assert person[f] not in (person[a], person[d])
    assert len(found.files.names) == 6 + 30
    lines = found.lines
    assert [line.first[0] == line.second[0] for line in lines[:5]] == [True] * 3 + [False] * 2
    assert found.names[lines[1].first] == found.names[lines[0].second]


def test_several_files_keep_their_images_and_people_apart(tmp_path, write_bin):
    pairs = alternating(10, IMAGES)
    paths = {name: write_bin(tmp_path / f"{name}.bin", pairs) for name in ("x", "y")}
    found = open_bins(paths)
    assert len(found.files.names) == 40 and len(found.lines) == 20
    assert found.person_of["x/00000"] != found.person_of["y/00000"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no whole pickle"),
        (pickle.dumps(3), "no pair of images and truth values"),
        (pickle.dumps((IMAGES[:20], [True] * 10, 1)), "no pair of images and truth values"),
        (pickle.dumps(([3.5], [True])), "no pair of images and truth values"),
        (pickle.dumps(([40_000_000_000], [True])), "no pair of images and truth values"),
        (pickle.dumps((IMAGES[:20], [[True]] * 10)), "no pair of images and truth values"),
        (pickle.dumps((IMAGES[:20], [2] * 10)), "no pair of images and truth values"),
        (pickle.dumps((IMAGES[:19], [True] * 10)), "19 images and 10 truth values"),
        (pickle.dumps((IMAGES[:22], [True] * 11)), "22 images and 11 truth values"),
        (pickle.dumps(([], [])), "0 images and 0 truth values"),
    ],
)
def test_what_is_no_such_set_is_refused_in_one_line(tmp_path, content, words):
    (tmp_path / "x.bin").write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        open_bins({"": tmp_path / "x.bin"})
    assert str(tmp_path / "x.bin") in str(caught.value) and "\n" not in str(caught.value)


def test_the_stamp_moves_with_the_files(tmp_path, write_bin):
    path = write_bin(tmp_path / "x.bin", alternating(10, IMAGES))
    stamp = open_bins({"": path}).files.stamp
    assert open_bins({"": path}).files.stamp == stamp
    write_bin(path, alternating(20, IMAGES))
    assert open_bins({"": path}).files.stamp != stamp
