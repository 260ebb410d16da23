import numpy as np
import pytest

from fairjax.core.comparisons import Embeddings, Pairs, compare, unit_length


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
