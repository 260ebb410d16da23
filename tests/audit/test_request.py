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


FLAGS_OF_PAIRS = [
    ("--score", {"options": TableOptions(scores=["s"])}),
    ("--distance", {"options": TableOptions(distances=["s"])}),
    ("--kind", {"options": TableOptions(kind="cosine")}),
    ("--mated", {"options": TableOptions(mated="same")}),
    ("--zero-is-same", {"options": TableOptions(zero_is_same=True)}),
    ("--fold", {"options": TableOptions(fold="part")}),
    ("--failures", {"options": TableOptions(failures=True)}),
    ("--failure-score", {"options": TableOptions(failure_scores=[0.0])}),
    ("--decision", {"options": TableOptions(decision="d")}),
    ("--accept", {"options": TableOptions(accept=["x"])}),
    ("--subjects-by-group", {"options": TableOptions(subjects_by_group=True)}),
    ("--embedding", {"options": TableOptions(embedding="e")}),
    ("--scorer", {"options": TableOptions(scorer="cosine")}),
    ("--pairs", {"pairs": MEMORY}),
    ("--all-pairs", {"all_pairs": True}),
    ("--sample-pairs", {"sample_pairs": 3}),
    ("--calibrate-on", {"calibrate_on": MEMORY}),
    ("--fmr", {"settings": run.Settings(fmrs=[0.1])}),
    ("--protocol", {"settings": run.Settings(protocol="lfw")}),
    ("--tolerance", {"settings": run.Settings(tolerances={"fmr_gini": 1})}),
    ("--paired", {"settings": PAIRED}),
]


@pytest.mark.parametrize(("flag", "more"), FLAGS_OF_PAIRS)
def test_what_is_for_pairs_alone_is_refused_beside_a_label(flag, more):
    with pytest.raises(UsageError, match=f"^{flag} is for pairs; leave it out with --label\\.$"):
        requests._refuse_unused(Request([MEMORY], predictions=LABELS, **more))


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"settings": run.Settings(fmrs=())},
        {"options": TableOptions(by=["race"], subject="who", image="shot", any_direction=True)},
        {"options": TableOptions(group_names=["X"], unknown_groups=True, many_groups=True)},
        {"settings": run.Settings(resamples=5, level=0.9, seed=3)},
    ],
)
def test_what_predictions_take_is_not_refused(more):
    requests._refuse_unused(Request([MEMORY], predictions=LABELS, **more))


def test_a_threshold_of_predictions_names_the_column_of_decisions():
    asked = Request([MEMORY], predictions=LABELS, settings=run.Settings(thresholds=[0.0]))
    with pytest.raises(UsageError, match="from 0.5 on. For another threshold name a column of dec"):
        requests._refuse_unused(asked)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"groups_subject": "who"}, "--groups-subject goes with --groups TABLE."),
        ({"groups_image": "shot"}, "--groups-image goes with --groups TABLE."),
        (
            {"options": TableOptions(embedding="e")},
            "--embedding goes with --pairs TABLE, --all-pairs or --sample-pairs N.",
        ),
        ({"groups_subject": "who", "groups": MEMORY}, ""),
        ({"groups_image": "shot", "groups": MEMORY}, ""),
        ({"options": TableOptions(embedding="e"), "all_pairs": True}, ""),
        ({"options": TableOptions(embedding="e"), "pairs": MEMORY}, ""),
        ({"options": TableOptions(embedding="e"), "sample_pairs": 2}, ""),
    ],
)
def test_a_flag_without_its_company_is_refused(more, said):
    if not said:
        requests._refuse_unused(Request([MEMORY], **more))
        return
    with pytest.raises(UsageError) as caught:
        requests._refuse_unused(Request([MEMORY], **more))
    assert str(caught.value) == said


def test_every_file_has_its_role_in_the_facts(table, other, tmp_path):
    roles = {}
    for role in ("groups", "pairs", "calibrate_on", "covariates"):
        roles[role] = tmp_path / f"{role}.csv"
        roles[role].write_text(role)
    facts = requests._facts(Request([table, other], **roles))
    assert {role: file["name"] for role, file in facts["files"].items()} == {
        "file 1": "t.csv",
        "file 2": "other.csv",
        **{role: f"{role}.csv" for role in roles},
    }
    assert "dataset" not in facts and "stated" not in facts
    assert requests._facts(Request([table], dataset="phantom"))["dataset"] == "phantom"


