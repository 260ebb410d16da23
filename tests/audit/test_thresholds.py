"""Thresholds chosen on one table and checked on another."""

import re
from dataclasses import replace

import numpy as np
import pytest

from fairjax.audit import thresholds
from fairjax.audit.layout import TableOptions
from fairjax.audit.loaded import Loaded
from fairjax.audit.pairs import load_comparisons
from fairjax.audit.phantom_scores import Planted, Size, draw, true_rates
from fairjax.audit.thresholds import Wish, choose, people_of, refuse_shared_people
from fairjax.core.errors import UserError
from fairjax.metrics.thresholds import GroupPairs, upper_bound

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


@pytest.mark.parametrize(
    ("threshold", "scores", "short"),
    [
        (0.4372913, [0.1, 0.43, 0.44, 0.9], 0.44),
        (0.4372913, [0.1, 0.4372, 0.4374, 0.9], 0.4373),
        (0.4372913, [0.1, 0.43, 0.9], 0.5),
        (0.1, [0.1, 0.05, 0.2], 0.1),  # the lowest that is accepted is its own threshold
        (7.3, [1.0, 2.0], 7.0),  # nothing is accepted
        (-7.3, [1.0, 2.0], -7.0),  # everything is
        (0.1 + 0.2, [0.3, 0.1 + 0.2], 0.1 + 0.2),  # two neighbours among floats
    ],
)
def test_a_threshold_has_as_few_digits_as_accept_the_same(threshold, scores, short):
    scores = np.array(scores)
    found = thresholds._written_shortly(threshold, scores)
    assert found == short
    np.testing.assert_array_equal(scores >= found, scores >= threshold)


@pytest.mark.parametrize(
    ("rate", "rounded"),
    [(0.00123, 0.0013), (0.0101, 0.011), (0.5, 0.5), (0.991, 1.0), (1.2e-5, 1.2e-5)],
)
def test_a_rate_to_ask_for_is_rounded_up_to_two_digits(rate, rounded):
    found = thresholds._rounded_up(rate)
    assert found == pytest.approx(rounded) and found >= rate * (1 - 1e-12)


def few(groups=2, **changes):
    """A mated and two non-mated pairs in each group, and one non-mated pair across."""
    g = np.arange(groups)
    subject = np.concatenate(
        [np.stack(x, axis=1) for x in ((4 * g, 4 * g), (4 * g, 4 * g + 1), (4 * g + 2, 4 * g + 3))]
        + [[[1, 5]]]
    )
    group = subject // 4
    whole = dict(
        by="group",
        groups=tuple("abcdefgh"[:groups]),
        scores={"score": np.linspace(0.9, 0.1, len(subject))},
        mated=subject[:, 0] == subject[:, 1],
        subject=subject,
        group=group,
        fold=np.zeros(len(subject), np.int64),
        has_subjects=True,
        has_images=True,
        names=tuple(f"p{k}" for k in range(4 * groups)),
    )
    return Loaded(**{**whole, **changes})


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_pairs_across_groups_are_everyones_alone(groups):
    loaded = few(groups)
    pairs = thresholds._Pairs.of(loaded, "score")
    assert [group.name for group in pairs.nonmated] == list(loaded.groups)
    assert [len(group.score) for group in pairs.nonmated] == [2] * groups
    assert [len(group.score) for group in pairs.mated] == [1] * groups
    assert (len(pairs.everyone.score), len(pairs.everyone_mated.score)) == (2 * groups + 1, groups)
    score = loaded.scores["score"]
    for g, own in enumerate(pairs.nonmated):
        assert own.score.tolist() == [score[groups + g], score[2 * groups + g]]
    assert not pairs.everyone.mated and pairs.everyone_mated.mated


def independent(name, errors, trials, *, mated=False):
    """Pairs of which so many are errors at 0.5, no two of one person."""
    wrong = np.arange(trials) < errors
    score = np.where(wrong != mated, 0.9, 0.1)
    first = 2 * np.arange(trials)
    subject = np.stack([first, first + (not mated)], axis=1)
    return GroupPairs.of(name, score, subject, mated=mated)


def pairs_of(*nonmated, everyone=None, mated=()):
    whole = everyone or independent("everyone", 5, 1000)
    return thresholds._Pairs(
        [*nonmated], [*mated], whole, independent("everyone", 5, 100, mated=True), sign=1
    )


WORST, OVERALL = Wish(0.02, worst_group=True), Wish(0.02, worst_group=False)


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ([0, 1], "Check: on other people the target holds for every group."),
        ([0, 20], "too few data to confirm it for b."),
        ([0, 80], "Check: on other people the target does NOT hold for b."),
        ([20, 80], "the target does NOT hold for b."),
        ([60, 80], "the target does NOT hold for a, b."),
        ([20, 18], "too few data to confirm it for a, b."),
    ],
)
def test_a_check_of_every_group_in_words(errors, said):
    groups = [independent(name, n, 1000) for name, n in zip("ab", errors, strict=True)]
    assert thresholds._checked(pairs_of(*groups), 0.5, WORST).endswith(said)


