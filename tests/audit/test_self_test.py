import pytest

from fairjax.audit import self_test
from fairjax.audit.self_test import SelfTestResult, Tally


def test_planted_gaps_are_found_and_false_claims_are_rare():
    outcome = self_test.run(12, seed=0)
    assert outcome.passed
    for rate in self_test.RATES:
        assert outcome.planted[rate].found >= 10
        assert outcome.fair[rate].found <= 3
        assert outcome.planted[rate].within == outcome.fair[rate].exceeds == 0


@pytest.mark.slow
def test_the_whole_self_test_passes():
    outcome = self_test.run(100, seed=1)
    assert outcome.passed, self_test.table(outcome).rows


@pytest.mark.parametrize(
    ("planted", "fair", "passed"),
    [
        (Tally(95, 80, 0, 100), Tally(5, 0, 2, 100), True),
        (Tally(79, 60, 0, 100), Tally(5, 0, 2, 100), False),  # misses what is there
        (Tally(95, 80, 0, 100), Tally(15, 0, 0, 100), False),  # finds what is not
        (Tally(95, 80, 0, 100), Tally(5, 15, 0, 100), False),  # condemns the fair
        (Tally(95, 5, 40, 100), Tally(5, 0, 2, 100), False),  # clears the unfair
    ],
)
def test_it_can_fail(planted, fair, passed):
    rates = dict.fromkeys(self_test.RATES)
    outcome = SelfTestResult(dict.fromkeys(rates, planted), dict.fromkeys(rates, fair))
    assert outcome.most_false == 11
    assert outcome.passed is passed
