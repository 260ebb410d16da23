"""RFW as folders with lists and landmarks, and as `.bin`; every fault has its line."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fairjax.data.dataset import DataError
from fairjax.data.formats.align import TEMPLATE
from fairjax.data.formats.files import open_files
from fairjax.data.rfw import RACES, RfwPairs, read

REAL = os.environ.get("FAIRJAX_DATA", "")  # the fixtures hide it from the code under test


def spots(points, seed):
    """A picture that is bright where the points are."""
    y, x = np.indices((150, 140))
    pixels = np.random.default_rng(seed).integers(0, 40, (150, 140)).astype(float)
    for px, py in points:
        pixels += 200 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 18)
    buffer = io.BytesIO()
    grey = np.clip(pixels, 0, 255).astype(np.uint8)
    Image.fromarray(grey).convert("RGB").save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def release():
    """{name: content} of four races with ten people each, ten parts of one pair of each kind."""
    files, seed = {}, 0
    for race in RACES:
        pairs, people, images, landmarks = [], [], [], []
        for k in range(10):
            person = f"m.0_{k}"  # the same ids in every race
            people.append(f"{person}\t2")
            for number in (1, 2):
                seed += 1
                points = TEMPLATE * 0.9 + np.random.default_rng(seed).uniform(5, 35, 2)
                name = f"{person}_{number:04d}.jpg"
                files[f"test/data/{race}/{person}/{name}"] = spots(points, seed)
                images.append(f"{name} {k}")
                numbers = "\t".join(f"{v:.2f}" for v in points.ravel())
                landmarks.append(f"/test/data/{race}/{person}/{name}\t{k}\t{numbers}")
            pairs += [f"{person}\t1\t2", f"{person}\t1\tm.0_{(k + 1) % 10}\t2"]
        for kind, lines in (
            ("pairs", pairs),
            ("people", people),
            ("images", images),
            ("lmk", landmarks),
        ):
            files[f"test/txts/{race}/{race}_{kind}.txt"] = "\n".join(lines).encode()
    return files


def loaded(path, **changes):
    return RfwPairs(root=str(path), **changes).load(seed=0)


def test_folder_and_tar_give_people_by_race_and_their_pairs(
    tmp_path, release, write_folder, write_tar
):
    one = loaded(write_folder(tmp_path / "x", release))
    other = loaded(write_tar(tmp_path / "x.tar", release))
    for found in (one, other):
        assert len(found.faces) == 80 and len(found.faces.people) == 40
        assert found.faces.groups == RACES and found.faces.attribute == "race"
        group = found.faces.group[found.faces.person]
        assert (group[found.pairs.first] == group[found.pairs.second]).all()
        assert (np.bincount(group[found.pairs.first]) == 20).all()
        assert np.bincount(found.pairs.fold).tolist() == [8] * 10
        assert found.faces.skipped == () and found.problems == ()
    np.testing.assert_array_equal(one.pairs.first, other.pairs.first)
    assert one.faces.ids[one.pairs.first[1]] == "African/m.0_0/m.0_0_0001.jpg"
    assert one.faces.ids[one.pairs.second[1]] == "African/m.0_1/m.0_1_0002.jpg"


def test_images_come_aligned_by_their_own_landmarks(tmp_path, release, write_folder):
    faces = loaded(write_folder(tmp_path / "x", release)).faces
    pictures = faces.read(np.arange(len(faces)))
    assert pictures.shape == (80, 112, 112, 3) and pictures.dtype == np.uint8
    for x, y in TEMPLATE:
        assert pictures[:, round(y), round(x)].min() > 150
    np.testing.assert_array_equal(faces.read(np.array([7, 3])), pictures[[7, 3]])


def test_without_alignment_the_files_come_as_they_are(tmp_path, release, write_folder):
    files = {name: c for name, c in release.items() if not name.endswith("_lmk.txt")}
    faces = loaded(write_folder(tmp_path / "x", files), align=False).faces
    assert faces.read(np.array([0])) == [release[f"test/data/{faces.ids[0]}"]]


def edited(release, name, edit):
    return {**release, f"test/txts/{name}": edit(release[f"test/txts/{name}"].decode()).encode()}


def without(release, part):
    return {name: content for name, content in release.items() if part not in name}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: without(r, "data/Asian"), "holds no image of Asian"),
        (lambda r: without(without(r, "data/Asian"), "data/Indian"), "no image of Asian, Indian"),
        (lambda r: without(r, "Indian_pairs"), "lacks the list Indian_pairs.txt"),
        (lambda r: without(r, "Indian_lmk"), "lacks the list Indian_lmk.txt"),
        (lambda r: without(r, ".txt"), "no file .*txt"),
        (
            lambda r: edited(r, "Asian/Asian_lmk.txt", lambda t: t.rpartition("\t")[0]),
            "Asian_lmk.txt:20: .* is not a path",
        ),
        (
            lambda r: edited(r, "Asian/Asian_lmk.txt", lambda t: t.replace(t[-5:], "nan")),
            "Asian_lmk.txt:20: .* is not a path",
        ),
        (
            lambda r: edited(r, "Asian/Asian_lmk.txt", lambda t: t + "\na\t0" + "\t7.0" * 10),
            "Asian_lmk.txt:21: .* is not a path",
        ),
        (
            lambda r: edited(r, "Asian/Asian_people.txt", lambda t: t + "\nm.0zz\tmany"),
            "Asian_people.txt:11: .* is not",
        ),
        (
            lambda r: edited(r, "Asian/Asian_pairs.txt", lambda t: t[: t.rindex("\n")]),
            "Asian_pairs.txt: 19 pairs are not 10 parts",
        ),
        (
            lambda r: edited(r, "Asian/Asian_pairs.txt", lambda t: ""),
            "Asian_pairs.txt: 0 pairs",
        ),
        (
            lambda r: without(r, "Asian/m.0_4/m.0_4_0002"),
            r"2 of 80 pairs .*Asian_pairs.txt:8: image 2 of Asian/m.0_4 is not there",
        ),
        (
            lambda r: edited(r, "Asian/Asian_lmk.txt", lambda t: t.partition("\n")[2]),
            r"2 of 80 pairs .*Asian_pairs.txt:1: image 1 of Asian/m.0_0 is not there",
        ),
    ],
)
def test_every_fault_is_one_line(tmp_path, release, write_folder, change, words):
    path = write_folder(tmp_path / "x", change(release))
    with pytest.raises(DataError, match=words) as caught:
        loaded(path)
    assert "\n" not in str(caught.value)


def test_people_who_lack_images_are_listed(tmp_path, release, write_folder):
    files = edited(
        without(release, "Asian/m.0_4/m.0_4_0002"),
        "Asian/Asian_people.txt",
        lambda text: text + "\nm.0gone\t3\nm.0none\t0",
    )
    found = read(str(write_folder(tmp_path / "x", files)), aligned=True)
    assert found.faces.skipped == (
        ("Asian/m.0_4", "identity", "1 images, 2 by Asian_people.txt"),
        ("Asian/m.0gone", "identity", "0 images, 3 by Asian_people.txt"),
    )
    assert len(loaded(tmp_path / "x", on_error="skip").pairs) == 78


def test_bins_are_read_race_by_race(tmp_path, write_bin, face):
    for at, race in enumerate(RACES):
        images = [face(1000 * at + k) for k in range(40)]
        write_bin(
            tmp_path / f"{race}_test.bin",
            [(images[2 * k], images[2 * k + 1], k % 2 == 0) for k in range(20)],
        )
    found = loaded(tmp_path)
    assert len(found.faces) == 160 and len(found.pairs) == 80
    assert np.bincount(found.pairs.fold).tolist() == [8] * 10
    group = found.faces.group[found.faces.person]
    assert np.bincount(group[found.pairs.first]).tolist() == [20] * 4
    same = found.faces.person[found.pairs.first] == found.faces.person[found.pairs.second]
    np.testing.assert_array_equal(same, found.pairs.mated)
    (tmp_path / "Indian_test.bin").unlink()
    with pytest.raises(DataError, match=r"lacks Indian_test\.bin"):
        loaded(tmp_path)


def test_a_pair_of_one_image_in_a_bin_is_a_problem(tmp_path, write_bin, face):
    images = [face(k) for k in range(40)]
    pairs = [(images[2 * k], images[2 * k + 1], k % 2 == 0) for k in range(20)]
    for race in RACES:
        write_bin(tmp_path / f"{race}_test.bin", pairs)
    pairs[2] = (images[4], images[4], True)
    pairs[3] = (images[0], images[1], False)
    write_bin(tmp_path / "Asian_test.bin", pairs)
    found = read(str(tmp_path), aligned=True)
    assert [problem.where for problem in found.problems] == [
        "Asian_test.bin pair 3",
        "Asian_test.bin pair 4",
    ]
    assert "with itself" in found.problems[0].reason
    assert "as two people" in found.problems[1].reason


def test_a_missing_source_says_where_to_get_it_its_terms_and_layout(tmp_path):
    for root in ("", str(tmp_path / "none")):
        with pytest.raises(DataError) as caught:
            loaded(root)
        for words in ("whdeng.cn/RFW", "non-commercial research", "test/txts", "FAIRJAX_DATA"):
            assert words in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_wrong_option_is_refused():
    RfwPairs(on_error="skip")
    with pytest.raises(ValueError, match="^on_error='ask' must be 'raise' or 'skip'"):
        RfwPairs(on_error="ask")


@pytest.mark.skipif(
    not (Path(REAL) / "rfw_layout_sample.tar").exists(), reason="FAIRJAX_DATA has no RFW sample"
)
def test_aligning_the_sample_gives_the_crops_that_were_aligned_elsewhere():
    found = loaded(Path(REAL) / "rfw_layout_sample.tar")
    crops = open_files(Path(REAL) / "faces_id.tar")
    pictures = found.faces.read(np.arange(len(found.faces)))
    differences = []
    for name, ours in zip(found.faces.ids.tolist(), pictures, strict=True):
        with Image.open(io.BytesIO(crops.read("/".join(name.split("/")[-2:])))) as image:
            differences.append(np.abs(np.asarray(image).astype(int) - ours).mean())
    print(f"mean absolute difference {np.mean(differences):.2f} of 255")
    assert np.mean(differences) < 2  # JPEG at quality 90 and another resampling
    assert np.max(differences) < 4
