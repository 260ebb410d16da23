"""Pickles: what may come out of one, and that nothing else is even looked up."""

import os
import pickle
import subprocess

import numpy as np
import pytest

from fairjax.data.dataset import DataError
from fairjax.data.formats.unpickle import unpickle


class Runs:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_and_arrays_come_out_as_they_went_in(protocol):
    bins = [b"\xff\xd8", b"", bytearray(b"x"), np.arange(5, dtype=np.uint8)]
    found = unpickle(pickle.dumps((bins, [True, np.bool_(False)]), protocol), name="x.bin")
    assert found[0][:3] == bins[:3]
    np.testing.assert_array_equal(found[0][3], bins[3])
    assert found[1] == [True, False]


def test_strings_of_python_2_are_bytes():
    # What Python 2 wrote for pickle.dumps((["\xff\xd8"], [True]), 2).
    written = b"\x80\x02]q\x00U\x02\xff\xd8q\x01a]q\x02\x88a\x86q\x03."
    assert unpickle(written, name="x.bin") == ([b"\xff\xd8"], [True])
    # The same by protocol 0.
    written = b"((lp0\nS'\\xff\\xd8'\np1\na(lp2\nI01\natp3\n."
    assert unpickle(written, name="x.bin") == ([b"\xff\xd8"], [True])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "runs",
    [
        Runs(os.system, "touch ran"),
        Runs(subprocess.check_call, ["touch", "ran"]),
        Runs(eval, "open('ran', 'w')"),
        Runs(exec, "open('ran', 'w')"),
        Runs(getattr, np.ndarray, "tofile"),
        Runs(np.load, "ran", None, True),
        Runs(pickle.loads, b""),
    ],
    ids=lambda runs: runs.call[0].__name__,
)
def test_a_pickle_that_would_run_code_is_refused_and_runs_none(
    runs, protocol, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="could run code; it is refused") as caught:
        unpickle(pickle.dumps(([runs], [True]), protocol), name="evil.bin")
    assert str(caught.value).startswith("evil.bin: this pickle asks for ")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name", [b"cnumpy\nndarray.tofile\n.", b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93."]
)
def test_what_hangs_below_an_allowed_name_is_refused(name):
    with pytest.raises(DataError, match="ndarray.tofile, which could run code"):
        unpickle(name, name="x.bin")


@pytest.mark.parametrize("content", [b"", b"abc", b"\x80\x04", pickle.dumps([b"x" * 99])[:50]])
def test_a_damaged_pickle_is_one_line(content):
    with pytest.raises(DataError, match=r"^x\.bin: ") as caught:
        unpickle(content, name="x.bin")
    assert "\n" not in str(caught.value)


class Raw:
    """Pickles as a call of `function`, then as a state."""

    def __init__(self, function, arguments, state=None):
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.reduced


def array_of(kind, shape, content):
    return Raw(
        np.empty(0).__reduce__()[0], (np.ndarray, (0,), b"b"), (1, shape, kind, False, content)
    )


POINTERS = Raw(np.dtype, ("O8", False, True), (3, "|", None, None, None, -1, -1, 0))
FLAGS_SET = Raw(np.dtype, ("u1", False, True), (3, "|", None, None, None, 8, 1, 63))
PLAIN = np.dtype("u1")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "value",
    [
        array_of(POINTERS, (20,), b"A" * 160),  # raw bytes as object pointers: crashed the process
        array_of(FLAGS_SET, (20,), b"A" * 20),
        array_of(PLAIN, (40_000_000_000,), b"A"),
        array_of(PLAIN, (-1,), b"A"),
        array_of(np.dtype("f8"), (1,), b"A" * 8),
        array_of(np.dtype([("a", "u1")]), (1,), b"A"),
        Raw(bytearray, (40_000_000_000,)),  # asked for 40 GB
        Raw(bytes, (40_000_000_000,)),
        np.float32(1.5),
        np.array([object()], object),
        {"a": 1},
        {1, 2},
    ],
    ids=range(12),
)
def test_nothing_but_plain_arrays_of_what_is_in_the_file(value, protocol):
    content = pickle.dumps(([value], [True]), protocol)
    with pytest.raises(DataError, match=r"^x\.bin: ") as caught:
        unpickle(content, name="x.bin")
    assert "\n" not in str(caught.value)


def test_a_text_cannot_be_made_into_bytes_again_and_again():
    text = b"X" + (1000).to_bytes(4, "little") + b"a" * 1000 + b"q\x00"
    again = b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R"
    whole = b"\x80\x02(" + text + again + b"l."
    assert unpickle(whole, name="x.bin")[1] == b"a" * 1000
    with pytest.raises(DataError, match="more bytes than it holds"):
        unpickle(b"\x80\x02(" + text + again * 9 + b"l.", name="x.bin")


def test_arrays_in_two_places_are_one_and_columns_keep_their_order():
    image = np.asfortranarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    one, other = unpickle(pickle.dumps([image, image]), name="x.bin")
    assert one is other
    np.testing.assert_array_equal(one, image)
