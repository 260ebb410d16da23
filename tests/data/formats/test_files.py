import gzip
import io
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fairjax.data.dataset import DataError
from fairjax.data.formats.files import find_source, open_files, printable, read_text

FILES = {f"{k}.jpg": bytes([k]) * (100 + 37 * k) for k in range(40)}


def test_folder_nested_folder_and_tar_give_the_same_names_and_bytes(
    tmp_path, write_folder, write_tar
):
    nested = {f"a/b/{name}": content for name, content in FILES.items()}
    sources = [
        write_folder(tmp_path / "flat", FILES),
        write_folder(tmp_path / "nested", nested),
        write_tar(tmp_path / "flat.tar", FILES),
        write_tar(tmp_path / "nested.tar", nested),
    ]
    for source in sources:
        files = open_files(source)
        assert files.names == tuple(sorted(FILES))
        assert {name: files.read(name) for name in files.names} == FILES


def test_two_folders_keep_their_names_apart(tmp_path, write_folder):
    files = open_files(write_folder(tmp_path / "x", {"top/a/1.jpg": b"1", "top/b/1.jpg": b"2"}))
    assert files.names == ("a/1.jpg", "b/1.jpg")
    assert files.read("b/1.jpg") == b"2"


def test_only_visible_images_are_listed_whatever_the_case_of_the_extension(tmp_path, write_folder):
    names = ["a.JPG", "b.jpeg", "c.Png", "._a.jpg", ".trash/d.jpg", "notes.txt"]
    files = open_files(write_folder(tmp_path / "x", dict.fromkeys(names, b"")))
    assert files.names == ("a.JPG", "b.jpeg", "c.Png")


def test_a_tar_is_read_from_many_threads_at_once(tmp_path, write_tar):
    files = open_files(write_tar(tmp_path / "x.tar", FILES))
    names = list(FILES) * 50
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(files.read, names)) == [FILES[name] for name in names]


def test_the_later_member_of_one_name_counts_as_it_does_when_unpacked(tmp_path, write_tar):
    path = write_tar(tmp_path / "x.tar", {"a.jpg": b"old", "b.jpg": b"b"})
    with tarfile.open(path, "a") as archive:
        member = tarfile.TarInfo("a.jpg")
        member.size = 5
        archive.addfile(member, io.BytesIO(b"newer"))
    assert open_files(path).read("a.jpg") == b"newer"


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/a.jpg", "x/../../a.jpg"])
def test_a_member_that_points_outside_is_refused(tmp_path, write_tar, name):
    path = write_tar(tmp_path / "x.tar", {"good.jpg": b"1", name: b"2"})
    with pytest.raises(DataError, match="points outside the archive"):
        open_files(path)


