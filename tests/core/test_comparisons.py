from dataclasses import replace

import numpy as np
import pytest
from authors_vectors import authors_vectors

from fairjax.core import comparisons
from fairjax.core.comparisons import (
    Embeddings,
    Pairs,
    check_variance,
    compare,
    mutual_likelihood,
    unit_length,
)


def embeddings(vectors):
    n = len(vectors)
    return Embeddings(
        ids=np.array([f"image {k}" for k in range(n)]),
        subject=np.array([7, 7, 9][:n]),
        group=np.array([0, 0, 1][:n]),
        groups=("here", "there"),
        embedding=np.array(vectors, np.float64),
    )


def pairs(first, second, mated):
    return Pairs(np.array(first), np.array(second), np.array(mated), np.zeros(len(first), int))


def test_a_score_is_the_cosine_whatever_the_lengths():
    found = compare(embeddings([[3, 0], [0, 5], [2, 2]]), pairs([0, 0], [1, 2], [True, False]))
    np.testing.assert_allclose(found.score, [0.0, np.sqrt(0.5)], atol=1e-15)
    assert found.subject.tolist() == [[7, 7], [7, 9]]
    assert found.group.tolist() == [[0, 0], [0, 1]]


def test_rounding_never_leads_out_of_the_range_of_a_cosine():
    vectors = np.random.default_rng(0).normal(size=(3, 511))
    found = compare(embeddings(vectors), pairs([0, 1, 2], [0, 1, 2], [True] * 3))
    assert (found.score <= 1).all()


@pytest.mark.parametrize("row", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_an_embedding_without_a_direction_is_refused_by_its_row(row):
    with pytest.raises(ValueError, match="row 1 is zero or not finite"):
        unit_length(np.array([[1.0, 0.0], row]))


def test_taking_rows_keeps_every_column_together():
    found = compare(embeddings([[1, 0], [0, 1], [1, 1]]), pairs([0, 0], [1, 2], [True, False]))
    one = found.take(np.array([False, True]))
    assert len(one) == 1
    assert one.subject.tolist() == [[7, 9]]
    assert one.score[0] == found.score[1]


def with_variances(variance):
    plain = embeddings([[3, 4], [4, 3], [0, 2]])
    return replace(plain, variance=np.array(variance, np.float64))


VARIANCE = [[0.1, 0.2], [0.3, 0.1], [1.0, 2.0]]


def test_embeddings_with_variances_are_compared_by_mutual_likelihood_whatever_the_lengths():
    # (0.6, 0.8) and (0.8, 0.6): 0.04 / 0.4 + 0.04 / 0.3 + log 0.4 + log 0.3 = -1.8869302.
    found = compare(with_variances(VARIANCE), pairs([0, 1], [1, 0], [True, True]))
    np.testing.assert_allclose(found.score, [1.8869302, 1.8869302], rtol=1e-7)
    assert with_variances(VARIANCE).scorer == "mls"
    assert embeddings([[1, 0]]).scorer == "cosine"


def test_mutual_likelihood_is_the_authors_in_blocks_of_any_size(monkeypatch):
    v = authors_vectors("pfe_scores")
    rows = np.arange(4)
    some = Pairs(rows, rows + 4, np.ones(4, bool), np.zeros(4, int))
    whole = mutual_likelihood(v.mu, v.sigma_sq, some)
    np.testing.assert_allclose(whole, v.mls_first4_last4, rtol=1e-10)
    monkeypatch.setattr(comparisons, "_LIKELIHOOD_BLOCK", 3)
    np.testing.assert_array_equal(mutual_likelihood(v.mu, v.sigma_sq, some), whole)


@pytest.mark.parametrize(
    ("variance", "said"),
    [
        (np.ones((3, 1)), r"shape \(3, 1\); expected \(3, 2\)"),
        ([[1, 1], [1, 0], [1, 1]], r"variance row 1 .* \(1 such row\); logarithms"),
        ([[1, 1], [1, 1], [-2, 1]], "variance row 2 has a value that is not finite and above 0"),
        ([[1, np.nan], [1, 1], [np.inf, 1]], r"variance row 0 .* \(2 such rows\)"),
    ],
)
def test_variances_that_do_not_fit_are_refused_by_their_row(variance, said):
    with pytest.raises(ValueError, match=said):
        check_variance(np.array(variance, np.float64), np.ones((3, 2)))


def test_pairs_are_not_scored_with_variances_that_are_no_variances():
    with pytest.raises(ValueError, match="variance row 1"):
        compare(with_variances([[1, 1], [0, 1], [1, 1]]), pairs([0], [1], [True]))
