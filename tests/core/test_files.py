"""Files that are whole or absent, and arrays that take no more memory than their file allows."""

import errno
import io
import json
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from fairjax.core import files
from fairjax.core.files import naming, read_arrays, read_json, whole_file, write_whole

ARRAYS = {
    "numbers": np.arange(6.0).reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6, dtype=np.uint8).reshape(2, 3)),
    "words": np.array(["a", "bcd"]),
    "truth": np.array([True, False]),
    "empty": np.zeros((0, 4), np.float32),
    "one": np.array(7),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back_as_they_were_saved(tmp_path, save):
    save(tmp_path / "x.npz", **ARRAYS)
    found = read_arrays(tmp_path / "x.npz")
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        found[name][...] = array  # they may be written to


def test_a_file_of_one_array_is_named_by_nothing(tmp_path):
    np.save(tmp_path / "x.npy", ARRAYS["columns"])
    np.testing.assert_array_equal(read_arrays(tmp_path / "x.npy")[""], ARRAYS["columns"])


def npy(header, content=b""):
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


def header(shape, kind="<f4"):
    return repr({"descr": kind, "fortran_order": False, "shape": shape})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (npy(header((10**12,)), b"1234"), "speaks of 1,000,000,000,000 numbers"),
        (npy(header((10**12,), "<U0")), "speaks of 1,000,000,000,000 numbers of 0 bytes"),
        (npy(header((-1,)), b"1234"), "has the shape"),
        (npy(header((1,)), b"12345678"), "but 8 bytes follow"),
        (npy(header((1,)), b"12"), "but 2 bytes follow"),
        (npy(header((1,), "|O"), b"12345678"), "Python objects, which could run code"),
        (npy("{}"), "x.npz: "),
        (npy("__import__('os')"), "x.npz: "),
        (b"\x93NUMPY\x09\x00", "x.npz: "),
        (b"", "no .npz or .npy file"),
        (b"PK\x03\x04", "no .npz or .npy file"),
    ],
)
def test_a_header_that_does_not_fit_its_file_is_refused_before_memory_is_taken(
    tmp_path, content, words
):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        read_arrays(tmp_path / "x.npz")
    assert str(caught.value).startswith(f"{tmp_path / 'x.npz'}: ")
    assert "\n" not in str(caught.value)


def test_an_archive_may_not_ask_for_much_more_than_it_is_long(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", zeros=np.zeros(files.SMALL + 1, np.uint8))
    with pytest.raises(ValueError, match="asks for 67,10.* bytes of memory; a file of"):
        read_arrays(tmp_path / "x.npz")


def test_an_archive_that_lies_about_its_sizes_is_refused(tmp_path):
    whole = io.BytesIO()
    np.savez_compressed(whole, zeros=np.zeros(5000))
    content = bytearray(whole.getvalue())
    place = content.rindex(b"PK\x01\x02") + 24  # the directory's entry: the size when unpacked
    assert int.from_bytes(content[place : place + 4], "little") == 40128
    content[place : place + 4] = (128 + 8).to_bytes(4, "little")
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.npz: "):
        read_arrays(tmp_path / "x.npz")


def test_two_arrays_of_one_name_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive, pytest.warns(UserWarning):
        for _ in range(2):
            archive.writestr("a.npy", npy(header(()), b"1234"))
    with pytest.raises(ValueError, match="two arrays of one name"):
        read_arrays(tmp_path / "x.npz")


def test_every_damage_of_an_archive_is_one_line(tmp_path):
    whole = io.BytesIO()
    np.savez_compressed(whole, **ARRAYS)
    draw, path = np.random.default_rng(0), tmp_path / "x.npz"
    read = 0
    for _ in range(1500):
        content = bytearray(whole.getvalue())
        for place in draw.integers(len(content), size=draw.integers(1, 4)):
            content[place] = draw.integers(256)
        path.write_bytes(content[: len(content) - draw.integers(30) * draw.integers(2)])
        try:
            found = read_arrays(path)
        except ValueError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
        else:
            read += sum(array.nbytes for array in found.values()) >= 0
    assert 0 < read < 1000, "some damage is harmless, most is not"


def test_json_that_is_none_says_so_in_one_line(tmp_path):
    for content in (b"", b"{", b"\xff\xfe", b"[" * 100_000, b"1" * 5000):
        (tmp_path / "x.json").write_bytes(content)
        with pytest.raises(ValueError, match=r"x\.json is not valid JSON \(") as caught:
            read_json(tmp_path / "x.json")
        assert "\n" not in str(caught.value)
    write_whole(tmp_path / "x.json", json.dumps({"é": 1}))
    assert read_json(tmp_path / "x.json") == {"é": 1}


def test_a_full_disk_names_the_file_and_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_whole(path, "old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device: .*a.txt'"):
        write_whole(path, "new")
    assert path.read_text() == "old" and [*tmp_path.iterdir()] == [path]


def test_an_error_of_the_system_without_a_name_gets_that_of_the_file():
    with pytest.raises(OSError, match="No space left on device: 'a.csv'"), naming(Path("a.csv")):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(OSError, match="'b.csv'"), naming(Path("a.csv")):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "b.csv")


def test_a_file_that_fails_half_way_leaves_nothing(tmp_path):
    with pytest.raises(zlib.error), whole_file(tmp_path / "a.txt") as file:
        file.write(b"half")
        raise zlib.error
    assert not list(tmp_path.iterdir())
