"""Every parser of files, on files that chance has damaged: each is read, or refused in one line.

Seeds are small sound files made here. A case changes one of them in one to four places: bytes are
replaced, removed, repeated, cut off, or exchanged for a word that parsers stumble over.
"""

import gzip
import io
import json
import os
import pickle
import struct
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from fairjax.audit.tables import InputError, column_names, fingerprint, read_batches
from fairjax.core.files import read_arrays, read_json
from fairjax.core.results import Measure, Results, load_results, save_results
from fairjax.data import bfw, rfw, utkface
from fairjax.data.dataset import DataError
from fairjax.data.duplicates import thumbnail
from fairjax.data.formats import cache
from fairjax.data.formats.bins import open_bins
from fairjax.data.formats.files import open_files
from fairjax.data.formats.pairs import parse_pairs
from fairjax.data.formats.records import MAGIC, open_listed, open_records, read_list
from fairjax.data.formats.tree import read_table
from fairjax.data.formats.unpickle import unpickle
from fairjax.interop import read_tensors
from fairjax.models.masking import read_map
from fairjax.run.progress import read_metrics
from fairjax.run.score import attributes_of, read_predictions
from fairjax.run.workdir import FIELDS, WorkdirError, read_checked

CASES = int(os.environ.get("FAIRJAX_FUZZ_CASES", "60"))  # a parser
WORDS = (
    *(b"", b"\n", b"\r", b"\0", b"\t", b",", b'"', b"\xff", b"\xc3", b"\x1b[31m", b"/", b"../"),
    *(b"-1", b"1" * 5000, b"9223372036854775808", b"1e308", b"nan", b"inf", b"null", b"[", b"{"),
    *(b"x" * 200_000, b"\xe2\x80\xae", b"\xd9\xa3", b"true", b"\x7f" * 4, b"\xff" * 8, b"PK\3\4"),
)


class Parser(NamedTuple):
    """A parser under test.

    Attributes:
      read: Reads the file at a path.
      seeds: Sound files.
      errors: Exceptions that it may raise.
      name: File's name, for parsers that look at it.
      prefixed: Whether a message begins with the file's path.
      cases: Number of damaged files.
    """

    read: Callable[[Path], object]
    seeds: tuple[bytes, ...]
    errors: tuple[type[Exception], ...]
    name: str = "x"
    prefixed: bool = True
    cases: int = CASES


def damaged(seed: bytes, draw: np.random.Generator) -> bytes:
    """The seed with one to four changes."""
    content = bytearray(seed)
    for _ in range(draw.integers(1, 5)):
        size = len(content)
        place = int(draw.integers(size + 1))
        length = int(min(draw.geometric(0.2), size - place))
        match draw.integers(5):
            case 0:
                content[place : place + length] = draw.bytes(length)
            case 1:
                del content[place : place + length]
            case 2:
                content[place:place] = content[place : place + length] * int(draw.integers(1, 4))
            case 3:
                content[place : place + length] = WORDS[draw.integers(len(WORDS))]
            case 4 if draw.integers(4) == 0:
                del content[place:]
    return bytes(content)


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.arange(12.0).reshape(3, 4))
    return file.getvalue()


def image(kind: str, **options: object) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("a/1.jpg", "a/2.jpg", "b/1.png"):
            member = tarfile.TarInfo(name)
            member.size = 9
            archive.addfile(member, io.BytesIO(b"x" * 9))
    return file.getvalue()


def table() -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table({"a": ["x", "y"], "n": [1.0, 2.0]}), file)
    return file.getvalue()


def read_all(path: Path) -> object:
    column_names(path)
    fingerprint(path)
    return list(read_batches(path, text=["a"], numbers=["n"]))


def results() -> bytes:
    measure = Measure("fmr", 0.1, "fraction", 10, {"race": "A"}, interval=(0.0, 0.2), level=0.9)
    whole = Results("verification", {"name": "x"}, [measure], {}, ["limit"], {"command": "c"})
    return json.dumps({"schema_version": "1.1", **asdict(whole)}).encode()


def resave(path: Path) -> None:
    save_results(path.with_name("again.json"), load_results(path))


