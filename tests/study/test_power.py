"""The forecast of a study against textbook power, and against the study's own tests."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from fairjax.config import Claim, Column, Row, Spread, Study
from fairjax.study.numbers import LEVEL, ClaimResult, adjust, combined
from fairjax.study.power import (
    POWER,
    Forecast,
    forecast,
    lines,
    people_needed,
    power,
    resolvable,
    seeds_needed,
)

SPREAD = Spread(seeds=1.0, people=0.5, source="three earlier seeds")


def test_with_people_alone_the_power_is_that_of_a_z_test():
    still = Spread(seeds=0.0, people=2.0, source="")
    expected = stats.norm.sf(stats.norm.isf(0.025) - 3.0 / 2.0)
    found = power(3.0, still, seeds=5, resamples=10_000, level=0.05)
    assert found == pytest.approx(expected, abs=0.02)
    reach = resolvable(still, seeds=5, resamples=10_000, level=0.05)
    expected = 2.0 * (stats.norm.isf(0.025) + stats.norm.isf(1 - POWER))
    assert reach == pytest.approx(expected, rel=0.02)


def test_with_trainings_alone_the_power_is_that_of_a_t_test():
    wild = Spread(seeds=1.0, people=1e-9, source="")
    for seeds, distance in ((3, 2.0), (8, 1.0)):
        reached = distance * seeds**0.5
        critical = stats.t.isf(0.025, seeds - 1)
        expected = stats.nct.sf(critical, seeds - 1, reached)
        found = power(distance, wild, seeds=seeds, resamples=200, level=0.05)
        assert found == pytest.approx(expected, abs=0.025)


def test_the_forecast_agrees_with_the_tests_that_the_study_makes():
    """Whole studies, drawn from the model and decided by the study's own code."""
    rng = np.random.default_rng(1)
    claim = Claim("a", "x", "y", "c", "higher", family="f")
    other = ClaimResult(Claim("b", "x", "y", "d", "higher", family="f"), None, 0.0, p_value=0.9)
    seeds, resamples, truth = 4, 50, 3.5
    decided = []
    for _ in range(400):
        people = rng.normal(0, SPREAD.people)
        differences = truth + people + rng.normal(0, SPREAD.seeds, seeds)
        resampled = np.tile(rng.normal(0, SPREAD.people, resamples), (seeds, 1))
        estimate = combined(differences.tolist(), resampled)
        result = ClaimResult(claim, None, estimate.mean, p_value=estimate.p_value(0.0))
        decided.append(adjust([result, other])[0].verdict == "holds")
    level = (1 - LEVEL) / 2
    expected = power(truth, SPREAD, seeds=seeds, resamples=resamples, level=level)
    assert 0.3 < expected < 0.97, "a case that tells"
    assert np.mean(decided) == pytest.approx(expected, abs=0.07)


def test_nothing_is_found_where_nothing_is_more_often_than_half_the_level():
    assert power(0.0, SPREAD, seeds=3, resamples=200, level=0.05) <= 0.025 + 0.008


def test_more_seeds_people_and_fewer_claims_resolve_more():
    base = resolvable(SPREAD, seeds=3, resamples=200, level=0.05)
    assert resolvable(Spread(0.0, 0.0, ""), seeds=3, resamples=200, level=0.05) == 0
    assert resolvable(SPREAD, seeds=6, resamples=200, level=0.05) < base
    assert resolvable(SPREAD, seeds=3, resamples=200, level=0.05 / 24) > base
    assert resolvable(Spread(1.0, 0.1, ""), seeds=3, resamples=200, level=0.05) < base


def test_the_seeds_that_are_named_suffice_and_one_fewer_do_not():
    seeds = seeds_needed(1.8, SPREAD, resamples=200, level=0.05)
    assert seeds is not None
    assert power(1.8, SPREAD, seeds=seeds, resamples=200, level=0.05) >= POWER
    assert power(1.8, SPREAD, seeds=seeds - 1, resamples=200, level=0.05) < POWER


def test_no_number_of_seeds_makes_up_for_too_few_people():
    few = Spread(seeds=0.1, people=1.0, source="")
    assert seeds_needed(0.5, few, resamples=200, level=0.05) is None
    factor = people_needed(0.5, few, seeds=5, resamples=200, level=0.05)
    # A z test of 2.8 standard errors needs (2.8 x 1.0 / 0.5)^2 = 31 times the people, and the
    # trainings' part a little more.
    assert 30 < factor < 45


def example(*, published=(90.0, 92.0), seeds=3, spreads=None, direction="higher", margin=0.0):
    return Study(
        title="",
        source="",
        rows=(
            Row("x", published={"Accuracy": published[1]} if published else {}),
            Row("y", published={"Accuracy": published[0]} if published else {}),
        ),
        columns=(Column("Accuracy", "accuracy"),),
        claims=(Claim("x is better.", "x", "y", "Accuracy", direction, margin=margin),),
        seeds=tuple(range(seeds)),
        spreads={"Accuracy": SPREAD} if spreads is None else spreads,
    )


