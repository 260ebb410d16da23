import numpy as np
import pytest
from protocol_example import measured

from fairjax.protocols import reconstruction

ATTRIBUTES = {"race": ("A", "B", "C"), "age": ()}


def evaluate(**changes):
    rng = np.random.default_rng(0)
    race = np.repeat([0, 1], 100)
    columns = {
        "loss": rng.uniform(0.4, 0.6, 200) + 0.3 * race,
        "race": race,
        "cluster": np.arange(200),
    }
    settings = dict(
        attributes=ATTRIBUTES, group_by="race", resamples=200, level=0.95, seed=0, limits=["drawn"]
    )
    return measured("reconstruction", columns | changes.pop("columns", {}), **settings | changes)


def test_the_error_of_each_group_is_the_mean_of_its_images():
    results = evaluate()
    rng = np.random.default_rng(0)
    loss = rng.uniform(0.4, 0.6, 200)
    np.testing.assert_allclose(results.get("reconstruction_loss").value, loss.mean() + 0.15)
    np.testing.assert_allclose(
        results.get("reconstruction_loss", race="B").value, loss[100:].mean() + 0.3
    )
    assert results.get("reconstruction_loss", race="C").value is None
    gap = results.get("reconstruction_loss_difference", across="race")
    floor = results.get("reconstruction_loss_difference_noise_floor", across="race")
    assert gap.value > 5 * floor.value


def test_the_tables_name_every_group_and_the_worst():
    by_group, gaps = reconstruction.tables(evaluate())
    assert [row[0] for row in by_group.rows] == ["A", "B", "C", "everyone"]
    assert gaps.rows[0][-1] == "B"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"group_by": "age"}, "one of race"),
        ({"columns": {"loss": np.full(200, np.nan)}}, "lack a finite column 'loss'"),
    ],
)
def test_what_is_no_autoencoders_prediction_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        evaluate(**changes)