def test_links_in_an_archive_are_listed_as_skipped(tmp_path, write_tar):
    path = write_tar(tmp_path / "x.tar", {"a.jpg": b"1"})
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("b.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    files = open_files(path)
    assert files.names == ("a.jpg",)
    assert [name for name, _ in files.skipped] == ["b.jpg"]


def test_a_broken_link_in_a_folder_is_listed_as_skipped(tmp_path, write_folder):
    folder = write_folder(tmp_path / "x", {"a.jpg": b"1"})
    (folder / "b.jpg").symlink_to(tmp_path / "nowhere")
    assert [name for name, _ in open_files(folder).skipped] == ["b.jpg"]


def test_a_compressed_archive_says_how_to_make_it_readable(tmp_path, write_tar):
    path = write_tar(tmp_path / "x.tar", FILES)
    packed = path.with_suffix(".tar.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(DataError, match=r"gunzip -k x\.tar\.gz"):
        open_files(packed)


@pytest.mark.parametrize("kept", [300, 5000, 10240])
def test_a_tar_cut_short_is_refused_wherever_it_was_cut(tmp_path, write_tar, kept):
    path = write_tar(tmp_path / "x.tar", FILES)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match="cut short|not a whole"):
        open_files(path)


def test_a_tar_with_a_damaged_header_in_the_middle_is_refused(tmp_path, write_tar):
    path = write_tar(tmp_path / "x.tar", FILES)
    content = bytearray(path.read_bytes())
    at = content.index(b"20.jpg\0")
    content[at : at + 200] = b"\x7f" * 200
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        open_files(path)


def test_a_tar_cut_after_it_was_listed_is_an_error_not_short_bytes(tmp_path, write_tar):
    path = write_tar(tmp_path / "x.tar", FILES)
    files = open_files(path)
    os.truncate(path, 2000)
    with pytest.raises(OSError, match="cut short"):
        files.read("39.jpg")


def test_missing_empty_and_foreign_sources_are_named(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.tar").write_text("not an archive" * 100)
    for name, words in (
        ("none", "no such file"),
        ("empty", "no image file"),
        ("text.tar", "not a whole"),
    ):
        with pytest.raises(DataError, match=words) as caught:
            open_files(tmp_path / name)
        assert name in str(caught.value)


def test_the_stamp_moves_with_names_sizes_and_times_only(tmp_path, write_folder):
    folder = write_folder(tmp_path / "x", {"a.jpg": b"1", "b.jpg": b"2"})
    stamp = open_files(folder).stamp
    assert open_files(folder).stamp == stamp
    os.utime(folder / "a.jpg", ns=(1, 1))
    later = open_files(folder).stamp
    assert later != stamp
    (folder / "b.jpg").rename(folder / "c.jpg")
    assert open_files(folder).stamp not in (stamp, later)


def test_printable_keeps_letters_and_escapes_what_moves_a_terminal():
    assert printable("é 1.jpg") == "é 1.jpg"
    assert printable("a\x1b[2J\n\udcff.jpg") == r"a\x1b[2J\n\udcff.jpg"


def test_the_open_file_is_closed_with_its_last_reader(tmp_path, write_tar):
    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    path = write_tar(tmp_path / "x.tar", FILES)
    before = opened()
    files = open_files(path)
    assert opened() == before + 1
    del files
    assert opened() == before


def test_files_of_another_kind_are_listed_where_they_are_asked_for(
    tmp_path, write_folder, write_tar
):
    files = {"a/x.jpg": b"1", "a/list.TXT": b"2", "b/notes.txt": b"3"}
    for source in (write_folder(tmp_path / "x", files), write_tar(tmp_path / "x.tar", files)):
        found = open_files(source, suffixes=(".txt",))
        assert found.names == ("a/list.TXT", "b/notes.txt")
        assert found.read("b/notes.txt") == b"3"
        with pytest.raises(DataError, match=r"no file \(\.csv\) in it"):
            open_files(source, suffixes=(".csv",))


def test_folders_without_an_image_are_named(tmp_path, write_folder):
    folder = write_folder(tmp_path / "x", {"a/1.jpg": b"1", "b/notes.txt": b"", "c/d/2.jpg": b"2"})
    (folder / "e" / "f").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    assert open_files(folder).empty == ("b", "e/f")


def find(root, **changes):
    settings = {
        "candidates": ("x.tar", "x"),
        "key": "config.data.root",
        "help_text": "Get it there.",
    }
    return find_source("x", root, **{**settings, **changes})


def test_a_place_is_the_root_what_it_holds_or_what_the_environment_s_folder_holds(
    tmp_path, monkeypatch
):
    home, other = tmp_path / "home", tmp_path / "other"
    (home / "x").mkdir(parents=True)
    (home / "y").mkdir()
    other.mkdir()
    monkeypatch.setenv("FAIRJAX_DATA", str(home))
    assert find("") == find(str(home)) == home / "x"
    assert find("y") == home / "y"
    assert find(str(other)) == other
    (home / "x.tar").touch()
    assert find("") == home / "x.tar"
    monkeypatch.chdir(tmp_path)
    assert find("other") == Path("other")


@pytest.mark.parametrize(
    ("home", "root", "words"),
    [
        ("", "", "config.data.root and FAIRJAX_DATA are both empty"),
        (".", "", "holds none of x.tar, x"),
        (".", "none", "config.data.root=none does not exist"),
        ("", "/none", "config.data.root=/none does not exist"),
    ],
)
def test_a_place_that_is_not_there_ends_with_what_to_do(tmp_path, monkeypatch, home, root, words):
    monkeypatch.setenv("FAIRJAX_DATA", home and str(tmp_path))
    with pytest.raises(DataError, match=f"^x: .*{words}.* Get it there\\.$"):
        find(root)


def test_text_is_read_without_its_mark_and_refused_where_it_is_none(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfm\xc3\xa9")
    assert read_text(tmp_path / "a.txt") == "mé"
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe")
    for name, words in (("b.txt", "no text in UTF-8"), ("c.txt", "cannot be read")):
        with pytest.raises(DataError, match=words):
            read_text(tmp_path / name)


def test_an_image_that_is_replaced_after_it_was_listed_is_named(tmp_path, write_folder):
    files = open_files(write_folder(tmp_path, {"a/1.jpg": b"x" * 9, "b/1.jpg": b"y" * 9}))
    (tmp_path / "a" / "1.jpg").write_bytes(b"z" * 9)
    os.utime(tmp_path / "a" / "1.jpg", ns=(1, 1))
    with pytest.raises(OSError, match="changed, replaced or cut short .*a/1.jpg"):
        files.read("a/1.jpg")
    assert files.read("b/1.jpg") == b"y" * 9


def test_a_file_too_large_to_be_an_image_is_skipped_by_its_size_alone(tmp_path, write_folder):
    write_folder(tmp_path, {"a/1.jpg": b"x"})
    with (tmp_path / "a" / "2.jpg").open("wb") as file:
        file.truncate(40 * 10**9)  # takes no room on the disk
    files = open_files(tmp_path)
    assert files.names == ("1.jpg",)
    assert files.skipped == (
        ("a/2.jpg", "40,000,000,000 bytes, too large to be a face picture (at most 100,000,000)"),
    )
