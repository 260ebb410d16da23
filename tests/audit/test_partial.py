"""Partial files and their merge: the same numbers as one process that streams all tables."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from fairjax.audit import partial, partial_files, streaming
from fairjax.audit.layout import TableOptions
from fairjax.audit.prediction_tables import PredictionColumns
from fairjax.audit.request import Request, measure, write_partial
from fairjax.audit.run import Settings
from fairjax.audit.tables import InputError
from fairjax.core.errors import UsageError

HEADER = "who_a,who_b,race_a,race_b,age_a,age_b,score"
SETTINGS = Settings(fmrs=(0.1, 0.02, 1e-7), thresholds=(0.35,))
OPTIONS = TableOptions(subject="who", by=("race", "age:30"), unknown_groups=True)
PEOPLE = 60


def lines(*, order=None, decimals=3):
    """1,500 scored pairs of 60 people, one of whom has no race; some couples meet often."""
    rng = np.random.default_rng(5)
    first = rng.integers(0, PEOPLE, 1500)
    mated = rng.random(1500) < 0.2
    second = np.where(mated, first, (first + rng.integers(1, 4, 1500)) % PEOPLE)
    score = rng.normal(0.5 * mated, 0.2).round(decimals)
    rows = np.arange(1500) if order is None else order(score, first)
    race = ["", *("XYZ"[k % 3] for k in range(1, PEOPLE))]
    return [
        f"p{a},p{b},{race[a]},{race[b]},{20 + a % 20},{20 + b % 20},{score[k]}"
        for k in rows
        for a, b in [(first[k], second[k])]
    ]


def write(folder, rows, name):
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def split(folder, rows, count):
    """The rows in so many tables of unequal length."""
    ends = np.cumsum(np.linspace(1, 2, count) / np.linspace(1, 2, count).sum() * len(rows))
    ends = [0, *ends.astype(int)[:-1], len(rows)]
    pairs = zip(ends, ends[1:], strict=False)
    return [write(folder, rows[a:b], f"part-{k}.csv") for k, (a, b) in enumerate(pairs)]


def request(paths, *, options=OPTIONS, settings=SETTINGS, **more):
    return Request(files=paths, options=options, settings=settings, command="fairjax audit", **more)


def made(folder, paths, *, keep=None, **more):
    """A partial file of each table, and its folder."""
    folders = [folder / f"partial-{path.stem}" for path in paths]
    for path, own in zip(paths, folders, strict=True):
        write_partial(request([path], **more), own, keep=keep)
    return folders


def tree(results):
    """All of results.json, without the lines that name files."""
    found = json.loads(json.dumps(asdict(results), allow_nan=False))
    for key in ("command", "partial_commands"):
        found["provenance"].pop(key, None)
    return found


@pytest.fixture
def keep_few(monkeypatch):
    """Tables of this size are kept whole otherwise."""
    monkeypatch.setattr(partial, "KEEP_LEAST", 1)


@pytest.mark.parametrize(
    ("count", "order"),
    [(1, None), (3, None), (7, None), (7, lambda score, first: np.argsort(score))],
)
def test_a_merge_is_one_process_field_by_field(tmp_path, keep_few, count, order):
    paths = split(tmp_path, lines(order=order), count)
    whole = {by: tree(results) for by, results in measure(request(paths, stream=True))}
    keep = None if order else 0.3
    merged = partial.merge(made(tmp_path, paths, keep=keep), command="merge")
    found = {by: tree(results) for by, results in merged}
    assert list(whole) == ["race", "age"]
    assert found == whole
    assert whole["age"]["protocol"]["groups"] == ["<30", "30+"]
    assert whole["race"]["protocol"]["n"] == 1500
    assert len(whole["race"]["provenance"]["files"]) == count


def test_several_tables_in_a_file_and_groups_by_table(tmp_path):
    rows = [",".join(np.array(row.split(","))[[0, 1, 6]]) for row in lines()]
    paths = split(tmp_path, rows, 3)
    for path in paths:
        path.write_text(path.read_text().replace(HEADER, "subject1,subject2,d").replace(",-", ","))
    groups = tmp_path / "people.csv"
    people = [f"p{k},{'XYZ'[k % 3]}" for k in range(PEOPLE)]
    groups.write_text("\n".join(["subject,race", *people]) + "\n")
    more = {
        "options": TableOptions(distances=["d"], any_direction=True),
        "settings": Settings(fmrs=(), thresholds=(0.2, 0.1)),
        "groups": groups,
        "stated": {"model": "m"},
    }
    ((_, whole),) = measure(request(paths, stream=True, **more))
    write_partial(request(paths[:2], **more), tmp_path / "a")
    write_partial(request(paths[2:], **more), tmp_path / "b")
    ((_, merged),) = partial.merge([tmp_path / "a", tmp_path / "b"], command="merge")
    assert tree(merged) == tree(whole)
    assert merged.provenance["partial_commands"] == ["fairjax audit", "fairjax audit"]
    assert merged.get("fnmr", at="threshold 0.2").value != merged.get("fmr", at="threshold 0.2")


def test_a_part_may_lack_groups_mated_pairs_and_direction(tmp_path):
    rows = ["a,a,X,X,9,9,0.9", "b,b,Y,Y,9,9,0.8", "a,c,X,X,9,9,0.1", "b,c,Y,X,9,9,0.2"]
    paths = [write(tmp_path, [row], f"part-{k}.csv") for k, row in enumerate(rows)]
    more = {"options": TableOptions(subject="who", by=["race"]), "settings": Settings(fmrs=(0.5,))}
    ((_, whole),) = measure(request(paths, stream=True, **more))
    ((_, merged),) = partial.merge(made(tmp_path, paths, **more), command="")
    assert tree(merged) == tree(whole)
    assert merged.get("fmr", at="FMR 5e-1").threshold == 0.2


def test_what_is_kept_shrinks_with_the_rate_and_names_are_in_it(tmp_path, keep_few):
    (path,) = split(tmp_path, lines(), 1)
    settings = Settings(fmrs=(1e-3,))
    few = write_partial(request([path], settings=settings), tmp_path / "few")
    every = write_partial(request([path], settings=settings), tmp_path / "all", keep=1.0)
    mated = sum(row.split(",")[0] == row.split(",")[1] for row in lines())
    assert every.kept == every.pairs == 1500 and every.couples == 0
    assert mated + 64e-3 * (1500 - mated) <= few.kept < 600 and few.couples <= 180
    with np.load(tmp_path / "few" / partial_files.NAME) as file:
        assert "p59" in json.loads(file["people"].tobytes())


def test_a_merge_says_how_much_more_must_be_kept(tmp_path, keep_few):
    paths = split(tmp_path, lines(order=lambda score, first: np.argsort(score)), 3)
    folders = made(tmp_path, paths, keep=0.01)
    with pytest.raises(InputError, match="too few scores are kept") as caught:
        list(partial.merge(folders, command=""))
    short = [folder for folder in folders if str(folder) in str(caught.value)]
    assert folders[2] in short and "\n" not in str(caught.value)
    keep = float(str(caught.value).rstrip(".").split("--keep ")[1])
    assert keep < 1
    for path, folder in zip(paths, folders, strict=True):
        if folder in short:
            write_partial(request([path]), folder, keep=keep)
    found = dict(partial.merge(folders, command=""))
    whole = dict(measure(request(paths, stream=True)))
    assert tree(found["race"]) == tree(whole["race"])


OTHER = [
    ({"settings": Settings(fmrs=(0.2,))}, "was made with --fmr 0.2, "),
    ({"settings": Settings(fmrs=(0.1, 0.02, 1e-7), level=0.9, thresholds=[0.35])}, "--level 0.9"),
    (
        {"options": TableOptions(**{**asdict(OPTIONS), "by": ["race"]})},
        "the groups stand in other columns than in",
    ),
    (
        {"options": TableOptions(**{**asdict(OPTIONS), "kind": "other"})},
        "was made with --kind other",
    ),
    (
        {"options": TableOptions(**{**asdict(OPTIONS), "distances": ["score"]})},
        "with --distance score, ",
    ),
    (
        {"options": TableOptions(**{**asdict(OPTIONS), "by": ["race"], "scores": ["age_a"]})},
        "its columns are ('age_a',)",
    ),
    (
        {"options": TableOptions(**{**asdict(OPTIONS), "any_direction": True})},
        "--any-direction True",
    ),
    ({"stated": {"model": "b"}}, "was made with --stated model=b, "),
]


@pytest.mark.parametrize(("more", "said"), OTHER)
def test_parts_of_other_options_are_refused_in_a_line(tmp_path, more, said):
    paths = split(tmp_path, lines()[:200], 2)
    folders = [*made(tmp_path, paths[:1]), *made(tmp_path, paths[1:], **more)]
    with pytest.raises(InputError) as caught:
        list(partial.merge(folders, command=""))
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert str(folders[1]) in str(caught.value)


def test_large_tables_are_parts_of_one_only_where_that_is_said(tmp_path, monkeypatch):
    paths = split(tmp_path, lines(), 2)
    monkeypatch.setattr(streaming, "STREAM_BYTES", 1)
    with pytest.raises(UsageError, match="if they are parts of one table, say --stream"):
        list(measure(request(paths)))


def test_the_same_table_twice_is_refused(tmp_path):
    one, two = split(tmp_path, lines()[:100], 2)
    copy = tmp_path / "copy.csv"
    copy.write_bytes(one.read_bytes())
    folders = made(tmp_path, [one, two, copy])
    with pytest.raises(InputError, match=r"copy\.csv\) is the same table as .*part-0\.csv\)"):
        list(partial.merge(folders, command=""))
    with pytest.raises(InputError, match=r"is the same table as"):
        list(partial.merge([folders[0], folders[0]], command=""))
    for refused in (
        lambda: list(measure(request([one, copy], stream=True))),
        lambda: write_partial(request([one, copy]), tmp_path / "x"),
    ):
        with pytest.raises(InputError, match=r"copy\.csv is the same table as .*part-0\.csv"):
            refused()


def test_somebody_in_two_groups_of_two_parts_is_refused(tmp_path):
    rows = lines()[:100]
    one = write(tmp_path, rows, "one.csv")
    two = write(tmp_path, ["p1,p2,Z,Z,21,22,0.5"], "two.csv")
    said = "'p1' is in 'Z' here and in 'Y' elsewhere; correct the table."
    with pytest.raises(InputError) as caught:
        list(partial.merge(made(tmp_path, [one, two]), command=""))
    assert said in str(caught.value) and "partial-two" in str(caught.value)
    with pytest.raises(InputError) as caught:
        list(measure(request([one, two], stream=True)))
    assert str(caught.value) == f"{two}, data row 1: {said}"


def test_tables_of_other_columns_are_refused_before_they_are_read(tmp_path):
    one, two = split(tmp_path, lines()[:100], 2)
    two.write_text(two.read_text().replace("who_a,who_b", "who_1,who_2"))
    with pytest.raises(InputError, match=r"part-1\.csv: its columns are \('who_1', 'who_2'\)"):
        list(measure(request([one, two], stream=True)))


@pytest.mark.parametrize(
    "more",
    [
        {"all_pairs": True},
        {"calibrate_on": Path("x")},
        {"hold": ["age"]},
        {"predictions": PredictionColumns("age_a")},
    ],
)
def test_what_a_partial_file_is_not_for_is_a_usage_error(tmp_path, more):
    (path,) = split(tmp_path, lines()[:100], 1)
    with pytest.raises(UsageError):
        write_partial(request([path], **more), tmp_path / "x")
    with pytest.raises(InputError, match="a stream takes no --failures"):
        write_partial(
            request([path], options=TableOptions(subject="who", failures=True)), tmp_path / "x"
        )
