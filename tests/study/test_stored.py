"""Stored studies are read back as they were, and a new run agrees with them but for chance."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy import stats
from study_example import (
    CELLS,
    CLAIMS,
    CONCLUSION,
    DESCRIBED,
    RUNS,
    STUDY,
    TESTED,
    TRAINING,
    write_study,
)

from fairjax.cli import main
from fairjax.config import Spread
from fairjax.run.workdir import WorkdirError
from fairjax.study.learned import Training
from fairjax.study.numbers import Cell
from fairjax.study.stored import Difference, Stored, differences, read_stored, spreads_of


def cell(mean, half=None):
    interval = None if half is None else (mean - half, mean + half)
    return Cell((mean,), mean, None, interval, "", None)


def stored(cells, claims=(), not_converged=()):
    table = {f"row {k}": {"Number": one} for k, one in enumerate(cells)}
    reasons = dict.fromkeys(not_converged, "why")
    return Stored(STUDY, table, list(claims), None, {}, reasons, [])


def test_a_study_is_read_as_it_was_written_from_its_folder_or_its_file(tmp_path):
    path = write_study(tmp_path)
    found = read_stored(tmp_path)
    assert found == Stored(STUDY, CELLS, list(CLAIMS), CONCLUSION, TRAINING, {}, RUNS)
    assert read_stored(path) == found


def test_a_study_that_is_planned_and_not_run_has_no_numbers(tmp_path):
    path = write_study(tmp_path, replace(STUDY, thesis=None))
    kept = json.loads(path.read_text())
    kept = {key: kept[key] for key in ("schema_version", "command", "plan")}
    path.write_text(json.dumps(kept))
    assert read_stored(tmp_path)[1:] == ({}, [], None, {}, {}, [])
    path.write_text(json.dumps({**kept, "verdict": None}))
    assert read_stored(tmp_path).conclusion is None


def test_cells_and_claims_without_an_interval_have_none(tmp_path):
    bare = {"values": [None], "mean": None, "std": None, "interval": None, "method": ""}
    claim = {"text": "x", "row": "Fair", "than": "Plain", "column": "Spread", "direction": "lower"}
    missing = dict.fromkeys(("published", "difference", "interval", "p_value", "p_value_holm"))
    write_study(
        tmp_path,
        rows=[{"name": "Fair", "cells": {"Spread": bare | {"published": 1.5}}}],
        claims=[{"claim": claim, "verdict": "not tested", "why": "no seed", **missing}],
    )
    found = read_stored(tmp_path)
    assert found.cells == {"Fair": {"Spread": Cell((None,), None, None, None, "", 1.5)}}
    assert (found.claims[0].interval, found.claims[0].why) == (None, "no seed")


def test_a_training_of_an_older_file_says_what_it_said_then(tmp_path):
    kept = {"first_loss": 2.0, "last_loss": 1.0, "margined": 0.5, "others": 0.3, "validation": 1.5}
    write_study(tmp_path, training={"Fair": [kept]})
    (training,) = read_stored(tmp_path).training["Fair"]
    assert training == Training(2.0, 1.0, 0.5, None, 1.5)


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": [{"name": "Fair"}]},
        {"rows": 3},
        {"rows": [{"name": "Fair", "cells": {"Spread": {"mean": 1.0}}}]},
        {"claims": [{"interval": None}]},
        {"training": {"Fair": [1.0]}},
        {"training": []},
    ],
)
def test_a_damaged_study_is_one_line_with_its_path(tmp_path, changes):
    path = write_study(tmp_path, **changes)
    with pytest.raises(WorkdirError) as caught:
        read_stored(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{path.parent} holds a damaged study (") and "\n" not in message
    assert message.endswith("; run `fairjax report` on its folder again.")


def test_numbers_without_intervals_must_be_equal():
    base = stored([cell(2.0), cell(0.0)])
    assert differences(stored([cell(2.0 + 1e-9), cell(0.0)]), base) == []
    assert differences(stored([cell(2.0 + 3e-9), cell(0.0)]), base) == [
        Difference("row 0, Number", "2", "2")
    ]
    assert len(differences(stored([cell(2.0), cell(1e-12)]), base)) == 1


def test_half_widths_are_added_in_quadrature_and_one_cell_is_not_widened():
    base = stored([cell(10.0, 3.0)])
    for move, agrees in ((4.99, True), (5.01, False), (-4.99, True), (-5.01, False)):
        found = differences(stored([cell(10.0 + move, 4.0)]), base)
        assert (found == []) is agrees, move
    (found,) = differences(stored([cell(15.01, 4.0)]), base)
    assert found == Difference("row 0, Number", "10 [7, 13]", "15.01 [11.01, 19.01]")


def test_the_interval_of_one_alone_is_a_reach_too():
    base = stored([cell(10.0, 3.0)])
    assert differences(stored([cell(12.9)]), base) == []
    assert len(differences(stored([cell(13.1)]), base)) == 1


def test_more_cells_widen_the_reach():
    widened = stats.norm.isf(0.0025) / stats.norm.isf(0.025)  # ten cells
    others = [cell(0.0)] * 9
    base = stored([cell(0.0, 1.0), *others])
    for move, count in ((0.999, 0), (1.001, 1)):
        new = stored([cell(move * widened * 2**0.5, 1.0), *others])
        assert len(differences(new, base)) == count


def test_a_study_that_is_run_again_differs_by_chance_one_time_in_twenty():
    rng, runs, wrong = np.random.default_rng(0), 400, 0
    half = stats.norm.isf(0.025)
    for means in rng.normal(size=(runs, 2, 12)):
        one, other = (stored([cell(float(mean), half) for mean in row]) for row in means)
        wrong += bool(differences(one, other))
    assert 0.05 - 0.033 < wrong / runs < 0.05 + 0.033  # three standard errors


def test_a_number_that_one_of_them_lacks_is_a_difference():
    base, bare = stored([cell(10.0, 1.0)]), stored([Cell((None,), None, None, None, "", None)])
    assert differences(bare, bare) == []
    assert differences(bare, base) == [Difference("row 0, Number", "10 [9, 11]", "–")]
    assert differences(base, bare) == [Difference("row 0, Number", "–", "10 [9, 11]")]
    assert differences(stored([]), base) == [Difference("row 0, Number", "10 [9, 11]", "missing")]


def test_what_the_new_run_has_besides_is_not_looked_at():
    assert differences(stored([cell(1.0), cell(2.0)], CLAIMS), stored([cell(1.0)])) == []


def test_verdicts_must_be_the_same_whatever_the_numbers():
    base = stored([], CLAIMS)
    moved = replace(CLAIMS[0], difference=-9.0, p_value=0.04)
    assert differences(stored([], [moved, CLAIMS[1]]), base) == []
    changed = stored([], [replace(CLAIMS[0], verdict="inconclusive")])
    assert differences(changed, base) == [
        Difference(TESTED.text, "holds", "inconclusive"),
        Difference(DESCRIBED.text, "descriptive", "missing"),
    ]


def test_rows_that_have_learned_in_one_alone_are_named_in_order():
    base = stored([], not_converged=("Fair", "Both"))
    new = stored([], not_converged=("Plain", "Both"))
    assert differences(new, base) == [
        Difference("Fair", "not converged", "learned"),
        Difference("Plain", "learned", "not converged"),
    ]


def test_spreads_are_kept_and_the_largest_of_a_column_stands_for_it(tmp_path, capsys):
    claims = [
        replace(CLAIMS[0], spread=(0.2, 0.1)),
        replace(CLAIMS[0], spread=(0.1, 0.3)),
        CLAIMS[1],  # described by one seed
    ]
    write_study(tmp_path, claims=[asdict(claim) for claim in claims])
    stored = read_stored(tmp_path)
    assert [claim.spread for claim in stored.claims] == [(0.2, 0.1), (0.1, 0.3), None]
    assert spreads_of(stored, "here") == {"Spread": Spread(0.2, 0.3, "here")}
    assert main(["study", "spread", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    spreads = eval(printed.removeprefix("spreads="), {"Spread": Spread})  # as it is pasted
    assert spreads == {"Spread": Spread(0.2, 0.3, "Fair and plain, 2 seeds")}


def test_claims_of_an_older_file_have_no_spread(tmp_path):
    claims = [asdict(claim) for claim in CLAIMS]
    for claim in claims:
        del claim["spread"]
    write_study(tmp_path, claims=claims)
    assert all(claim.spread is None for claim in read_stored(tmp_path).claims)
    assert main(["study", "spread", str(tmp_path)]) == 1
