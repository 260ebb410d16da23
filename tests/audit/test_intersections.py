"""Intersections: every one is there, the planted one is found, and thin ones say so."""

import re
from dataclasses import replace

import numpy as np
import pytest

from fairjax.audit import intersections
from fairjax.audit.loaded import Loaded
from fairjax.audit.tables import InputError

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