def insightface() -> tuple[bytes, bytes]:
    """A .rec of three images and its .idx."""
    rec, idx = b"", b""
    for key in range(3):
        data = struct.pack("<IfQQ", 0, float(key), key, 0) + b"image"
        idx += f"{key}\t{len(rec)}\n".encode()
        rec += struct.pack("<II", MAGIC, len(data)) + data + b"\0" * (-len(data) % 4)
    return rec, idx


def with_index(path: Path) -> object:
    """Reads the .rec at the path beside a sound .idx."""
    path.with_suffix(".idx").write_bytes(insightface()[1])
    found = open_records(path)
    return [_or_fault(found.files.read, name) for name in found.files.names]


def with_records(path: Path) -> object:
    """Reads a sound .rec beside the .idx at the path."""
    path.with_suffix(".rec").write_bytes(insightface()[0])
    return open_listed(path.with_suffix(".rec"))


def with_property(path: Path) -> object:
    """Reads a sound .rec and .idx beside the `property` at the path."""
    rec, idx = insightface()
    path.with_name("y.rec").write_bytes(rec)
    path.with_name("y.idx").write_bytes(idx)
    return open_records(path.with_name("y.rec"))


def every_member(path: Path) -> object:
    found = open_files(path)
    return [found.read(name) for name in found.names]


def _or_fault(read: Callable[[str], bytes], name: str) -> bytes | None:
    try:
        return read(name)
    except OSError:  # what is damaged behind its header is found when it is read
        return None


def cached(path: Path) -> object:
    return cache.load("kind", path.name.removeprefix("kind-").removesuffix(".json"))


def checked(name: str) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        path.rename(path.with_name(name))
        tree = read_checked(path.with_name(name))
        return attributes_of(tree) if name == "data.json" else tree

    return read


TEXT = (b"a,n\nx,1.5\ny,2\n", b'a,n\n"x, y",3\nz,4\n')
PAIRS = b"10\t1\n" + b"".join(b"anna\t1\t2\nanna\t1\tbob\t1\n" for _ in range(10))
BFW = (
    b"fold,p1,p2,label,att1,att2\n1,asian_females/n1/1.jpg,asian_females/n1/2.jpg,1,"
    b"asian_females,asian_females\n"
)
IMAGES = [bytes([k]) * 9 for k in range(20)]
PICKLES = tuple(pickle.dumps((IMAGES, [True, False] * 5), protocol) for protocol in (0, 2, 4, 5))
ARRAYS = pickle.dumps(([np.frombuffer(i, np.uint8) for i in IMAGES], np.arange(10) % 2 == 0))
RUN = {
    "config.json": {
        "seed": 0,
        "title": "t",
        "eval": {"published": "", "protocol": {"name": "utkface"}},
    },
    "data.json": {
        "hash": "0",
        "attributes": {
            "age": {"values": ["a"], "low": 0, "high": 1, "unit": "", "assigned_by": "nobody"}
        },
    },
    "model.json": {"title": "t", "targets": {}, "input": {"image_size": 112}},
    "environment.json": {"fairjax": "1", "git_revision": "0", "command": "c"},
    "outcome.json": {"step": 3, "evaluated_step": 3},
    "study.json": {"command": "c", "plan": {"rows": []}},
}
LINES = b'{"step": 1, "kind": "train", "loss": 2.0}\n{"step": 2, "kind": "train", "loss": 1.0}\n'
PREDICTIONS = npz(
    id=np.array(["a", "b"]),
    cluster=np.array([0, 1]),
    **{f"pairs.{name}": np.array([0]) for name in ("first", "second", "fold")},
    **{"pairs.mated": np.array([True])},
)

