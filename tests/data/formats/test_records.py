"""RecordIO: files written here by the format's own rules are read back byte for byte."""

import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairjax.data.dataset import DataError
from fairjax.data.formats import records
from fairjax.data.formats.records import find_records, open_listed, open_records, read_list

MAGIC = bytes.fromhex("0a23d7ce")


def record(data):
    """One record: cut where the data holds the magic on a four-byte boundary, without it."""
    cuts = [at for at in range(0, len(data) - 3, 4) if data[at : at + 4] == MAGIC]
    starts, ends = [0, *(at + 4 for at in cuts)], [*cuts, len(data)]
    kinds = [0] if not cuts else [1, *[2] * (len(cuts) - 1), 3]
    written = b""
    for kind, start, end in zip(kinds, starts, ends, strict=True):
        part = data[start:end]
        written += MAGIC + struct.pack("<I", kind << 29 | len(part)) + part
        written += bytes(-len(part) % 4)
    return written


def image(label, payload, *, key=1, listed=True):
    """The data of an image's record, its label in the header or in a list after it."""
    if listed:
        return struct.pack("<IfQQff", 2, 0.0, key, 0, label, 1.0) + payload
    return struct.pack("<IfQQ", 0, label, key, 0) + payload


def write(folder, content, *, order=None, name="train"):
    """Writes {key: data}; `order` is that of the records in the file."""
    folder.mkdir(exist_ok=True)
    place, written = {}, b""
    for key in order or content:
        place[key] = len(written)
        written += record(content[key])
    (folder / f"{name}.rec").write_bytes(written)
    (folder / f"{name}.idx").write_text("".join(f"{k}\t{place[k]}\n" for k in content))
    return folder / f"{name}.rec"


def insightface(people, payload):
    """What InsightFace's packer writes: a first record, the images, and one record a person."""
    n, content, key = sum(people), {}, 1
    content[0] = struct.pack("<IfQQff", 2, 0.0, 0, 0, n + 1, n + 1 + len(people))
    ranges = []
    for person, images in enumerate(people):
        ranges.append((key, key + images))
        for _ in range(images):
            content[key] = image(person, payload(key), key=key)
            key += 1
    for k, (first, last) in enumerate(ranges):
        content[n + 1 + k] = struct.pack("<IfQQff", 2, 0.0, n + 1 + k, 0, first, last)
    return content


def payload_of(key):
    return bytes([key]) * (10 * key + 1)


def test_images_of_insightface_are_told_from_what_indexes_them(tmp_path):
    content = insightface([3, 1, 2], payload_of)
    # the packer writes record 0 last, so keys are not in the file's order
    found = open_records(write(tmp_path / "x", content, order=[*range(1, 10), 0]))
    assert found.files.names == tuple(f"{key:08d}" for key in range(1, 7))
    assert found.label.tolist() == [0, 0, 0, 1, 2, 2]
    for key, name in enumerate(found.files.names, 1):
        assert found.files.read(name) == payload_of(key)


def test_without_such_a_first_record_every_record_is_an_image(tmp_path):
    content = {key: image(key % 3, payload_of(key + 1), listed=False) for key in range(5)}
    found = open_records(write(tmp_path / "x", content))
    assert found.label.tolist() == [0, 1, 2, 0, 1]
    assert [found.files.read(name) for name in found.files.names] == [
        payload_of(key + 1) for key in range(5)
    ]


PIECES = st.lists(st.one_of(st.just(MAGIC), st.binary(max_size=9)), max_size=6).map(b"".join)


@settings(max_examples=60, deadline=None)
@given(payloads=st.lists(PIECES, min_size=1, max_size=5), listed=st.booleans())
def test_any_payload_comes_back_byte_for_byte_however_it_was_cut(
    tmp_path_factory, payloads, listed
):
    content = {k + 1: image(k, p, key=k + 1, listed=listed) for k, p in enumerate(payloads)}
    path = write(tmp_path_factory.mktemp("rec"), content)
    found = open_records(path)
    assert [found.files.read(name) for name in found.files.names] == payloads
    assert found.label.tolist() == list(range(len(payloads)))


def test_a_record_cut_in_its_header_is_joined_before_it_is_read(tmp_path):
    (strange,) = struct.unpack("<Q", MAGIC + MAGIC)
    data = struct.pack("<IfQQ", 0, 5.0, strange, 0) + b"payload"
    found = open_records(write(tmp_path / "x", {0: data, 1: image(4, b"")}))
    assert found.label.tolist() == [5, 4]
    assert found.files.read("00000000") == b"payload"


