"""Intersections: every one is there, the planted one is found, and thin ones say so."""

import re
from dataclasses import replace

import numpy as np
import pytest

from fairjax.audit import intersections
from fairjax.audit.intersections import TOO_FEW, Cell
from fairjax.audit.loaded import Loaded
from fairjax.audit.tables import InputError
from fairjax.core.verdict import ALPHA, LARGEST_RATIO
from fairjax.metrics.clustered import ClusteredRate, clustered_rate

OPTIONS = dict(fmr=None, threshold=0.0, smallest=8, level=0.95, seed=0)


def made_up(seed, *, ratio=1.0, people=160, images=4):
    """Race a to c, gender f and m; race b and gender m has `ratio` times the FNMR of 5 %."""
    rng = np.random.default_rng(seed)
    race, gender = np.arange(people) % 3, np.arange(people) // 3 % 2
    race[:4], gender[:4] = 3, 0  # four people of a fourth race
    true = np.where((race == 1) & (gender == 1), 0.05 * ratio, 0.05)
    person = np.repeat(np.arange(people), images * (images - 1) // 2)
    wrong = rng.random(len(person)) < true[person]
    couple = np.stack(np.triu_indices(people, 1), axis=1)
    false = rng.random(len(couple)) < 0.02
    subject = np.concatenate([np.stack([person, person], axis=1), couple])
    score = np.concatenate([np.where(wrong, -1.0, 1.0), np.where(false, 1.0, -1.0)])
    shared = dict(
        scores={"s": score},
        mated=subject[:, 0] == subject[:, 1],
        subject=subject,
        fold=np.zeros(len(score), np.int64),
        has_subjects=True,
        has_images=True,
    )
    return {
        "race": Loaded(by="race", groups=("a", "b", "c", "d"), group=race[subject], **shared),
        "gender": Loaded(by="gender", groups=("f", "m"), group=gender[subject], **shared),
    }


@pytest.fixture(scope="module")
def planted():
    loaded = made_up(0, ratio=6.0)
    return loaded, intersections.measure(loaded, "s", **OPTIONS)


def test_every_intersection_is_counted_by_hand(planted):
    loaded, found = planted
    first = loaded["race"]
    wrong = first.scores["s"] < 0
    for race in range(3):
        for gender in range(2):
            mine = (loaded["race"].group == race) & (loaded["gender"].group == gender)
            rows = mine.all(axis=1) & first.mated
            name = dict(race="abc"[race], gender="fm"[gender])
            m = found.results.get("fnmr", at="threshold 0", **name)
            assert m.n == rows.sum() and m.n_errors == (wrong & rows).sum()
            rows = mine.all(axis=1) & ~first.mated
            assert found.results.get("fmr", at="threshold 0", **name).n == rows.sum()
    assert len([m for m in found.results.measures if m.name == "fnmr"]) == 4 + 2 + 7
    assert found.results.get("fnmr", at="threshold 0", gender="f").n > 0


def test_the_planted_intersection_is_named(planted):
    _, found = planted
    assert "Most false non-matches: b, m." in found.answer
    row = next(row for row in found.tables[1].rows if row[0] == "b, m")
    assert row[-1] == "higher"
    p = found.results.get(
        "fnmr_against_others_p_value_holm", at="threshold 0", race="b", gender="m"
    )
    assert p.value < 1e-3 and "Holm" in p.rule
    shrunk = found.results.get("fnmr_shrunk", at="threshold 0", race="b", gender="m")
    plain = found.results.get("fnmr", at="threshold 0", race="b", gender="m")
    assert 0.05 < shrunk.value < plain.value
    assert (
        found.results.get("fnmr_chance_worst", at="threshold 0", race="b", gender="m").value > 0.95
    )


def test_few_people_are_too_few_to_say(planted):
    _, found = planted
    for table in found.tables:
        row = next(row for row in table.rows if row[0] == "d")
        assert row[-1] == "too few to say" and row[4] == "–"
    assert "Too few to say for" in found.sentences[1]


def test_fair_tables_show_nothing_or_hardly_ever():
    shown = 0
    for seed in range(4):
        found = intersections.measure(made_up(seed, people=90), "s", **OPTIONS)
        p = [m.value for m in found.results.measures if m.name.endswith("_p_value_holm")]
        shown += min(value for value in p if value is not None) <= 0.05
    assert shown <= 1


def test_a_target_finds_the_threshold_and_distances_are_told_as_distances():
    loaded = made_up(0)
    found = intersections.measure(loaded, "s", **{**OPTIONS, "fmr": 0.05, "threshold": None})
    assert found.results.protocol["at"] == "FMR 5e-2"
    assert found.results.protocol["threshold"] == 1.0
    turned = {key: replace(one, distances=("s",)) for key, one in loaded.items()}
    found = intersections.measure(turned, "s", **{**OPTIONS, "threshold": 0.5})
    assert found.results.protocol["threshold"] == 0.5
    assert {m.threshold for m in found.results.measures} == {0.5}
    with pytest.raises(InputError, match=re.escape("--fmr 1e-09: insufficient data")):
        intersections.measure(loaded, "s", **{**OPTIONS, "fmr": 1e-9, "threshold": None})


def test_people_of_unknown_group_are_in_no_intersection():
    loaded = made_up(0)
    group = loaded["gender"].group.copy()
    group[group == 1] = -1
    loaded["gender"] = replace(loaded["gender"], group=group)
    found = intersections.measure(loaded, "s", **OPTIONS)
    assert found.results.find("fnmr", {"gender": "m"}, at="threshold 0") is None


def attribute(by, groups, group, **changes):
    """Pairs by one attribute, of people who are all different."""
    group = np.asarray(group)
    rows = len(group)
    whole = dict(
        scores={"s": np.linspace(0, 1, rows)},
        mated=np.arange(rows) % 2 == 0,
        subject=np.arange(2 * rows).reshape(rows, 2),
        fold=np.zeros(rows, np.int64),
        has_subjects=True,
        has_images=True,
    )
    return Loaded(by=by, groups=tuple(groups), group=group, **{**whole, **changes})


def parts(**codes):
    """What `_partitions` makes of the attributes' groups "0", "1", ... by code."""
    loaded = {
        by: attribute(by, map(str, range(np.max(code) + 1)), code) for by, code in codes.items()
    }
    return [
        (names, code.tolist(), labels) for names, code, labels in intersections._partitions(loaded)
    ]


def test_attributes_meet_one_two_and_three_at_a_time():
    a, b, c = [[0, 1]], [[1, 0]], [[0, 0]]
    names = [names for names, _, _ in parts(a=a, b=b, c=c)]
    assert names == [
        ("a",),
        ("b",),
        ("c",),
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
        ("a", "b", "c"),
    ]
    *_, (_, code, labels) = parts(a=a, b=b, c=c)
    assert [labels[k] for k in code[0]] == [("0", "1", "0"), ("1", "0", "0")]


def test_only_intersections_that_are_there_have_a_number_and_unknown_people_have_none():
    a, b = [[0, 0], [1, -1], [1, 1]], [[1, 1], [0, 0], [2, -1]]
    (_, one, own), _, (names, code, labels) = parts(a=a, b=b)
    assert (one, own) == ([[0, 0], [1, -1], [1, 1]], [("0",), ("1",)])
    assert names == ("a", "b") and labels == [("0", "1"), ("1", "0"), ("1", "2")]
    assert code == [[0, 0], [1, -1], [2, -1]]


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_all_intersections_of_two_three_and_eight_groups_are_there(groups):
    people = np.arange(2 * groups)
    code = np.stack([people % groups] * 2, axis=1)
    other = np.stack([people // groups] * 2, axis=1)
    *_, (_, meet, labels) = parts(a=code, b=other)
    assert len(labels) == len(set(labels)) == 2 * groups
    for person in people:
        own = labels[meet[person][0]]
        assert own == (str(person % groups), str(person // groups))


@pytest.mark.parametrize(("most", "fits"), [(2 + 2 + 3, True), (2 + 2 + 3 - 1, False)])
def test_more_intersections_than_anybody_reads_are_refused(monkeypatch, most, fits):
    monkeypatch.setattr(intersections, "_MOST", most)
    a, b = [[0, 0], [0, 0], [1, 1]], [[0, 0], [1, 1], [1, 1]]
    if fits:
        assert len(parts(a=a, b=b)) == 3
        return
    with pytest.raises(InputError, match=r"more than 6 intersections; give fewer attributes, or"):
        parts(a=a, b=b)


def rate_of(errors, trials, *, first=0):
    """A rate over people who are on one pair each."""
    people = first + np.arange(trials)
    wrong = np.arange(trials) < errors
    return clustered_rate(wrong, np.stack([people, people], axis=1))


def cell(errors=5, trials=50, *, people=None, others=0.1, **changes):
    people = trials if people is None else people
    return Cell({"a": "x"}, rate_of(errors, trials), people, others, 0.5, 2.0, **changes)


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"p_adjusted": 0.5}, "not shown"),
        ({"p_adjusted": np.nan}, TOO_FEW),
        ({"p_adjusted": ALPHA}, "higher"),
        ({"p_adjusted": ALPHA, "others": 0.11}, "lower"),
        ({"p_adjusted": ALPHA + 1e-9}, "not shown"),
        ({"p_adjusted": 0.01, "people": 7}, TOO_FEW),
        ({"p_adjusted": 0.01, "people": 8}, "higher"),
        ({"p_adjusted": 0.5, "detectable": None}, TOO_FEW),
        ({"p_adjusted": 0.5, "detectable": LARGEST_RATIO}, "not shown"),
        ({"p_adjusted": 0.5, "detectable": LARGEST_RATIO + 0.1}, TOO_FEW),
        ({"p_adjusted": 0.01, "detectable": None}, "higher"),
    ],
)
def test_an_intersection_is_shown_not_shown_or_too_small(changes, answer):
    one = replace(cell(6, 60, others=0.09), **changes)
    assert intersections._answer(one, 8) == answer


def test_both_rates_are_adjusted_for_each_other_by_hand():
    cells = {
        "fmr": [replace(cell(), p=0.01), replace(cell(), p=np.nan), replace(cell(), p=0.04)],
        "fnmr": [replace(cell(), p=0.03)],
    }
    found = intersections._adjusted(cells)
    assert [c.p_adjusted for c in found["fmr"]] == pytest.approx([0.03, np.nan, 0.06], nan_ok=True)
    assert [c.p_adjusted for c in found["fnmr"]] == [0.06]
    assert [c.p for c in found["fmr"]][::2] == [0.01, 0.04]


SETTING = intersections._Setting("threshold 0", 0.0, "given", 8, 0.9, 0)


def test_rates_are_drawn_together_and_the_smaller_one_further():
    cells = [cell(20, 100), cell(2, 10), cell(3, 300), cell(1, 7, people=7)]
    one, two, three, few = intersections._shrunk(cells, SETTING)
    middle = 25 / 410
    assert middle < one.shrunk < one.rate.rate and three.rate.rate < three.shrunk < middle
    assert abs(two.shrunk - two.rate.rate) > abs(one.shrunk - one.rate.rate)
    assert one.worst > 10 * three.worst and one.worst + two.worst + three.worst == pytest.approx(1)
    for one_cell in (one, two, three):
        low, high = one_cell.shrunk_interval
        assert low < one_cell.shrunk < high
    assert np.isnan(few.shrunk) and few.shrunk_interval is None and np.isnan(few.worst)


@pytest.mark.parametrize("cells", [[cell()], [cell(), cell(1, 7, people=7)], []])
def test_one_intersection_alone_has_nothing_to_be_drawn_to(cells):
    assert intersections._shrunk(cells, SETTING) == cells


def test_nothing_is_known_without_an_error_or_with_errors_alone():
    some, none, all_wrong = rate_of(3, 30), rate_of(0, 30), rate_of(30, 30)
    known = intersections._known(some, none)
    assert known.pooled == pytest.approx(3 / 60)
    assert known.freedom == 58  # effective people of both, less two
    assert intersections._known(none, none) is None
    assert intersections._known(all_wrong, all_wrong) is None
    assert intersections._known(all_wrong, none).pooled == pytest.approx(0.5)


def worded(*cells):
    return intersections._words("fnmr", cells, 8)


HIGH = cell(20, 100, others=0.05, p_adjusted=0.001, shrunk=0.19)
PLAIN = replace(cell(5, 100, p_adjusted=0.9, shrunk=0.06), group={"a": "y", "b": "z"})
FEW = replace(cell(1, 7, people=7), group={"a": "w"})


def test_the_answer_names_the_worst_or_says_that_none_is_shown():
    answer, reason = worded(HIGH, PLAIN, FEW)
    assert answer == "Most false non-matches: x."
    assert reason == (
        "False non-matches: 1 of 3 intersections are shown to have more than everybody else; first "
        "x with 20 % (p 0.001). Too few to say for 1 of 3 intersections, such as w."
    )
    answer, reason = worded(FEW, PLAIN)
    assert answer == (
        "Most false non-matches: no intersection is shown to be worse than everybody else."
    )
    assert (
        "the highest is y, z with 5 %, which may be bad luck. Too few to say for 1 of 2" in reason
    )
    assert worded(PLAIN)[1].endswith("which may be bad luck.")
    assert worded(FEW) == (
        f"Most false non-matches: {TOO_FEW}.",
        "False non-matches: Too few to say for 1 of 1 intersections, such as w.",
    )
    assert intersections._words("fmr", [PLAIN], 8)[0].startswith("Most false matches: no ")


def test_a_row_of_the_table_by_hand():
    table = intersections._table("fmr", [HIGH, FEW], SETTING, 5)
    assert table.title == "False matches by intersection, highest first"
    assert table.columns[3] == "FMR, %" and table.columns[5] == "90% interval"
    high = replace(HIGH, shrunk_interval=(0.15, 0.25), worst=0.987)
    (row,) = intersections._table("fnmr", [high], SETTING, 5).rows
    assert row == ["x", "100", "20 of 100", "20", "19", "15 to 25", "99%", "0.001", "higher"]
    assert table.rows[1] == ["w", "7", "1 of 7", "14.3", "–", "–", "–", "–", TOO_FEW]
    assert "for all 5 comparisons" in table.note and "fewer than 8 people" in table.note


def test_the_numbers_of_an_intersection_for_results():
    high = replace(HIGH, shrunk_interval=(0.15, 0.25), worst=0.9)
    plain, shrunk, worst, p = intersections._measures("fnmr", high, SETTING, 0.0, 5)
    assert (plain.name, plain.value, plain.n, plain.n_errors) == ("fnmr", 0.2, 100, 20)
    assert plain.interval == HIGH.rate.interval(level=0.9) and plain.level == 0.9
    assert plain.group == {"a": "x"} and plain.n_clusters == 100
    assert (plain.at, plain.threshold, plain.threshold_source) == ("threshold 0", 0.0, "given")
    assert (shrunk.value, shrunk.interval, shrunk.level) == (0.19, (0.15, 0.25), 0.9)
    assert (worst.name, worst.value, worst.interval) == ("fnmr_chance_worst", 0.9, None)
    assert (p.value, p.note) == (0.001, "") and "adjusted for 5 comparisons" in p.rule
    *_, untested = intersections._measures("fnmr", FEW, SETTING, 0.0, 5)
    assert (untested.value, untested.note) == (None, TOO_FEW)
    empty = Cell({"a": "v"}, ClusteredRate(0, 0, 0, 0, np.nan), 0, np.nan, np.nan, None)
    nothing, *_ = intersections._measures("fnmr", empty, SETTING, 0.0, 5)
    assert (nothing.value, nothing.interval, nothing.level, nothing.method) == (None,) * 3 + ("",)


def small(groups=2, people=24, seed=0):
    """Pairs by two attributes, one of so many groups, of people with three images each."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), 3)
    couples = np.stack(np.triu_indices(people, 1), axis=1)
    subject = np.concatenate([np.stack([person, person], axis=1), couples])
    mated = subject[:, 0] == subject[:, 1]
    shared = dict(
        scores={"s": np.where(mated, 1.0, 0.0) + rng.normal(0, 0.5, len(mated)).round(3)},
        mated=mated,
        subject=subject,
        fold=np.zeros(len(mated), np.int64),
    )
    return {
        "a": attribute("a", "pqrstuvw"[:groups], subject % groups, **shared),
        "b": attribute("b", "xy", subject // groups % 2, **shared),
    }


AT = {**OPTIONS, "threshold": 0.5, "smallest": 2}


@pytest.fixture
def few_draws(monkeypatch):
    """So that a test of small tables is quick; p-values are rougher, and counts the same."""
    monkeypatch.setattr(intersections, "_DRAWS", 2000)
    monkeypatch.setattr(intersections, "_MORE_DRAWS", 4000)


def numbers(found):
    return {(m.name, *sorted(m.group.items())): (m.value, m.n, m.n_errors) for m in found.measures}


@pytest.mark.usefixtures("few_draws")
@pytest.mark.parametrize("groups", [2, 3, 8])
def test_two_three_and_eight_groups_are_counted_independently(groups):
    loaded = small(groups)
    found = numbers(intersections.measure(loaded, "s", **AT).results)
    a, b = loaded["a"], loaded["b"]
    for g in range(groups):
        for h in range(2):
            own = (a.group == g).all(axis=1) & (b.group == h).all(axis=1)
            wrong = a.scores["s"] < 0.5
            key = (("a", "pqrstuvw"[g]), ("b", "xy"[h]))
            assert found["fnmr", *key][1:] == ((own & a.mated).sum(), (wrong & own & a.mated).sum())
            rows = own & ~a.mated
            assert found["fmr", *key][1:] == (rows.sum(), (~wrong & rows).sum())
    assert len([key for key in found if key[0] == "fmr"]) == groups + 2 + 2 * groups


@pytest.mark.usefixtures("few_draws")
def test_the_order_of_rows_and_the_names_of_groups_change_nothing():
    loaded = small(3)
    plain = intersections.measure(loaded, "s", **AT)
    order = np.random.default_rng(1).permutation(len(loaded["a"]))
    turned = {by: one.take(order) for by, one in loaded.items()}
    shuffled = intersections.measure(turned, "s", **AT)
    assert numbers(shuffled.results) == numbers(plain.results)
    assert shuffled.answer == plain.answer
    renamed = {**loaded, "b": replace(loaded["b"], groups=("long", "short"))}
    other = numbers(intersections.measure(renamed, "s", **AT).results)
    names = {"x": "long", "y": "short"}
    for (name, *group), value in numbers(plain.results).items():
        named = [(by, names.get(label, label)) for by, label in group]
        assert other[(name, *named)] == value


@pytest.mark.usefixtures("few_draws")
def test_distances_give_the_numbers_of_scores_with_the_other_sign():
    loaded = small()
    plain = intersections.measure(loaded, "s", **AT).results
    held = {by: replace(one, distances=("s",)) for by, one in loaded.items()}
    turned = intersections.measure(held, "s", **{**AT, "threshold": -0.5}).results
    assert numbers(turned) == numbers(plain)
    assert (turned.protocol["threshold"], turned.protocol["at"]) == (-0.5, "threshold -0.5")


@pytest.mark.usefixtures("few_draws")
def test_limits_are_said_once_and_nameless_pairs_have_one_more():
    loaded = {by: replace(one, notes=("Odd.", by)) for by, one in small().items()}
    assert intersections.measure(loaded, "s", **AT).results.limits == ["Odd.", "a", "b"]
    nameless = {by: replace(one, has_subjects=False) for by, one in small().items()}
    (limit,) = intersections.measure(nameless, "s", **AT).results.limits
    assert limit.startswith("The pairs name no people: intervals are too narrow")


@pytest.mark.parametrize(("threshold", "said"), [(9.0, "9 lies outside"), (-9.0, "-9 lies out")])
def test_a_threshold_outside_the_scores_is_refused(threshold, said):
    with pytest.raises(InputError, match=f"^--threshold {said}"):
        intersections.measure(small(), "s", **{**AT, "threshold": threshold})


@pytest.mark.usefixtures("few_draws")
def test_the_protocol_says_what_was_chosen():
    protocol = intersections.measure(
        small(), "s", **{**AT, "seed": 3, "level": 0.9}
    ).results.protocol
    assert protocol["attributes"] == ["a", "b"] and protocol["threshold_source"] == "given"
    assert (protocol["smallest"], protocol["level"], protocol["seed"]) == (2, 0.9, 3)
    assert protocol["compared"] == 2 * (2 + 2 + 4)