PARSERS = {
    "pickle": Parser(lambda p: unpickle(p.read_bytes(), name=str(p)), PICKLES, (DataError,)),
    "bin": Parser(lambda p: open_bins({"": p}), (*PICKLES, ARRAYS), (DataError,)),
    "npz": Parser(read_arrays, (npz(a=np.arange(9.0), b=np.array(["x"])),), (ValueError,)),
    "npy": Parser(read_arrays, (npy(),), (ValueError,)),
    "json": Parser(read_json, (results(),), (ValueError,)),
    "results": Parser(resave, (results(),), (ValueError,)),
    "metrics": Parser(read_metrics, (LINES,), ()),
    **{
        name: Parser(checked(name), (json.dumps(RUN[name]).encode(),), (WorkdirError,), name, False)
        for name in FIELDS
    },
    "predictions": Parser(read_predictions, (PREDICTIONS,), (WorkdirError,)),
    "sensitivity": Parser(
        lambda p: read_map(str(p)), (npz(sensitivity=np.ones(4)),), (ValueError,), "x.npz"
    ),
    "pairs": Parser(
        lambda p: parse_pairs(p.read_bytes().decode("latin-1"), name=str(p)), (PAIRS,), (DataError,)
    ),
    "bfw": Parser(bfw._read_table, (BFW,), (DataError,), "t.csv", False),
    "landmarks": Parser(
        lambda p: rfw._landmarks("Asian", p.read_bytes().decode("utf-8", "replace")),
        (b"a/b/1.jpg\t0\t1\t2\t3\t4\t5\t6\t7\t8\t9\t10\n",),
        (DataError,),
        prefixed=False,
    ),
    "people": Parser(
        lambda p: rfw._short_of_images({}, "Asian", p.read_bytes().decode("utf-8", "replace")),
        (b"m.01\t3\nm.02\t4\n",),
        (DataError,),
        prefixed=False,
    ),
    "groups": Parser(read_table, (b"identity,group\na,X\nb,Y\n",), (DataError,)),
    "rec": Parser(with_index, (insightface()[0],), (DataError,), "x.rec"),
    "idx": Parser(with_records, (insightface()[1],), (DataError,), "x.idx", False),
    "property": Parser(with_property, (b"3,112,112\n",), (DataError,), "property", False),
    "lst": Parser(
        read_list, (b"a/b/1.jpg\t0\t1\na/c/1.jpg\t1\t0\n", b"1\t0\ta/b/1.jpg\n"), (DataError,)
    ),
    "tar": Parser(every_member, (tar(),), (DataError, OSError), "x.tar"),
    "jpeg and png": Parser(
        lambda p: thumbnail(p.read_bytes()),
        (image("JPEG"), image("JPEG", progressive=True), image("PNG")),
        (ValueError,),
        prefixed=False,
    ),
    "utkface": Parser(
        lambda p: utkface.parse_name(p.read_bytes().decode("latin-1")),
        (b"25_0_1_20170116174525125.jpg.chip.jpg",),
        (ValueError,),
        prefixed=False,
    ),
    "csv": Parser(read_all, TEXT, (InputError,), "x.csv"),
    "tsv": Parser(read_all, (b"a\tn\nx\t1\n",), (InputError,), "x.tsv"),
    "csv.gz": Parser(read_all, (gzip.compress(TEXT[0]),), (InputError,), "x.csv.gz"),
    "jsonl": Parser(
        read_all, (b'{"a": "x", "n": 1}\n{"a": "y", "n": 2}\n',), (InputError,), "x.jsonl"
    ),
    "parquet": Parser(read_all, (table(),), (InputError,), "x.parquet"),
    "weights": Parser(read_tensors, (npz(w=np.ones(3)),), (ValueError,), "x.npz"),
    "cache": Parser(cached, (b'{"digests": {}}',), ()),
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def cases(parser: Parser) -> Iterator[bytes]:
    draw = np.random.default_rng(0)
    for case in range(parser.cases):
        yield damaged(parser.seeds[case % len(parser.seeds)], draw)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PARSERS)
def test_a_damaged_file_is_read_or_refused_in_one_line(name, tmp_path):
    parser = PARSERS[name]
    path = tmp_path / parser.name
    for seed in parser.seeds:
        path.write_bytes(seed)
        parser.read(path)  # sound
    refused = 0
    for content in cases(parser):
        path.write_bytes(content)
        try:
            parser.read(path)
        except parser.errors as error:
            refused += 1
            assert "\n" not in str(error), (content, error)
            assert not parser.prefixed or str(path) in str(error), (content, error)
        except Exception as error:
            pytest.fail(f"{type(error).__name__}: {error} escaped on {content[:2000]!r}")
    assert refused or not parser.errors


def test_there_are_as_many_parsers_as_files_that_are_read():
    assert len(PARSERS) >= 25