def test_a_group_without_pairs_is_not_confirmed():
    empty = GroupPairs.of("b", np.zeros(0), np.zeros((0, 2), int), mated=False)
    said = thresholds._checked(pairs_of(independent("a", 0, 1000), empty), 0.5, WORST)
    assert said.endswith("too few data to confirm it for b.")


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        (2, "Check: on other people the overall FMR is 0.2 %, and below the target."),
        (20, "Check: on other people the overall FMR is 2 %, not clearly on either side."),
        (60, "the overall FMR is 6 %, above the target: the threshold does not hold there."),
    ],
)
def test_a_check_of_the_overall_rate_in_words(errors, said):
    pairs = pairs_of(everyone=independent("everyone", errors, 1000))
    assert thresholds._checked(pairs, 0.5, OVERALL).endswith(said)


@pytest.mark.parametrize("wish", [WORST, OVERALL])
def test_a_check_is_as_sure_on_each_side_as_the_bounds_are(wish):
    """The smallest count that breaks the target is where the one-sided lower bound passes it."""
    sure = replace(wish, confidence=0.9)

    def breaks(errors):
        group = independent("a", errors, 1000)
        said = thresholds._checked(pairs_of(group, everyone=group), 0.5, sure)
        return "does NOT hold" in said or "does not hold" in said

    def low(errors):
        return independent("a", errors, 1000).rate(0.5).interval(level=0.8)[0]

    first = next(errors for errors in range(15, 60) if low(errors) > 0.02)
    assert breaks(first) and not breaks(first - 1)


def test_people_who_are_one_say_nothing_on_a_check():
    star = np.array([[0, k] for k in range(1, 10)])  # one person is on all pairs
    together = GroupPairs.of("everyone", np.linspace(0, 1, 9), star, mated=False)
    assert thresholds._checked(pairs_of(everyone=together), 0.5, OVERALL) == (
        "Check: the other table has too few people to tell."
    )


def test_groups_above_the_target_are_named_where_the_overall_rate_is_kept():
    low, high = independent("a", 1, 1000), independent("b", 30, 1000)
    assert thresholds._first_words(pairs_of(low), 0.5, 0.5, OVERALL) == (
        "There the overall FMR on this table is at most 2 %."
    )
    assert thresholds._first_words(pairs_of(low, high), 0.5, 0.5, OVERALL).endswith(
        "; it may be higher for b: --worst-group takes care of that."
    )


def test_the_group_that_pays_most_is_named_with_its_points():
    mated = [independent(name, n, 100, mated=True) for name, n in (("a", 3), ("b", 7))]
    pairs = pairs_of(independent("a", 0, 1000), independent("b", 0, 1000), mated=mated)
    said = thresholds._first_words(pairs, 0.5, 0.05, WORST)
    assert "the chance that it is higher for any group is 5% at most." in said
    assert said.endswith(
        "It costs b most: 7 points more of its mated pairs are rejected than at 0.05, which "
        "holds the overall FMR alone."
    )
    for plain in (0.5, 0.6):  # nothing was moved, or the other way
        assert "costs" not in thresholds._first_words(pairs, 0.5, plain, WORST)


def table_of(wish, threshold=0.5, plain=0.05):
    measures = []
    mated = [independent("a", 10, 100, mated=True)]
    pairs = pairs_of(independent("a", 30, 1000), mated=mated)
    return thresholds._table("T", pairs, threshold, plain, wish, measures, "check"), measures


def test_a_table_has_everyone_first_and_the_cost_where_groups_are_held():
    table, measures = table_of(WORST)
    assert table.columns[3:5] == ["at most, 95% sure, %", "that is, of 2 %"]
    assert table.columns[-1] == "FNMR for it, points" and "FNMR for it" in table.note
    everyone, group = table.rows
    assert everyone[:3] == ["everyone", "5 of 1,000", "0.5"] and everyone[4] == "below"
    assert group[:3] == ["a", "30 of 1,000", "3"] and group[4:] == ["above", "10", "+10"]
    assert [(m.name, m.group) for m in measures[:4]] == [
        (name, {}) for name in ("fmr", "fmr_upper_bound", "fnmr", "fnmr_cost")
    ]
    cost = measures[-1]
    assert (cost.value, cost.n, cost.n_errors, cost.at) == (0.1, 100, 10, "check")
    assert cost.interval[0] < 0.1 < cost.interval[1] and measures[4].group == {"group": "a"}
    bound = measures[5]
    assert bound.value == upper_bound(independent("a", 30, 1000).rate(0.5), confidence=0.95)
    assert (bound.level, bound.interval) == (0.95, None)


def test_a_lower_threshold_gains_what_a_higher_one_costs():
    (up, down) = (table_of(WORST, *ends)[1][-1] for ends in ((0.5, 0.05), (0.05, 0.5)))
    assert down.value == -up.value == -0.1
    assert down.interval == (-up.interval[1], -up.interval[0])


