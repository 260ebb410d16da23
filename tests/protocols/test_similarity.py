import numpy as np
import pytest

from fairjax.metrics.representation import cka
from fairjax.protocols import similarity


def predictions(seed, **changes):
    own, shared = np.random.default_rng(seed), np.random.default_rng(9)
    race = np.repeat([0, 1], 50)
    common = shared.normal(size=(100, 4))
    noise = own.normal(size=(100, 4)) * np.where(race, 3.0, 0.1)[:, None]  # B is seen otherwise
    return {
        "id": np.arange(100).astype(str),
        "cluster": np.arange(100),
        "race": race,
        "features": common + noise,
    } | changes


def evaluate(one, other):
    return similarity.measure_similarity(
        one,
        other,
        attributes={"race": ("A", "B"), "age": ()},
        group_by="race",
        level=0.95,
        names=("ours", "theirs"),
    )


def test_the_group_that_two_models_see_otherwise_has_the_lower_similarity():
    one, other = predictions(0), predictions(1)
    results = evaluate(one, other)
    a, b = (results.get("cka", race=race) for race in "AB")
    assert a.value > 0.9 > 0.3 > b.value
    np.testing.assert_allclose(a.value, cka(one["features"][:50], other["features"][:50]))
    assert a.interval[0] <= a.value <= a.interval[1]
    (table,) = similarity.tables(results)
    assert [row[0] for row in table.rows] == ["A", "B", "everyone"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"id": np.arange(1, 101).astype(str)}, "tested on different images"),
        ({"features": None}, "theirs saved no features"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_words(changes, said):
    other = predictions(1, **changes)
    other = {name: column for name, column in other.items() if column is not None}
    with pytest.raises(ValueError, match=said):
        evaluate(predictions(0), other)
