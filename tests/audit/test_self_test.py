from dataclasses import replace

import pytest

from fairjax.audit import self_test
from fairjax.audit.self_test import CASES, CaseResult, SelfTestResult, Tally


@pytest.fixture(scope="module")
def outcome():
    return self_test.run(12, seed=0)


def test_planted_gaps_are_found_and_false_claims_are_rare(outcome):
    assert outcome.passed
    large, fair = outcome.cases["large gap"], outcome.cases["none"]
    assert fair.claims <= 3
    for rate in self_test.RATES:
        assert large.tallies[rate].shown >= 10
        assert fair.tallies[rate].shown <= fair.claims
        assert large.tallies[rate].within == fair.tallies[rate].exceeds == 0


def test_a_small_gap_of_rare_errors_is_missed_and_the_audits_say_so(outcome):
    rare = outcome.cases["small gap, rare errors"].tallies
    assert rare["fmr"].shown < 6
    assert rare["fmr"].detectable is None or rare["fmr"].detectable > 4
    assert outcome.cases["none"].tallies["fmr"].detectable < 4
    assert outcome.cases["none, rare errors"].claims <= 3
    shown = self_test.table(outcome)
    assert len(shown.rows) == 2 * len(CASES)
    assert [row[2] for row in shown.rows[::2]] == ["x 6", "none", "x 2", "none"]


@pytest.mark.exhaustive
def test_the_whole_self_test_passes():
    outcome = self_test.run(40, seed=1)
    assert outcome.passed, self_test.table(outcome).rows


LARGE = Tally(shown=95, too_few=0, exceeds=80, within=0, repeats=100)
FAIR = Tally(shown=3, too_few=0, exceeds=0, within=2, repeats=100)


@pytest.mark.parametrize(
    ("large", "fair", "claims", "passed"),
    [
        (LARGE, FAIR, 5, True),
        (replace(LARGE, shown=79), FAIR, 5, False),  # misses what is there
        (LARGE, FAIR, 15, False),  # finds what is not
        (LARGE, replace(FAIR, exceeds=15), 5, False),  # condemns the fair
        (replace(LARGE, exceeds=5, within=40), FAIR, 5, False),  # clears the unfair
    ],
)
def test_it_can_fail(large, fair, claims, passed):
    small = replace(LARGE, shown=2, too_few=90, exceeds=0)
    outcome = SelfTestResult(
        {
            name: CaseResult(
                dict.fromkeys(
                    self_test.RATES,
                    fair if case.is_fair else large if case.must_be_found else small,
                ),
                claims if case.is_fair else 0,
            )
            for name, case in CASES.items()
        }
    )
    assert outcome.most_false == 11
    assert outcome.passed is passed