def test_what_the_user_says_comes_before_what_a_file_says(vectors, monkeypatch):
    made = {"model_hash": "1", "preprocessing": "crop", "alignment": "none", "flip": "sum"}
    monkeypatch.setattr(requests, "read_made", lambda path: made)
    own = requests._facts(Request([vectors]))["stated"]
    assert own == {"model": "1", "preprocessing": "crop", "alignment": "none", "flip": "sum"}
    said = requests._facts(Request([vectors], stated={"flip": "no", "x": "y"}))["stated"]
    assert said == {**own, "flip": "no", "x": "y"}


def test_a_benchmarks_own_pairs_are_taken_where_none_are_asked_for(vectors, monkeypatch):
    calls = []
    monkeypatch.setattr(
        requests, "load_embeddings", lambda *words, **more: calls.append(more) or {}
    )
    monkeypatch.setattr(requests, "read_made", lambda path: {"protocol": "rfw"})
    requests._load(Request([vectors]))
    requests._load(Request([vectors], all_pairs=True, settings=run.Settings(seed=5)))
    requests._load(Request([vectors], sample_pairs=7))
    assert [call["own"] for call in calls] == [True, False, False]
    assert [call["sample"] for call in calls] == [None, None, 7]
    assert [call["seed"] for call in calls] == [0, 5, 0]


def test_another_way_to_the_audited_table_is_the_table(table):
    other_way = table.parent / ".." / table.parent.name / table.name
    assert other_way != table
    with pytest.raises(UsageError, match="is the audited table itself"):
        list(measure(Request([table], calibrate_on=other_way)))


def test_a_copy_in_memory_is_another_table(monkeypatch):
    monkeypatch.setattr(requests, "load_comparisons", lambda source, *_, **__: {"of": source})
    one, two = InMemory(pa.table({"score": [0.5]})), InMemory(pa.table({"score": [0.5]}))
    assert requests._load(Request([one], calibrate_on=two)) == ({"of": one}, {"of": two})
    with pytest.raises(UsageError, match="is the audited table itself"):
        requests._load(Request([one], calibrate_on=one))


def test_large_tables_are_not_taken_for_parts(table, other, monkeypatch):
    monkeypatch.setattr(streaming, "STREAM_BYTES", 10)
    with pytest.raises(UsageError, match="say --stream"):
        list(measure(Request([table, other])))
    monkeypatch.setattr(streaming, "STREAM_BYTES", table.stat().st_size)
    assert not Request([table]).streams  # at the limit it is read whole
    monkeypatch.setattr(streaming, "STREAM_BYTES", table.stat().st_size - 1)
    assert Request([table]).streams


def test_covariates_reach_each_attribute_with_the_level(table, monkeypatch):
    calls = []
    monkeypatch.setattr(requests, "load_covariates", lambda *words, **more: "held")
    monkeypatch.setattr(run, "measure", lambda pairs, settings, **_: pairs.by)
    monkeypatch.setattr(run, "with_facts", lambda results, facts, notes: results)
    monkeypatch.setattr(
        requests, "with_covariates", lambda *words, level: calls.append((*words, level)) or words[0]
    )
    options = TableOptions(by=["group", "side=group1,group2"])
    asked = Request([table], options, run.Settings(level=0.8), hold=["blur"])
    assert [results for _, results in measure(asked)] == ["group", "side"]
    assert [(by, held, level) for by, _, held, level in calls] == [
        ("group", "held", 0.8),
        ("side", "held", 0.8),
    ]
    list(measure(replace(asked, hold=())))
    assert len(calls) == 2


def test_predictions_are_measured_by_each_attribute_as_asked_for(table, monkeypatch):
    calls = []

    def audit(path, columns, options, by, **more):
        calls.append((path, columns, by, more))
        return by

    monkeypatch.setattr(requests, "audit_predictions", audit)
    monkeypatch.setattr(requests, "load_image_covariates", lambda *words, **more: "held")
    settings = run.Settings(resamples=7, level=0.8, seed=3)
    asked = Request([table], TableOptions(by=["race", "sex"]), settings, predictions=LABELS)
    assert list(requests._predictions(asked, LABELS, lambda _: nullcontext())) == [
        ("race", "race"),
        ("sex", "sex"),
    ]
    usual = {"resamples": 7, "level": 0.8, "seed": 3, "covariates": None}
    assert [more for *_, more in calls] == [usual, usual]
    calls.clear()
    list(requests._predictions(Request([table], hold=["x"]), LABELS, lambda _: nullcontext()))
    ((_, _, by, more),) = calls
    assert by == "group" and more["covariates"] == "held"
