"""Failures to acquire, decisions, bins of ages, own columns, predictions that are none."""

import numpy as np
import pytest

from fairjax.audit import outputs, run
from fairjax.audit.failures import failed_images
from fairjax.audit.layout import TableOptions
from fairjax.audit.pairs import load_comparisons
from fairjax.audit.people import load_people
from fairjax.audit.prediction_tables import PredictionColumns
from fairjax.audit.predictions import audit_predictions
from fairjax.audit.tables import InputError

HEAD = "probe_image,gallery_image,probe_subject,gallery_subject,probe_race,gallery_race,score\n"
ROWS = (
    "a0,a1,a,a,X,X,.9\nb0,b1,b,b,X,X,.9\nc0,c1,c,c,Y,Y,.8\nd0,d1,d,d,Y,Y,\n"
    "a0,b1,a,b,X,X,.1\na0,c1,a,c,X,Y,.1\nd0,c1,d,c,Y,Y,\nb0,c1,b,c,X,Y,.2\nc0,d1,c,d,Y,Y,.3\n"
)


def test_an_image_without_any_score_explains_its_failed_pairs():
    image = np.array([[0, 1], [0, 2], [3, 2], [3, 1]])
    failed = np.array([True, True, False, False])
    assert failed_images(image, failed).tolist() == [True, False, False, False]


def test_blank_scores_are_failures_by_group_with_rates_with_and_without_them(tmp_path):
    (tmp_path / "t.csv").write_text(HEAD + ROWS)
    with pytest.raises(InputError, match="data row 4: score is missing"):
        load_comparisons(tmp_path / "t.csv", TableOptions(by=["race"]))
    loaded = load_comparisons(tmp_path / "t.csv", TableOptions(by=["race"], failures=True))["race"]
    results = run.measure(loaded, run.Settings(fmrs=(), thresholds=[0.5], resamples=5))
    assert results.get("fta", race="Y").value == 0.5  # d0 of c0, d0
    assert results.get("fta", race="X").value == 0.0
    assert results.get("fte", race="Y").value == 0.0
    at = "threshold 0.5"
    assert results.get("fnmr", at=at, race="Y").value == 0.0  # of the one mated pair scored
    assert results.get("frr", at=at, race="Y").value == 0.5  # of both
    assert results.get("far", at=at).n == 5
    outputs.write(tmp_path / "out", results, title="t")


def test_decisions_have_one_operating_point_and_no_curve(tmp_path):
    words = iter("MMmNNNMN")
    text = HEAD.replace("score", "verdict") + "".join(
        line.rsplit(",", 1)[0] + f",{'match' if next(words) in 'Mm' else 'no'}\n"
        for line in ROWS.splitlines()[:8]
    )
    (tmp_path / "t.csv").write_text(text)
    options = TableOptions(by=["race"], decision="verdict", accept=["match"])
    loaded = load_comparisons(tmp_path / "t.csv", options)["race"]
    results = run.measure(loaded, run.Settings(fmrs=(), resamples=5))
    assert results.get("fnmr", at="decision").value == 0.25
    assert results.get("fmr", at="decision").value == 0.25
    assert "det" not in results.arrays and not [m for m in results.measures if not m.at]
    outputs.write(tmp_path / "out", results, title="t")
    with pytest.raises(InputError, match="--accept says which words"):
        load_comparisons(tmp_path / "t.csv", TableOptions(decision="verdict", by=["race"]))


def test_ages_fall_into_bins_and_the_tables_columns_have_flags_of_their_own(tmp_path):
    (tmp_path / "t.csv").write_text("subject1,subject2,score\na,a,.9\nb,b,.9\na,b,.1\n")
    (tmp_path / "p.csv").write_text("who,age\na,17\nb,30\n")
    people = load_people(tmp_path / "p.csv", own_subject="who")
    loaded = load_comparisons(tmp_path / "t.csv", TableOptions(by=["age:18,30"]), people=people)[
        "age"
    ]
    assert loaded.groups == ("30+", "<18") or loaded.groups == ("<18", "30+")
    assert loaded.groups[0] == "<18"


def test_more_than_twenty_groups_are_asked_about(tmp_path):
    text = "subject1,subject2,group1,group2,score\n"
    text += "".join(f"p{k},p{k},g{k},g{k},.9\n" for k in range(21)) + "p0,p1,g0,g1,.1\n"
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match="21 groups .* more than 20"):
        load_comparisons(tmp_path / "t.csv", TableOptions())
    assert load_comparisons(tmp_path / "t.csv", TableOptions(many_groups=True))


def _row(k: int) -> str:
    label, said = "fm"[k % 2], "fm"[(k % 2) ^ (k % 7 == 0)]
    return f"{k}.jpg,{label},{said},{0.9 - 0.8 * (k % 2)},{'XY'[k // 2 % 2]}\n"


TABLE = "file,gender,said,p,race\n" + "".join(map(_row, range(80)))


def predictions(folder, text, options=None, **columns):
    (folder / "t.csv").write_text(text)
    chosen = PredictionColumns("gender", positive="f", **columns)
    return audit_predictions(
        folder / "t.csv",
        chosen,
        options or TableOptions(),
        "race",
        resamples=20,
        level=0.95,
        seed=0,
    )


def test_probabilities_of_the_other_class_and_exchanged_classes_are_refused(tmp_path):
    assert predictions(tmp_path, TABLE, probability="p").get("gender_accuracy").value == 1.0
    turned = TABLE.replace(",0.9,", ",0.x,").replace(",0.1", ",0.9").replace("0.x", "0.1")
    turned = turned.replace("0.09999999999999998", "0.9").replace("0.99999999999999998", "0.9")
    with pytest.raises(InputError, match="if it is the probability of 'm', say --positive m"):
        predictions(tmp_path, turned, probability="p")
    swapped = TABLE.replace(",f,f,", ",f,q,").replace(",m,m,", ",m,f,").replace(",f,q,", ",f,m,")
    with pytest.raises(InputError, match="less than chance"):
        predictions(tmp_path, swapped, prediction="said")


def test_rows_repeated_by_a_join_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"file '3.jpg' is in data rows 4 and 81 \(1 row "):
        predictions(tmp_path, TABLE + TABLE.splitlines()[4] + "\n", prediction="said")


def test_labels_with_outer_blanks_are_one_label(tmp_path):
    one = predictions(tmp_path, TABLE, prediction="said")
    two = predictions(tmp_path, TABLE.replace(",f,", ",f ,", 9), prediction="said")
    assert [m.value for m in one.measures] == [m.value for m in two.measures]


def test_no_answer_is_counted_by_group_and_as_wrong(tmp_path):
    text = TABLE.replace("0.jpg,f,m,", "0.jpg,f,no face,", 1)
    results = predictions(tmp_path, text, prediction="said", no_answer=["no face"])
    assert results.get("gender_no_answer").n_errors == 1
    assert results.get("gender_accuracy").n == 79
    assert results.get("gender_accuracy_of_all").n == 80
    with pytest.raises(InputError, match="--classes"):
        predictions(tmp_path, text, prediction="said")
