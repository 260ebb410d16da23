from dataclasses import replace
from types import SimpleNamespace

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


def outcome_of(repeats=100, claims=0, **changes):
    """The same counts in every case."""
    tally = Tally(shown=90, too_few=1, exceeds=2, within=3, repeats=repeats, detectable=2.345)
    tally = replace(tally, **changes)
    rates = dict.fromkeys(self_test.RATES, tally)
    return SelfTestResult({name: CaseResult(rates, claims) for name in CASES})


@pytest.mark.parametrize(("repeats", "most"), [(12, 2), (40, 6), (100, 11), (1000, 71)])
def test_so_many_false_claims_are_chance(repeats, most):
    assert outcome_of(repeats).repeats == repeats
    assert outcome_of(repeats).most_false == most


def result(large, fair, claims=(0, 0), small=None):
    """Counts of the large gap and of the fair audits; by rate where two are given."""
    cases = {}
    fair_claims = iter(claims)
    for name, case in CASES.items():
        tally = fair if case.is_fair else large if case.must_be_found else small or FAIR
        both = tally if isinstance(tally, tuple) else (tally, tally)
        own = next(fair_claims) if case.is_fair else 100
        cases[name] = CaseResult(dict(zip(self_test.RATES, both, strict=True)), own)
    return SelfTestResult(cases)


@pytest.mark.parametrize(
    ("outcome", "passed"),
    [
        (result(LARGE, FAIR), True),
        (result(LARGE, FAIR, (11, 11)), True),
        (result(LARGE, FAIR, (0, 12)), False),
        (result(LARGE, FAIR, (12, 0)), False),
        (result(replace(LARGE, shown=80), FAIR), True),
        (result((LARGE, replace(LARGE, shown=79)), FAIR), False),
        (result(LARGE, (FAIR, replace(FAIR, exceeds=11))), True),
        (result(LARGE, (FAIR, replace(FAIR, exceeds=12))), False),
        (result(replace(LARGE, within=11), FAIR), True),
        (result((replace(LARGE, within=12), LARGE), FAIR), False),
        (result(LARGE, FAIR, small=replace(FAIR, within=12)), False),
        (result(LARGE, replace(FAIR, within=100)), True),
    ],
)
def test_it_passes_up_to_what_chance_allows(outcome, passed):
    assert outcome.passed is passed


def test_the_table_counts_every_answer_once():
    table = self_test.table(outcome_of(claims=7))
    for row in table.rows:
        assert row[3:] == [
            "90 of 100",
            "1 of 100",
            "2 of 100",
            "3 of 100",
            "95 of 100",
            "x 2.3",
        ]
    assert [row[:3] for row in table.rows] == [
        ["FMR", "1 %", "x 6"],
        ["FNMR", "4 %", "x 5"],
        ["FMR", "1 %", "none"],
        ["FNMR", "4 %", "none"],
        ["FMR", "0.1 %", "x 2"],
        ["FNMR", "1 %", "x 2"],
        ["FMR", "0.1 %", "none"],
        ["FNMR", "1 %", "none"],
    ]
    assert "at most 11 show any" in table.note and "here 7 and 7 showed one" in table.note
    nothing = self_test.table(outcome_of(detectable=None))
    assert {row[-1] for row in nothing.rows} == {"none"}


@pytest.mark.parametrize(
    ("case", "is_fair", "must"),
    [
        ("large gap", False, True),
        ("none", True, False),
        ("small gap, rare errors", False, False),
        ("none, rare errors", True, False),
    ],
)
def test_cases_are_fair_or_planted(case, is_fair, must):
    assert (CASES[case].is_fair, CASES[case].must_be_found) == (is_fair, must)
    planted = replace(CASES["none"].planted, fnmr_ratio=2.0)
    assert not self_test.Case(planted).is_fair


def audited(answer, ratio, verdict):
    """One audit that says this of the FMR, and nothing of the FNMR."""
    claim = SimpleNamespace(answer=answer, detectable_ratio=ratio)
    said = SimpleNamespace(
        get=lambda rate, at: claim if (rate, at) == ("fmr", self_test._AT) else None
    )
    return said, {"fmr": verdict, "fnmr": "within"}


def test_answers_are_tallied_and_the_middle_ratio_is_kept():
    audits = [
        audited("shown", 2.0, "exceeds"),
        audited("shown", 4.0, "inconclusive"),
        audited("too few data", None, "within"),
    ]
    assert self_test._tally("fmr", audits) == Tally(2, 1, 1, 1, 3, 4.0)
    assert self_test._tally("fnmr", audits) == Tally(0, 3, 0, 3, 3, None)
    assert self_test._tally("fmr", audits[1:]).detectable is None  # half of them say none


def test_repeats_are_counted_and_each_has_a_seed_of_its_own(monkeypatch):
    seeds, done = [], []

    def audit(planted, *, seed):
        seeds.append((planted, seed))
        return SimpleNamespace(answer="shown", get=lambda rate, at: None), dict.fromkeys(
            self_test.RATES, "within"
        )

    monkeypatch.setattr(self_test, "_audit", audit)
    found = self_test.run(3, seed=2, progress=done.append)
    assert done == [4, 8, 12] and found.repeats == 3
    assert len(set(seeds)) == 12 and len({seed for _, seed in seeds}) == 3
    assert {result.claims for result in found.cases.values()} == {3}
    assert self_test.run(1, seed=0).repeats == 1  # without progress


def test_the_same_seed_gives_the_same_answers():
    planted = CASES["large gap"].planted
    (one, first), (two, second), (_, other) = (
        self_test._audit(planted, seed=seed) for seed in (1, 1, 2)
    )
    assert one.answer == two.answer == "shown" and first == second
    assert set(first) == {"fmr", "fnmr"} and other