def test_without_groups_to_hold_there_is_no_cost_in_the_table():
    table, measures = table_of(OVERALL)
    assert "FNMR for it, points" not in table.columns and "FNMR for it" not in table.note
    assert [len(row) for row in table.rows] == [6, 6] and len(measures) == 8


def test_a_bound_at_the_target_is_below_it():
    bound = upper_bound(independent("a", 30, 1000).rate(0.5), confidence=0.95)
    exactly, _ = table_of(Wish(bound, worst_group=True))
    just, _ = table_of(Wish(bound * (1 - 1e-9), worst_group=True))
    assert (exactly.rows[1][4], just.rows[1][4]) == ("below", "above")


def test_the_order_of_rows_and_the_names_of_groups_change_nothing(loaded):
    wish = Wish(0.02, worst_group=True)
    plain = choose(loaded, "score", wish, source="a.csv")
    order = np.random.default_rng(3).permutation(len(loaded))
    shuffled = choose(loaded.take(order), "score", wish, source="a.csv")
    assert shuffled.answer == plain.answer and shuffled.tables[0].rows == plain.tables[0].rows
    back = replace(loaded, groups=loaded.groups[::-1], group=3 - loaded.group)
    turned = choose(back, "score", wish, source="a.csv")
    assert turned.answer == plain.answer
    assert turned.tables[0].rows[1:] == plain.tables[0].rows[:0:-1]


def test_the_protocol_and_the_limits_of_a_choice(loaded):
    noted = replace(loaded, has_subjects=False, notes=("Odd.",))
    found = choose(noted, "score", Wish(0.02, worst_group=False, confidence=0.9), source="a.csv")
    protocol = found.results.protocol
    assert (protocol["fmr_max"], protocol["confidence"], protocol["rule"]) == (
        0.02,
        0.9,
        "overall rate",
    )
    assert protocol["accept"] == "at least" and protocol["groups"] == list(loaded.groups)
    odd, sure, held = found.results.limits
    assert odd == "Odd." and sure.startswith("a.csv: the pairs are taken for independent")
    assert held.startswith("A threshold holds for people and images like those")
    turned = choose(replace(loaded, distances=("score",)), "score", WORST, source="a.csv")
    assert turned.results.protocol["accept"] == "at most"
    assert turned.results.protocol["rule"] == "every group's upper bound"
    assert turned.results.protocol["overall_threshold"] < 0


def test_a_group_without_non_mated_pairs_is_refused():
    loaded = few()
    kept = loaded.take(loaded.mated | (loaded.group != 1).any(axis=1))
    with pytest.raises(UserError, match=r"^a\.csv: 'b' has no non-mated pairs within it\."):
        choose(kept, "score", Wish(0.5, worst_group=False), source="a.csv")


def test_a_target_below_one_pair_is_refused_with_the_table(loaded):
    with pytest.raises(UserError, match=r"^a\.csv: insufficient data"):
        choose(loaded, "score", Wish(1e-9, worst_group=False), source="a.csv")


def test_too_few_pairs_say_the_rate_and_the_people_that_would_do():
    few, more = independent("a", 0, 50), independent("b", 0, 1000)
    bound = upper_bound(few.rate(0.5), confidence=0.95)
    said = thresholds._too_few(pairs_of(more, few), WORST, "Too few.")
    ask, people = re.search(
        r"--fmr-max ([\d.]+), or collect about ([\d,]+) people of a", said
    ).groups()
    assert bound <= float(ask) < bound * 1.1 and said.startswith("Too few. Ask for ")
    assert int(people.replace(",", "")) > 100 and said.endswith("people of a (now 100).")


def test_one_person_in_both_tables_is_refused_by_name():
    one, other = few(), few(names=tuple(f"q{k}" for k in range(8)))
    names = ("a.csv", "b.csv")
    refuse_shared_people(one, other, names, "no")
    shared = few(names=("p0", *(f"q{k}" for k in range(1, 8))))
    with pytest.raises(UserError, match=r"^1 person is in a.csv and in b.csv, such as 'p0': no;"):
        refuse_shared_people(one, shared, names, "no")
    with pytest.raises(UserError, match=r"^a.csv does not say who is on its pairs"):
        refuse_shared_people(replace(one, has_subjects=False), other, names, "no")


@pytest.mark.parametrize("confidence", [0.5, 1.0, float("nan")])
def test_a_confidence_is_above_one_half(confidence):
    with pytest.raises(UserError, match="must be above 0.5 and below 1"):
        Wish(0.1, worst_group=True, confidence=confidence)
    assert Wish(0.1, worst_group=True, confidence=0.51).level == 0.95


def test_people_without_a_pair_are_not_the_tables():
    loaded = few()
    assert people_of(loaded) == [f"p{k}" for k in range(8)]
    assert people_of(loaded.take(np.array([0]))) == ["p0"]