def test_a_study_that_is_too_small_says_so_and_what_it_would_take():
    (said,) = forecast(example())
    assert said.suffices is False
    assert said.resolves > said.published == 2.0
    assert said.seeds > 3
    text = str(said)
    assert "TOO LITTLE for the paper's 2" in text
    assert f"{said.seeds} seeds" in text


def test_one_that_suffices_names_the_papers_difference():
    (said,) = forecast(example(seeds=12))
    assert said.suffices
    assert str(said).endswith("the paper's is 2.")
    assert "three earlier seeds" in str(said)


def test_without_a_spread_or_a_published_number_nothing_is_made_up():
    (said,) = forecast(example(spreads={}))
    assert (said.resolves, said.suffices) == (None, None)
    assert str(said) == "x is better: not known, as the spread of 'Accuracy' is not."
    (said,) = forecast(example(published=None))
    assert said.suffices is None
    assert str(said).endswith("the paper prints no difference of that sign.")


def test_a_margin_widens_what_is_to_be_found_and_a_paper_on_the_wrong_side_has_nothing():
    (said,) = forecast(example(margin=3.0))
    assert said.published == 5.0, "2 above, and 3 of margin"
    (said,) = forecast(example(direction="lower"))
    assert said.published is None


def test_the_lines_say_what_is_counted():
    assert lines([]) == []
    assert lines(forecast(example(spreads={}))) == []
    assert lines(forecast(example()))[0].startswith("What this study can find")


def test_with_one_seed_the_test_does_not_know_of_trainings_that_move_all_the_same():
    wild = Spread(seeds=3.0, people=1.0, source="")
    found = power(0.0, wild, seeds=1, resamples=10_000, level=0.05)
    assert found == pytest.approx(stats.norm.sf(1.96 / 10**0.5), abs=0.025)


def test_a_claim_is_decided_at_the_level_of_its_own_family():
    base = example()
    claim = base.claims[0]
    others = tuple(replace(claim, text=f"Claim {k}.", family="other") for k in range(5))
    described = tuple(replace(claim, text=f"Note {k}.", descriptive=True) for k in range(4))
    found = forecast(replace(base, claims=(claim, *others, *described)))
    assert [one.claim.text for one in found] == [claim.text, *(one.text for one in others)]
    for one, size in ((found[0], 1), (found[1], 5)):
        level = (1 - LEVEL) / size
        assert one.resolves == resolvable(SPREAD, seeds=3, resamples=200, level=level)


def test_the_difference_that_is_resolved_is_where_the_power_reaches_what_is_wanted():
    asked = dict(seeds=4, resamples=100, level=0.01)
    reach = resolvable(SPREAD, **asked)
    assert power(reach, SPREAD, **asked) >= POWER > power(0.999 * reach, SPREAD, **asked)


def test_twice_the_spread_resolves_twice_the_difference():
    asked = dict(seeds=4, resamples=100, level=0.01)
    wide = Spread(2 * SPREAD.seeds, 2 * SPREAD.people, "")
    expected = 2 * resolvable(SPREAD, **asked)
    assert resolvable(wide, **asked) == pytest.approx(expected, rel=1e-3)


def test_two_seeds_are_the_fewest_and_the_people_at_hand_are_the_least():
    assert seeds_needed(100.0, SPREAD, resamples=200, level=0.05) == 2
    assert people_needed(100.0, SPREAD, seeds=3, resamples=200, level=0.05) == 1.0
    still = Spread(seeds=1.0, people=0.01, source="")  # more people change nothing
    assert people_needed(0.1, still, seeds=2, resamples=200, level=0.05) is None


def test_a_paper_that_is_on_the_bound_or_beyond_it_has_a_distance_of_its_own_sign():
    for direction, published, distance in (
        ("higher", (90.0, 90.0), 0.0),
        ("lower", (92.0, 90.0), 2.0),
        ("lower", (90.0, 92.0), None),
        ("higher", (92.0, 90.0), None),
    ):
        (said,) = forecast(example(direction=direction, published=published))
        assert said.published == distance, (direction, published)


@pytest.mark.parametrize(
    ("seeds", "people", "ways"),
    [
        (7, 2.04, "7 seeds or 2.0 times the people."),
        (7, None, "7 seeds."),
        (None, 3.0, "3.0 times the people."),
        (None, None, "more seeds and more people."),
    ],
)
def test_a_forecast_names_what_it_would_take(seeds, people, ways):
    claim = example().claims[0]
    said = Forecast(claim, resolves=3.14159, published=2.0, seeds=seeds, people=people, source="s")
    assert str(said) == (
        "x is better: 3.1 can be found (s); TOO LITTLE for the paper's 2, which takes " + ways
    )
    assert replace(said, resolves=2.0).suffices is True  # just enough
