"""Failures to acquire and to enrol: rates by hand, and which image explains a failed pair."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from results_example import stale_levels

from fairjax.audit import run
from fairjax.audit.failures import failed_images, table, with_failures
from fairjax.audit.loaded import Failures, Loaded
from fairjax.core.comparisons import UNKNOWN
from fairjax.core.results import Measure, Results
from fairjax.core.verdict import verdict
from fairjax.metrics.clustered import clustered_rate, dyads, likeliest_design_effect
from fairjax.report.verification.audited import audited_systems
from fairjax.report.verification.quantities import quantities

A, B, C, D, E = range(5)


@pytest.mark.parametrize(
    ("image", "failed", "broken"),
    [
        ([[A, B], [C, D]], [False, False], []),
        ([[A, B], [A, C], [B, C]], [True, True, False], [A]),
        ([[A, B], [A, C], [D, E]], [True, True, True], [A, D]),  # D and E: the smaller number
        ([[A, B]], [True], [A]),
        ([[A, B], [B, C], [C, A]], [True, True, False], [B]),
        ([[A, B], [C, B], [A, D], [C, E]], [True, True, False, False], [B]),
        ([[A, B], [A, B], [C, D], [A, C]], [True, True, False, True], [A]),
    ],
)
def test_the_image_with_most_failed_pairs_explains_them(image, failed, broken):
    found = failed_images(np.array(image), np.array(failed))
    assert np.flatnonzero(found).tolist() == broken


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 7), st.integers(0, 7), st.booleans()).filter(
            lambda row: row[0] != row[1]
        ),
        min_size=1,
        max_size=25,
    )
)
def test_no_image_with_a_score_has_failed_and_none_is_needless(rows):
    image = np.array([row[:2] for row in rows])
    failed = np.array([row[2] for row in rows])
    broken = failed_images(image, failed)
    scored = np.unique(image[~failed])
    assert not broken[scored].any()
    explained = broken[image].any(axis=1)
    assert not explained[~failed].any()
    able = ~np.isin(image, scored).all(axis=1)  # one of its images has no score anywhere
    assert (explained[failed] == able[failed]).all()
    assert broken.sum() <= failed.sum()


def loaded(*, image=True, sides=("image", "image"), has_subjects=True):
    """Ten pairs of two groups; three have no score: one mated of X, one mated and one not of Y."""
    rows = [  # images, mated, group, score
        (0, 1, True, 0, 0.9),
        (2, 3, True, 0, 0.4),
        (4, 5, True, 0, None),
        (0, 2, False, 0, 0.1),
        (1, 3, False, 0, 0.6),
        (6, 7, True, 1, 0.8),
        (8, 9, True, 1, None),
        (6, 8, False, 1, None),
        (7, 9, False, 1, 0.2),
        (1, 7, False, UNKNOWN, 0.3),
    ]
    pair = np.array([row[:2] for row in rows])
    mated = np.array([row[2] for row in rows])
    group = np.array([[row[3]] * 2 for row in rows])
    group[-1] = 0, 1
    failed = np.array([row[4] is None for row in rows])
    subject = pair // 2
    failures = Failures(failed, mated, subject, group, pair if image else None, sides)
    kept = ~failed
    return Loaded(
        by="race",
        groups=("X", "Y"),
        scores={"s": np.array([row[4] for row in rows if row[4] is not None])},
        mated=mated[kept],
        subject=subject[kept],
        group=group[kept],
        fold=np.zeros(kept.sum(), int),
        has_subjects=has_subjects,
        has_images=image,
        failures=failures,
    )


def results(*, threshold=0.5, system=""):
    fnmr = Measure("fnmr", 0.25, "fraction", 4, at="t", threshold=threshold, system=system)
    by_group = replace(fnmr, group={"race": "X"})
    return Results("verification", {"level": 0.9}, [fnmr, by_group], {}, [], {})


def value(results, name, race=None, **more):
    measure = results.get(name, **({"race": race} if race else {}), **more)
    return measure.value, measure.n_errors, measure.n


def test_failures_are_counted_by_group_with_the_image_that_explains_them():
    found = with_failures(results(), loaded())
    # images 0 to 9: 4 explains (4, 5); 8 explains (8, 9) and (6, 8)
    assert value(found, "fta") == (pytest.approx(0.2), 2, 10)
    assert value(found, "fta", "X") == (pytest.approx(1 / 6), 1, 6)
    assert value(found, "fta", "Y") == (pytest.approx(1 / 4), 1, 4)
    difference = found.get("fta_difference", across="race")
    assert difference.value == pytest.approx(1 / 4 - 1 / 6)
    assert found.get("fta_max_over_min", across="race").value == pytest.approx(1.5)
    assert found.get("fta").note.startswith("fewer than") and found.get("fta").note.endswith("(2)")


def test_probes_fail_to_be_acquired_and_references_to_be_enrolled():
    found = with_failures(results(), loaded(sides=("probe", "reference")))
    # probes 0, 2, 4, 1, 6, 8, 7; references 1, 3, 5, 2, 7, 9, 8
    assert value(found, "fta") == (pytest.approx(2 / 7), 2, 7)
    assert value(found, "fta", "Y") == (pytest.approx(1 / 3), 1, 3)
    assert value(found, "fte") == (pytest.approx(1 / 7), 1, 7)
    assert value(found, "fte", "X") == (0.0, 0, 4)


def test_without_images_pairs_are_counted():
    found = with_failures(results(), loaded(image=False))
    assert value(found, "pair_failure") == (pytest.approx(0.3), 3, 10)
    assert value(found, "pair_failure", "X") == (pytest.approx(0.2), 1, 5)
    assert value(found, "pair_failure", "Y") == (pytest.approx(0.5), 2, 4)  # the last is of no one


def test_rejected_are_pairs_below_the_threshold_and_those_that_failed():
    found = with_failures(results(), loaded())
    assert value(found, "frr", at="t") == (pytest.approx(3 / 5), 3, 5)
    assert value(found, "frr", "X", at="t") == (pytest.approx(2 / 3), 2, 3)
    assert value(found, "frr", "Y", at="t") == (pytest.approx(1 / 2), 1, 2)
    assert value(found, "far", at="t") == (pytest.approx(1 / 5), 1, 5)
    assert value(found, "far", "X", at="t") == (pytest.approx(1 / 2), 1, 2)
    assert value(found, "far", "Y", at="t") == (0.0, 0, 2)
    far = found.get("far_max_over_min", across="race", at="t")
    assert far.value is None and far.note.startswith("undefined: a group without failures")
    assert found.get("far_difference", across="race", at="t").value == pytest.approx(0.5)


def test_the_threshold_itself_accepts():
    found = with_failures(results(threshold=0.6), loaded())
    assert value(found, "far", at="t") == (pytest.approx(1 / 5), 1, 5)
    assert value(found, "frr", at="t")[1] == 3


def test_intervals_have_the_audits_level_and_people_only_where_they_are_known():
    known, nobody = (
        with_failures(results(), loaded(has_subjects=known)).get("frr", at="t")
        for known in (True, False)
    )
    assert known.level == nobody.level == 0.9
    assert known.interval[0] < known.value < known.interval[1]
    assert known.n_clusters == 5 and nobody.n_clusters is None
    assert "clustered by people" in known.method


def test_a_group_that_nothing_was_tried_on_is_said():
    three = replace(loaded(), groups=("X", "Y", "Z"))
    found = with_failures(results(), three)
    empty = found.get("fta", race="Z")
    assert (empty.value, empty.n, empty.note) == (None, 0, "nothing was tried")
    assert found.get("fta_difference", across="race").value is None


def test_each_system_is_rejected_at_its_own_threshold():
    two = loaded()
    two = replace(two, scores={"s": two.scores["s"], "t": two.scores["s"] + 0.2})
    one, other = results(system="s"), results(system="t", threshold=0.7)
    both = replace(one, measures=[*one.measures, *other.measures])
    found = with_failures(both, two)
    assert value(found, "frr", at="t", system="s") == value(found, "frr", at="t", system="t")


def test_without_failures_nothing_is_added():
    before = results()
    assert with_failures(before, replace(loaded(), failures=None)) is before
    assert table(before).rows == []


def test_the_table_has_a_row_a_rate_and_marks_few_errors():
    rows = table(with_failures(results(), loaded())).rows
    first = rows[0]
    assert first[:3] == ["FTA", "any", "everyone"]
    assert first[3].startswith("20* [") and first[4] == "2 of 10"
    assert ["FRR", "t", "X"] in [row[:3] for row in rows]
    assert all(len(row) == 5 for row in rows)
    assert [row[0] for row in table(with_failures(results(), loaded(image=False))).rows][
        0
    ] == "PAIR FAILURE"


def attempts(fails, *, people=40, images=6, seed=0):
    """Mated pairs of all images of a person; images of the two groups fail at these two rates."""
    rng = np.random.default_rng(seed)
    own = np.stack(np.triu_indices(images, 1), axis=1)
    pair = np.concatenate([own + person * images for person in range(2 * people)])
    lost = rng.random(2 * people * images) < np.repeat(fails, people * images)
    subject, failed = pair // images, lost[pair].any(axis=1)
    group, mated = (subject >= people).astype(int), np.ones(len(pair), bool)
    return replace(
        loaded(),
        scores={"s": np.full((~failed).sum(), 0.9)},
        mated=mated[~failed],
        subject=subject[~failed],
        group=group[~failed],
        fold=np.zeros((~failed).sum(), int),
        failures=Failures(failed, mated, subject, group, pair, ("image", "image")),
    )


def results_with_test(p):
    """Results in which the test of the false match rate has this p-value."""
    own = Measure("fmr_equality_p_value", p, "fraction", 9, at="t", across="race")
    more = [own, replace(own, name=f"{own.name}_holm"), replace(own, name="fmr", across="")]
    found = results()
    return replace(
        found,
        measures=[*found.measures, *more, replace(more[2], group={"race": "X"})],
        protocol={"level": 0.95, "seed": 1, "resamples": 200, "attribute": "race"},
    )


def test_the_test_of_failures_is_adjusted_with_those_of_the_error_rates():
    found = with_failures(results_with_test(0.04), attempts((0.03, 0.3)))
    names = ("fta_equality_p_value", "fta_equality_p_value_holm")
    raw, adjusted = (found.get(name, across="race") for name in names)
    assert (raw.value, adjusted.value) == (pytest.approx(1 / 201), pytest.approx(2 / 201))
    assert adjusted.rule.startswith("adjusted for 2 primary tests")
    twin = found.get("fmr_equality_p_value_holm", across="race", at="t")
    assert twin.value == pytest.approx(0.04)  # the larger of two, after the smaller one
    assert verdict(found).get("fta").answer == "shown"
    fair = with_failures(results_with_test(0.04), attempts((0.1, 0.1)))
    assert verdict(fair).get("fta").answer == "not shown"
    twin = fair.get("fmr_equality_p_value_holm", across="race", at="t")
    assert twin.value == pytest.approx(0.08)  # now the smaller one of two


def test_the_first_screen_says_how_often_each_group_fails():
    found = with_failures(results_with_test(0.5), attempts((0.03, 0.3)))
    (failures,) = (q for q in quantities(found) if q.claim.measure == "fta")
    assert failures.claim.answer == "shown"
    assert [m.group["race"] for m in failures.known] == ["Y", "X"]
    assert (failures.title, failures.trials) == ("Failures to acquire", "images")


def test_what_systems_have_in_common_is_no_system():
    """Failures are the same for all, and one of their adjusted p-values counts: the largest."""
    first = results_with_test(0.04)
    second = [replace(m, system="b", value=0.9) for m in first.measures]
    both = [*(replace(m, system="a") for m in first.measures), *second]
    found = with_failures(replace(first, measures=both), attempts((0.03, 0.3)))
    assert [one.name for one in audited_systems(found)] == ["a", "b"]
    assert found.get("fta_equality_p_value_holm", across="race").value == pytest.approx(2 / 201)


@pytest.mark.parametrize("most", [run.MOST_NAMELESS, 100])
def test_what_data_would_show_is_reckoned_at_the_level_of_all_tests(monkeypatch, most):
    """Two tests of error rates and one of failures: each at a third of 5 %, streamed or not."""
    rng = np.random.default_rng(0)
    scored = attempts((0.1, 0.2))
    person, size = scored.subject[:, 0], len(scored)
    other = person // 40 * 40 + (person + 1 + rng.integers(39, size=size)) % 40  # of the group
    couple, mated = np.stack([person, other], axis=1), np.repeat([True, False], size)
    more = Failures(  # none of the non-mated pairs, each of two images of its own
        np.zeros(size, bool),
        np.zeros(size, bool),
        couple,
        scored.group,
        1000 + np.arange(2 * size).reshape(-1, 2),
        ("image", "image"),
    )
    failures = scored.failures
    scored = replace(
        scored,
        scores={"s": np.where(mated, 2, 0) + rng.normal(size=2 * size)},
        mated=mated,
        subject=np.concatenate([scored.subject, couple]),
        group=np.tile(scored.group, (2, 1)),
        fold=np.zeros(2 * size, int),
        has_subjects=most > 100,
        failures=replace(
            failures,
            **{
                name: np.concatenate([getattr(failures, name), getattr(more, name)])
                for name in ("failed", "mated", "subject", "group", "image")
            },
        ),
    )
    monkeypatch.setattr(run, "MOST_NAMELESS", most)
    measured = run.measure(scored, run.Settings(fmrs=[0.1], resamples=20))
    assert {c.tests for c in verdict(measured).claims} == {3}
    assert stale_levels(measured) == []
    alone = run.measure(replace(scored, failures=None), run.Settings(fmrs=[0.1], resamples=20))
    name, place = "fnmr_detectable_ratio", {"across": "race", "at": "FMR 1e-1"}
    assert measured.get(name, **place).value > alone.get(name, **place).value


def test_without_failures_far_and_frr_have_the_intervals_of_fmr_and_fnmr():
    rng = np.random.default_rng(0)
    couple = np.array([(a, b) for a in range(8) for b in range(a, 8)])
    mated = couple[:, 0] == couple[:, 1]
    score = np.where(mated, 0.9, rng.uniform(0, 0.4, len(mated)))
    group = np.zeros_like(couple)
    failures = Failures(np.zeros(len(mated), bool), mated, couple, group, None, ("", ""))
    whole = Loaded(
        "race",
        ("X",),
        {"s": score},
        mated,
        couple,
        group,
        mated * 0,
        True,
        False,
        failures=failures,
    )
    found = with_failures(results(), whole)
    for name, rows in (("far", ~mated), ("frr", mated)):
        couples = dyads(couple[rows])
        rate = clustered_rate(np.zeros(rows.sum(), bool), couples)
        effect = likeliest_design_effect(score[rows], couples, mated=name == "frr")
        wanted = replace(rate, likeliest_effect=effect).interval(level=0.9)
        assert found.get(name, at="t").interval == wanted
