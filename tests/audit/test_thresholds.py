"""Thresholds chosen on one table and checked on another."""

import re
from dataclasses import replace

import numpy as np
import pytest

from fairjax.audit.layout import TableOptions
from fairjax.audit.loaded import Loaded
from fairjax.audit.pairs import load_comparisons
from fairjax.audit.phantom_scores import Planted, Size, draw, true_rates
from fairjax.audit.thresholds import Wish, choose, people_of, refuse_shared_people
from fairjax.core.errors import UserError

SIZE = Size(people=60, images=4, nonmated=6000, across=500)
GAP = Planted(fmr_ratio=3.0)


def phantom(seed, *, prefix="p", planted=GAP):
    pairs = draw(planted, seed=seed, size=SIZE).comparisons
    return Loaded(
        by="group",
        groups=pairs.groups,
        scores={"score": pairs.score},
        mated=pairs.mated,
        subject=pairs.subject,
        group=pairs.group,
        fold=pairs.fold,
        has_subjects=True,
        has_images=False,
        names=tuple(f"{prefix}{k}" for k in range(240)),
    )


@pytest.fixture(scope="module")
def loaded():
    return phantom(0)


def test_every_groups_bound_lies_below_the_target_and_its_cost_is_the_pairs_in_between(loaded):
    found = choose(loaded, "score", Wish(0.02, worst_group=True), source="a.csv")
    threshold = found.results.protocol["threshold"]
    plain = found.results.protocol["overall_threshold"]
    assert threshold > plain
    for g, name in enumerate(loaded.groups):
        rows = (loaded.group == g).all(axis=1)
        score = loaded.scores["score"]
        nonmated, mated = score[rows & ~loaded.mated], score[rows & loaded.mated]
        at = dict(group=name, at="calibration")
        assert found.results.get("fmr", **at).value == np.mean(nonmated >= threshold)
        assert found.results.get("fmr_upper_bound", **at).value <= 0.02
        assert found.results.get("fnmr", **at).value == np.mean(mated < threshold)
        cost = found.results.get("fnmr_cost", **at)
        assert cost.value == np.mean((mated >= plain) & (mated < threshold))
        assert cost.interval[0] <= cost.value <= cost.interval[1]
    assert true_rates(GAP, threshold)[0].max() < 0.02
    assert f"at least {threshold:.6g}" in found.answer


def test_the_overall_rate_alone_leaves_a_group_above_the_target_and_says_which(loaded):
    found = choose(loaded, "score", Wish(0.01, worst_group=False), source="a.csv")
    assert found.results.protocol["threshold"] == found.results.protocol["overall_threshold"]
    assert "higher for" in found.sentences[0] and "jade" in found.sentences[0]
    assert "above" in next(row for row in found.tables[0].rows if row[0] == "jade")


def test_a_threshold_is_checked_on_other_people(loaded):
    wish = Wish(0.02, worst_group=True)
    alike = choose(loaded, "score", wish, check=phantom(1, prefix="q"), source="a.csv")
    assert "the target does NOT hold" not in alike.sentences[-1]
    assert alike.results.get("fmr", group="jade", at="check").n == 6000
    worse = phantom(2, prefix="q", planted=Planted(fmr_ratio=20.0))
    other = choose(loaded, "score", wish, check=worse, source="a.csv")
    assert "the target does NOT hold for jade" in other.sentences[-1]
    overall = choose(loaded, "score", Wish(0.01, worst_group=False), check=worse, source="a.csv")
    assert "above the target" in overall.sentences[-1]


def test_distances_are_told_as_distances(loaded):
    turned = Loaded(**{**vars(loaded), "distances": ("score",)})
    found = choose(turned, "score", Wish(0.02, worst_group=True), source="a.csv")
    assert "distance is at most -" in found.answer
    protocol = found.results.protocol
    told = {m.threshold for m in found.results.measures if m.threshold is not None}
    assert told == {protocol["threshold"]} and protocol["threshold"] < protocol["overall_threshold"]
    shown = f" at {protocol['overall_threshold']:.6g}, w"  # in the unit of the distances
    assert shown in found.sentences[0] and shown in found.tables[0].note
    assert shown in found.results.get("fnmr_cost", at="calibration").rule


@pytest.mark.parametrize("distances", [(), ("score",)])
@pytest.mark.parametrize("digits", [2, 4, 17])
def test_the_threshold_that_is_printed_accepts_what_it_was_chosen_to_accept(
    loaded, digits, distances
):
    score = np.round(loaded.scores["score"], digits)
    rounded = replace(loaded, scores={"score": score}, distances=distances)
    found = choose(rounded, "score", Wish(0.02, worst_group=True), source="a.csv")
    text = re.search(r"is at (?:least|most) (-?[\d.]+)\.$", found.answer)[1]
    assert len(text.lstrip("-0.")) <= max(digits + 1, 5)
    accepted = -score <= float(text) if distances else score >= float(text)
    errors = found.results.get("fmr", at="calibration").n_errors
    assert accepted[~loaded.mated].sum() == errors


def test_too_few_pairs_say_what_would_do(loaded):
    with pytest.raises(UserError, match=r"a.csv: insufficient data.*--fmr-max 0\.00\d+.*people"):
        choose(loaded, "score", Wish(1e-4 * 3, worst_group=True), source="a.csv")


def test_the_same_people_in_both_tables_are_refused(loaded):
    names = ("a.csv", "b.csv")
    with pytest.raises(UserError, match=re.escape("240 people are in a.csv and in b.csv, such")):
        refuse_shared_people(loaded, phantom(1), names, "no")
    refuse_shared_people(loaded, phantom(1, prefix="q"), names, "no")
    nobody = Loaded(**{**vars(loaded), "has_subjects": False})
    with pytest.raises(UserError, match="b.csv does not say who"):
        refuse_shared_people(loaded, nobody, names, "no")


@pytest.mark.parametrize("wish", [dict(fmr=0.0), dict(fmr=0.1, confidence=0.4)])
def test_impossible_wishes_are_refused(wish):
    with pytest.raises(UserError, match="must be"):
        Wish(**wish, worst_group=True)


def test_a_table_keeps_the_names_of_its_people(tmp_path):
    table = tmp_path / "scores.csv"
    rows = ["zoe,zoe,a,a,0.9", "zoe,abe,a,a,0.1", "eve,eve,b,b,0.9", "eve,ida,b,b,0.1"]
    table.write_text("subject1,subject2,group1,group2,score\n" + "\n".join(rows) + "\n")
    loaded = load_comparisons(table, TableOptions())["group"]
    assert people_of(loaded) == ["abe", "eve", "ida", "zoe"]
    assert [loaded.names[k] for k in loaded.subject[1]] == ["zoe", "abe"]