def test_the_bytes_on_disk_are_those_of_the_format():
    # Written out by hand: 24 bytes of header, 8 of payload that hold the magic word, cut there.
    data = image(1, b"ab" + b"\0\0" + MAGIC, listed=False)
    expected = (
        "0a23d7ce 1c000020 00000000 0000803f 0100000000000000 0000000000000000 61620000"
        "0a23d7ce 00000060"
    )
    assert record(data) == bytes.fromhex(expected)


def test_many_threads_read_at_once(tmp_path):
    content = insightface([20, 20], lambda key: MAGIC * (key % 4) + payload_of(key))
    found = open_records(write(tmp_path / "x", content))
    names = list(found.files.names) * 20
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(found.files.read, names))
    assert read == [MAGIC * (int(n) % 4) + payload_of(int(n)) for n in names]


def test_headers_are_gathered_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_AT_ONCE", 4)
    found = open_records(write(tmp_path / "x", insightface([5, 6], payload_of)))
    assert found.label.tolist() == [0] * 5 + [1] * 6


def damaged(kind, path):
    index, content = path.with_suffix(".idx"), bytearray(path.read_bytes())
    if kind == "cut":
        path.write_bytes(content[:-30])
    elif kind == "cut in a header":
        path.write_bytes(content[:-5])
    elif kind == "magic":
        content[content.index(payload_of(1)) - 40] ^= 1
        path.write_bytes(content)
    elif kind == "offset":
        index.write_text(index.read_text().replace("2\t", "2\t9"))
    elif kind == "inside":
        index.write_text(index.read_text().replace("\t0\n", "\t4\n"))
    elif kind == "twice":
        index.write_text(index.read_text() + "3\t0\n")
    elif kind == "missing":
        lines = index.read_text().splitlines(keepends=True)
        index.write_text("".join(lines[:3] + lines[4:]))
    elif kind == "words":
        index.write_text("one two\n")
    elif kind == "odd":
        index.write_text("1\t0\n2\n")
    elif kind == "empty":
        index.write_text("")
    elif kind == "gone":
        index.unlink()
    elif kind == "people":
        path.with_name("property").write_text("1,112,112\n")
    else:
        path.with_name("property").write_text("many\n")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("cut", "is cut short|past the end"),
        ("cut in a header", "is cut short"),
        ("magic", "record 1, at byte 40 of .* does not start as a record"),
        ("offset", r"record 2, at byte 9\d+ of \d+, would lie past the end \(1 such record\)"),
        ("inside", "record 0, at byte 4 .* does not start as a record"),
        ("twice", "key 3 stands there twice"),
        ("missing", "record 0 speaks of 5 images and 2 people, but the .idx lists 4 images"),
        ("words", "not lines of a key and a byte offset"),
        ("odd", "not lines of a key and a byte offset"),
        ("empty", "lists no record"),
        ("gone", r"train\.idx: not there"),
        ("people", r"label 1 of record 4 is no whole number in 0\.\.0 \(2 such records\)"),
        ("property", "'many' is no number of people"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, kind, words):
    path = write(tmp_path / "x", insightface([3, 2], payload_of))
    open_records(path)
    damaged(kind, path)
    with pytest.raises(DataError, match=words) as caught:
        open_records(path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("kept", [33, 40, 44, 48, 51])
def test_a_split_record_that_is_cut_short_or_too_short_is_refused(tmp_path, kept):
    path = write(tmp_path / "x", {1: image(0, MAGIC * 2 + b"tail", listed=False)})
    open_records(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match="record 1.* cut short"):
        open_records(path)
    tiny = write(tmp_path / "y", {1: b"abcd" + MAGIC + b"efgh", 2: image(0, b"x")})
    with pytest.raises(DataError, match=r"record 1: unpack_from requires .*; copy it again"):
        open_records(tiny)


@pytest.mark.parametrize("last", [0.0, float("nan"), float("inf")])
def test_a_first_record_of_impossible_numbers_is_refused(tmp_path, last):
    content = insightface([2], payload_of)
    content[0] = struct.pack("<IfQQff", 2, 0.0, 0, 0, 3, last)
    with pytest.raises(DataError, match="record 0 speaks of 2 images and"):
        open_records(write(tmp_path / "x", content))


@pytest.mark.parametrize("label", [-1.0, 0.5, 2.0, float("nan"), float("inf"), 2.0**25])
def test_a_label_that_is_no_person_is_refused(tmp_path, label):
    content = insightface([1, 1], payload_of)
    content[2] = image(label, b"x", key=2)
    with pytest.raises(DataError, match=r"of record 2 is no whole number in 0\.\.1"):
        open_records(write(tmp_path / "x", content))


def test_a_file_cut_after_it_was_listed_is_an_error_not_short_bytes(tmp_path):
    path = write(tmp_path / "x", insightface([2], payload_of))
    found = open_records(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(OSError, match="replaced or cut short"):
        found.files.read("00000002")


@pytest.mark.parametrize(
    ("line", "person", "label", "extra"),
    [
        ("m.0ab/3.jpg\t7\t2", "m.0ab", 7, [2]),
        ("m.0ab/3.jpg\t7", "m.0ab", 7, []),
        ("1\t/data/faces/m.0ab/3.jpg\t7", "m.0ab", 7, []),
        ("1\t/d/m.0ab/3.jpg\t7\t1\t2\t3\t4\t" + "\t".join("0" * 10), "m.0ab", 7, []),
        ("12\t7.000000\tm.0ab/3.jpg", "m.0ab", 7, []),
        ("12\t7.000000\t1.000000\tm.0ab/3.jpg", "m.0ab", 7, []),
        ("m.0ab\\3.jpg\t7\t2", "m.0ab", 7, [2]),
        ("1\tC:\\faces\\m.0ab\\3.jpg\t7", "m.0ab", 7, []),
        ("12\t7.000000\tm.0ab\\3.jpg", "m.0ab", 7, []),
    ],
)
def test_every_layout_of_a_list_is_told_by_where_its_path_stands(
    tmp_path, line, person, label, extra
):
    path = tmp_path / "x.lst"
    path.write_text(line + "\n")
    found = read_list(path)
    assert (found.person, found.label.tolist(), found.extra.tolist()) == ([person], [label], extra)


def test_a_shuffled_list_is_put_in_the_order_of_its_keys(tmp_path):
    """MXNet's im2rec shuffles the lines and packs each image under the key of its line."""
    path = tmp_path / "x.lst"
    path.write_text("2\t1\tb/1.jpg\n0\t0\ta/1.jpg\n1\t0\ta/2.jpg\n")
    found = read_list(path)
    assert (found.person, found.label.tolist()) == (["a", "a", "b"], [0, 0, 1])


@pytest.mark.parametrize("line", ["m.0ab/3.jpg", "7", "", "a\tb\tc/d\te", "m.0ab/3.jpg\tseven"])
def test_a_line_of_no_known_layout_is_refused(tmp_path, line):
    path = tmp_path / "x.lst"
    path.write_text(f"m.0ab/3.jpg\t7\n{line}\n")
    with pytest.raises(DataError, match=r"x\.lst:2: .* is no line of a \.lst"):
        read_list(path)


def test_a_list_is_taken_only_where_it_belongs_to_the_records(tmp_path):
    path = write(tmp_path / "x", insightface([2, 1], payload_of))
    assert open_listed(path)[1] is None
    lines = ["a/1.jpg\t0\t3", "a/2.jpg\t0\t3", "b/1.jpg\t1\t0"]
    beside = tmp_path / "x" / "train_balancedface.lst"
    beside.write_text("\n".join(lines))
    assert open_listed(path)[1].person == ["a", "a", "b"]
    beside.write_text("\n".join(lines[:2]))
    with pytest.raises(DataError, match="2 lines, for the 3 images of train.rec"):
        open_listed(path)
    beside.write_text("\n".join([lines[0], lines[2], lines[1]]))
    with pytest.raises(DataError, match="other labels"):
        open_listed(path)


def test_the_file_of_records_is_found(tmp_path):
    assert find_records(tmp_path) is None
    (tmp_path / "b.rec").touch()
    assert find_records(tmp_path) == tmp_path / "b.rec"
    (tmp_path / "a.rec").touch()
    with pytest.raises(DataError, match="2 .rec files; name the one"):
        find_records(tmp_path)
    assert find_records(tmp_path / "a.rec") == tmp_path / "a.rec"
    (tmp_path / "train.rec").touch()
    assert find_records(tmp_path) == tmp_path / "train.rec"
    assert np.uint32(records.MAGIC).tobytes() == MAGIC
