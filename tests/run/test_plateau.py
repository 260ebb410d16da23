"""The guard against trainings that do not learn."""

import math

from fairjax.run.plateau import PlateauGuard


def said(caplog, lines, chance, total=100):
    guard = PlateauGuard(chance, total_steps=total)
    for step, means in lines:
        guard.look(step, means)
    return caplog.messages


def test_a_loss_that_is_still_that_of_chance_is_warned_of_once_with_its_causes(caplog):
    chance = math.log(5)
    lines = [(20, {"race_loss": 1.6}), (30, {"race_loss": 1.55}), (40, {"race_loss": 1.6})]
    (warning,) = said(caplog, lines, {"race_loss": chance})
    assert "race_loss is 1.55 after 30 of 100 steps; a model that knows nothing has 1.61" in warning
    assert "config.optim.peak_lr" in warning and "ramp_epochs" in warning


def test_a_loss_that_fell_and_one_that_is_not_logged_are_no_reason_to_warn(caplog):
    lines = [(30, {"race_loss": 1.4, "loss": 9.0}), (99, {"race_loss": 1.6})]
    assert said(caplog, lines, {"race_loss": math.log(5), "gender_loss": math.log(2)}) == []
    assert said(caplog, lines, {}) == []


def test_where_a_method_adds_terms_the_loss_of_identities_is_looked_at(caplog):
    lines = [(30, {"loss": 9.0, "loss_identity": 2.0})]
    assert said(caplog, lines, {"loss": 8.0}) == []
    (warning,) = said(caplog, [(30, {"loss": 9.0, "loss_identity": 7.5})], {"loss": 8.0})
    assert "is 7.5 after" in warning
