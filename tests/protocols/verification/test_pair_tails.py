"""The largest scores of people who are drawn again and again, by hand."""

import numpy as np
import pytest

from fairjax.protocols.verification.pair_tails import PeopleTail

# Of 100 non-mated pairs the three with the largest scores: 0 and 1, 0 and 2, 1 and 2.
TAIL = PeopleTail(
    score=np.array([0.75, 0.5, 0.25], np.float32),
    first=np.array([0, 0, 1]),
    second=np.array([1, 2, 2]),
    cells=np.array([0, 1, 1]),  # person 2 is of the second group
    whole=False,
)
ONCE = np.ones(3, np.int64)


@pytest.mark.parametrize(
    ("fmr", "weights", "reaches", "threshold"),
    [
        (0.01, ONCE, True, 0.75),
        (0.02, ONCE, True, 0.5),
        (0.03, ONCE, False, None),  # it takes a fourth score to know where the third may end
        (0.02, np.array([1, 3, 0]), True, np.nextafter(np.float32(0.75), np.float32(1))),
        (0.03, np.array([1, 3, 0]), False, None),
        (0.02, np.array([1, 0, 1]), False, None),
        (1e-3, ONCE, True, np.nan),  # less than one pair of a hundred
    ],
)
def test_a_resample_s_threshold_is_that_of_its_repeated_scores(fmr, weights, reaches, threshold):
    assert TAIL.reaches(fmr, 100, weights, "at_most") is reaches
    if threshold is not None:
        assert TAIL.threshold(fmr, 100, weights, "at_most") == pytest.approx(
            threshold, rel=1e-9, nan_ok=True
        )


def test_all_scores_reach_every_rate():
    whole = PeopleTail(TAIL.score, TAIL.first, TAIL.second, TAIL.cells, whole=True)
    assert whole.reaches(0.9, 3, ONCE, "at_most")


def test_accepted_pairs_count_by_cells_and_by_person():
    weights = np.array([2, 1, 3])
    cells, people = TAIL.accepted(0.5, weights, size=2)
    np.testing.assert_array_equal(cells, [[2, 6], [6, 0]])  # 2 x 1 within, 2 x 3 across
    # one copy of person 0 meets 1 and three times 2; of 1 twice 0; of 2 twice 0
    np.testing.assert_array_equal(people, [4, 2, 2])
    none, nobody = TAIL.accepted(float("nan"), weights, size=2)
    assert not none.any() and not nobody.any()
