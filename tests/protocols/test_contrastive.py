import numpy as np
import pytest
from protocol_example import measured

from fairjax.protocols import contrastive

ATTRIBUTES = {"race": ("A", "B"), "age": ()}


def columns(**changes):
    rng = np.random.default_rng(0)
    race = np.repeat([0, 1], 60)
    return {
        "loss": rng.uniform(1.0, 2.0, 120),
        "alignment_time": rng.uniform(0.1, 0.3, 120) + 0.5 * race,
        "embedding_time": rng.normal(size=(120, 8)),
        "race": race,
        "cluster": np.arange(120),
    } | changes


def evaluate(predictions):
    return measured(
        "contrastive",
        predictions,
        attributes=ATTRIBUTES,
        group_by="race",
        resamples=100,
        level=0.95,
        seed=0,
        limits=["drawn"],
    )


def test_loss_alignment_and_spread_are_told_for_everyone_and_each_group():
    predictions = columns()
    results = evaluate(predictions)
    np.testing.assert_allclose(
        results.get("time_alignment", race="B").value, predictions["alignment_time"][60:].mean()
    )
    assert results.get("time_alignment_worst", across="race", race="B").value is not None
    np.testing.assert_allclose(
        results.get("contrastive_loss").value, predictions["loss"].mean(), rtol=1e-9
    )
    assert 0.8 < results.get("time_feature_std").value < 1.1
    assert results.get("time_effective_rank", race="A").value > 6
    assert list(results.limits) == ["drawn"]
    titles = [table.title for table in contrastive.tables(results)]
    assert titles[-1] == "Spread of the time space by race"


def test_a_collapse_is_said_among_the_limits():
    point = np.tile(np.ones(8), (120, 1)) + 1e-3 * np.random.default_rng(0).normal(size=(120, 8))
    results = evaluate(columns(embedding_time=point))
    assert results.get("time_feature_std").value < 0.01
    assert "'time' has collapsed" in results.limits[-1]


def test_predictions_of_another_method_are_refused():
    wrong = columns()
    del wrong["alignment_time"]
    with pytest.raises(ValueError, match="lack a finite column 'alignment_time'"):
        evaluate(wrong)


def test_a_loss_of_the_batch_has_no_interval_and_no_groups():
    predictions = columns()
    predictions["batch_loss"] = predictions.pop("loss")
    results = evaluate(predictions)
    (loss,) = [m for m in results.measures if m.name.startswith("contrastive_loss")]
    np.testing.assert_allclose(loss.value, predictions["batch_loss"].mean(), rtol=1e-9)
    assert loss.interval is None and not loss.group and not loss.across
    assert "a loss of the batch" in loss.note
    first = contrastive.tables(results)[0]
    assert first.title == "Pre-training loss" and len(first.rows) == 1
    assert results.get("time_alignment").interval is not None
