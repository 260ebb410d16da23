import numpy as np
import pytest

from fairjax.audit import partial, partial_files
from fairjax.audit.layout import TableOptions
from fairjax.audit.request import Request, write_partial
from fairjax.audit.run import Settings
from fairjax.audit.tables import InputError


@pytest.fixture
def whole_file(tmp_path):
    """The folder and the path of a partial file of 100 pairs."""
    rng = np.random.default_rng(5)
    people, score = rng.integers(0, 30, (100, 2)), rng.normal(size=100).round(3)
    rows = [
        f"p{a},p{b},{'XYZ'[a % 3]},{'XYZ'[b % 3]},{20 + a},{20 + b},{s + (a == b)}"
        for (a, b), s in zip(people.tolist(), score.tolist(), strict=True)
    ]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["who_a,who_b,race_a,race_b,age_a,age_b,score", *rows]) + "\n")
    options = TableOptions(subject="who", by=("race", "age:30"))
    request = Request(files=[table], options=options, settings=Settings(fmrs=(0.1,)))
    write_partial(request, tmp_path / "partial")
    return tmp_path / "partial", tmp_path / "partial" / partial_files.NAME


def refusal(folder):
    with pytest.raises(InputError) as caught:
        list(partial.merge([folder], command=""))
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)
    return str(caught.value)


def test_a_missing_or_damaged_file_is_refused_in_a_line(whole_file):
    folder, path = whole_file
    content = path.read_bytes()
    for damaged in (content[:-30], content[: len(content) // 2], b"", b"no archive"):
        path.write_bytes(damaged)
        assert "is no partial file or is damaged" in refusal(folder)
    rng = np.random.default_rng(0)
    for place in rng.integers(len(content), size=15).tolist():
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        try:  # a flip in a date of the archive changes nothing
            list(partial.merge([folder], command=""))
        except InputError as error:
            assert "is no partial file or is damaged" in str(error)
    path.unlink()
    assert "does not exist; make it with fairjax audit FILE --partial" in refusal(folder)


@pytest.mark.parametrize(
    ("array", "change"),
    [
        ("subject", lambda a: a + 1000),
        ("subject", lambda a: a[:-1]),
        ("score", lambda a: np.where(np.arange(len(a)), a, np.nan)),
        ("home 1", lambda a: a * 0),
        ("counts 0", lambda a: a + 1),
        ("bins 0", lambda a: a + (1 << 30)),
        ("trials", None),
        ("people", lambda a: np.frombuffer(b"[1, 1]", np.uint8)),
        ("about", lambda a: np.frombuffer(b"[]", np.uint8)),
    ],
)
def test_contents_that_contradict_each_other_are_refused(whole_file, array, change):
    folder, path = whole_file
    with np.load(path) as file:
        arrays = dict(file)
    changed = {array: change(arrays.pop(array))} if change else {}
    if not change:
        del arrays[array]
    np.savez(path, **arrays, **changed)
    assert "is no partial file or is damaged" in refusal(folder)


def test_another_format_is_refused(whole_file, monkeypatch):
    folder, _ = whole_file
    monkeypatch.setattr(partial_files, "FORMAT", 2)
    assert "has format 1; this FairJAX reads format 2" in refusal(folder)
