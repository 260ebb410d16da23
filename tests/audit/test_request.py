"""One audit as asked for: the way it takes, what does not go together, where it comes from."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fairjax.audit import request as requests
from fairjax.audit import run, streaming
from fairjax.audit.layout import TableOptions
from fairjax.audit.prediction_tables import PredictionColumns
from fairjax.audit.request import Request, measure, write_partial
from fairjax.audit.tables import InMemory, InputError
from fairjax.core.errors import UsageError

PAIRED = run.Settings(paired=True)
LABELS = PredictionColumns("label", "said")
ROWS = "subject1,subject2,group1,group2,score\n"
ROWS += "".join(f"p{k},p{k},X,X,0.9\nq{k},q{k},Y,Y,0.8\np{k},q{k},X,Y,0.1\n" for k in range(4))


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(ROWS)
    return path


@pytest.fixture
def other(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text(ROWS.replace("0.1", "0.2"))
    return path


@pytest.fixture
def vectors(tmp_path):
    path = tmp_path / "v.npz"
    np.savez(path, embedding=np.eye(4), id=np.array(list("abcd")))
    return path


MEMORY = InMemory(pa.table({"score": [0.5]}))


@pytest.mark.parametrize(
    ("more", "streams"),
    [({}, False), ({"stream": True}, True), ({"predictions": LABELS}, False)],
)
def test_a_table_is_streamed_where_it_is_asked_for(table, more, streams):
    assert Request([table], **more).streams is streams
    assert Request([MEMORY], **more).streams is streams


def test_a_large_table_is_streamed_and_large_embeddings_are_not(table, vectors, monkeypatch):
    assert not Request([table]).streams
    monkeypatch.setattr(streaming, "STREAM_BYTES", 10)
    assert Request([table]).streams
    assert not Request([vectors]).streams
    assert not Request([MEMORY]).streams and not Request([table], predictions=LABELS).streams


@pytest.mark.parametrize(
    ("more", "of_embeddings"),
    [
        ({}, False),
        ({"all_pairs": True}, True),
        ({"sample_pairs": 3}, True),
        ({"pairs": Path("p.csv")}, True),
    ],
)
def test_pairs_of_embeddings_are_asked_for(more, of_embeddings):
    assert Request([Path("v.npz")], **more).of_embeddings is of_embeddings


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"settings": PAIRED}, "--paired takes two files: before and after."),
        ({"options": TableOptions(scorer="cosine")}, "--scorer compares embeddings; for a table"),
        ({"stream": True, "hold": ["blur"]}, "covariates are held for tables that are read into"),
        ({"stream": True, "covariates": "t.csv"}, "covariates are held for tables that are read"),
        ({"stream": True, "settings": PAIRED}, "a stream takes tables of scores of one system"),
        ({"stream": True, "all_pairs": True}, "a stream takes tables of scores of one system"),
        ({"stream": True, "calibrate_on": "other.csv"}, "a stream takes tables of scores of one"),
        ({"predictions": LABELS, "groups": "t.csv"}, "--groups is for pairs; put the groups into"),
        ({"predictions": LABELS, "stream": True}, "--stream is for scores of pairs; leave it out"),
        ({"calibrate_on": "t.csv"}, "is the audited table itself; without it thresholds"),
    ],
)
def test_choices_that_do_not_go_together(table, other, more, message):
    named = {"t.csv": table, "other.csv": other}
    more = {key: named[v] if isinstance(v, str) else v for key, v in more.items()}
    with pytest.raises(UsageError, match=message):
        list(measure(Request([table], **more)))


def test_several_tables_are_parts_of_one_only_where_that_is_said(table, other):
    several = Request([table, other])
    with pytest.raises(UsageError, match="if they are parts of one table, say --stream"):
        list(measure(several))
    with pytest.raises(UsageError, match="--label takes one table of predictions"):
        list(measure(replace(several, predictions=LABELS)))
    with pytest.raises(InputError, match="is the same table as"):
        list(measure(Request([table, table], stream=True)))


def test_embeddings_need_pairs_and_names_of_their_own(vectors, tmp_path):
    with pytest.raises(UsageError, match="embeddings need --pairs TABLE, --all-pairs or --sample"):
        list(measure(Request([vectors])))
    memory = InMemory(pa.table({"id": ["a"]}), {"embedding": np.eye(1)})
    with pytest.raises(UsageError, match="embeddings need --pairs"):
        list(measure(Request([memory])))
    (tmp_path / "again").mkdir()
    twin = tmp_path / "again" / "v.npz"
    twin.write_bytes(vectors.read_bytes())
    with pytest.raises(UsageError, match="two files of embeddings have the same name"):
        list(measure(Request([vectors, twin], all_pairs=True)))


@pytest.mark.parametrize("role", ["groups", "pairs", "calibrate_on", "covariates"])
def test_a_missing_file_is_refused_first(table, role, tmp_path):
    missing = tmp_path / "none.csv"
    with pytest.raises(InputError, match=r"none\.csv does not exist"):
        list(measure(Request([table], **{role: missing})))


def test_a_partial_file_takes_scored_pairs(table, tmp_path):
    with pytest.raises(UsageError, match="--partial takes tables of scored pairs; leave out"):
        write_partial(Request([table], predictions=LABELS), tmp_path / "out")
    with pytest.raises(UsageError, match="covariates are held for tables that are read into"):
        write_partial(Request([table], hold=["blur"]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_each_attribute_is_measured_in_turn_and_knows_its_files(table, other, monkeypatch):
    told = []
    monkeypatch.setattr(run, "measure", lambda pairs, settings, **more: (pairs, more))
    monkeypatch.setattr(run, "with_facts", lambda results, facts, notes: (results, facts, notes))
    options = TableOptions(by=["group", "side=group1,group2"])
    request = Request(
        [table],
        options,
        calibrate_on=other,
        stated={"model": "v3"},
        command="fairjax audit t.csv",
        dataset="phantom",
    )

    def watch(sentence):
        told.append(sentence)
        return nullcontext()

    measured = list(measure(request, watch))
    assert told == ["Reading ...", "Measuring by group ...", "Measuring by side ..."]
    assert [by for by, _ in measured] == ["group", "side"]
    for by, ((pairs, more), facts, notes) in measured:
        assert pairs.by == by and notes == []
        assert pairs.notes[-1].startswith(f"{len(pairs.names)} of {len(pairs.names)} people are in")
        assert more["calibration_source"] == "other.csv" and more["calibration"].by == by
        assert set(facts["files"]) == {"file 1", "calibrate_on"}
        assert facts["stated"] == {"model": "v3"} and facts["dataset"] == "phantom"
        assert facts["command"] == "fairjax audit t.csv"


def test_files_of_embed_say_what_they_were_made_with(tmp_path, monkeypatch):
    made = {
        "a.npz": {"model_hash": "1", "flip": "sum", "unreadable": 2, "pairs_left_out": 1234},
        "b.npz": {"model_hash": "2", "flip": "sum"},
    }
    for name in made:
        np.savez(tmp_path / name, embedding=np.eye(2), id=np.array(["x", "y"]))
    monkeypatch.setattr(requests, "read_made", lambda path: made[path.name])
    files = [tmp_path / "a.npz", tmp_path / "b.npz"]
    assert requests._stated(files) == {"model": "a.npz: 1; b.npz: 2", "flip": "sum"}
    assert requests._stated([*files, MEMORY, Path("t.csv")])["flip"] == "sum"
    assert requests._left_out(files) == [
        "a.npz: 2 images could not be read and are left out, and with them 1,234 pairs of the "
        "benchmark."
    ]
