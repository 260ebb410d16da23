"""An audit as text, beside the published rows."""

from dataclasses import replace

import pytest
from protocol_example import measured
from scored_pairs import RACES, benchmark, scored_pairs

from fairjax.protocols.published import ACCURACY
from fairjax.protocols.verification.core import measure_comparisons
from fairjax.protocols.verification.tables import tables


@pytest.fixture(scope="module")
def audited():
    columns, pairs = benchmark()
    return measured(
        "rfw",
        columns,
        pairs=pairs,
        attributes={"race": RACES},
        group_by="race",
        accuracy="rfw_official",
        all_accuracies=False,
        fmrs=(1e-2, 1e-9),
        tolerance=0.0,
        bias_fmrs=(1e-3, 1e-2),
        bias_pool="all_pairs",
        bias_threshold=0.0,
        bias_pairs="protocol",
        bias_denominator="target",
        bias_ddof=1,
        bias_scale="ratio",
        resamples=30,
        level=0.95,
        seed=0,
        limits=[],
    )


def titled(found, word):
    (table,) = [table for table in found if word in table.title]
    return table


def test_every_row_has_a_cell_a_column(audited):
    for published in ("", "balancedface", "globalface"):
        for table in tables(audited, published=published):
            assert all(len(row) == len(table.columns) for row in table.rows), table.title


def test_accuracies_stand_above_the_published_rows_as_printed(audited):
    table = titled(tables(audited, published="balancedface"), "Accuracy")
    assert table.columns[:5] == ["method", *RACES]
    ours = audited.get("accuracy", race="Asian").value
    assert table.rows[0][0] == "here, rfw_official"
    assert table.rows[0][2].startswith(f"{100 * ours:.2f}")
    assert table.rows[1][0] == "here, uncentred"
    worst = audited.get("accuracy_worst", across="race", race=table.rows[0][8])
    assert worst.value == min(audited.get("accuracy", race=race).value for race in RACES)
    cifp = next(row for row in table.rows if row[0] == "CIFP-R34")
    assert cifp[1:9] == ["95.95", "95.17", "96.78", "96.38", "96.07", "0.69", "1.50", "Asian"]
    misprint = next(row for row in table.rows if row[0].startswith("RL-RBN-R34 (arc)"))
    assert misprint[0].endswith("†") and misprint[6] == "0.93"
    assert "std is 0.73" in table.note and "2106.05519), Table 3" in table.note
    assert len(table.rows) == 2 + len(ACCURACY["balancedface"].rows)


def test_published_rows_are_shown_on_request_alone(audited):
    assert len(titled(tables(audited), "Accuracy").rows) == 2


def test_bias_degrees_stand_beside_those_of_the_same_target(audited):
    table = titled(tables(audited, published="balancedface"), "Bias degree")
    assert table.columns[1:] == ["FMR 1e-3 of all pairs", "FMR 1e-2 of all pairs"]
    assert table.rows[1][1:] == ["92.18", "16.70"] and table.rows[2][1:] == ["59.25", "10.33"]
    assert "ddof 1" in table.note and "all_pairs" in table.note


def test_rates_that_the_pairs_cannot_resolve_are_dashes(audited):
    rows = titled(tables(audited), "Error rates").rows
    lost = [row for row in rows if row[0] == "FMR 1e-9"]
    assert len(lost) == 5 and all(row[2] == row[3] == row[5] == "–" for row in lost)
    found = audited.get("fmr", at="FMR 1e-2")
    assert rows[0][:3] == ["FMR 1e-2", "everyone", f"{found.threshold:.4f}"]


def test_gaps_show_floor_and_both_p_values(audited):
    table = titled(tables(audited), "Gaps")
    row = next(row for row in table.rows if row[:2] == ["FMR 1e-2", "garbe"])
    place = {"across": "race", "at": "FMR 1e-2"}
    assert row[2].startswith(f"{audited.get('garbe', **place).value:.4g}")
    assert row[3] == f"{audited.get('garbe_noise_floor', **place).value:.4g}"
    assert len(row) == len(table.columns) == 7 and row[6] == "–"  # no ratio of both rates
    ratio = audited.get("fmr_detectable_ratio", **place)
    for name in ("fmr equality", "fmr gini"):
        row = next(row for row in table.rows if row[:2] == ["FMR 1e-2", name])
        assert row[6] == (f"{ratio.value:.2f}" if ratio.value else "–")
    p = audited.get("fmr_equality_p_value", **place).value
    row = next(row for row in table.rows if row[:2] == ["FMR 1e-2", "fmr equality"])
    assert row[2:4] == ["–", "–"] and row[4] == (f"{p:.4f}" if p < 0.01 else f"{p:.2f}")


def test_several_systems_have_tables_of_their_own():
    c = scored_pairs()
    results = measure_comparisons(
        {"one": c, "two": c},
        attribute="group",
        fmrs=(1e-1,),
        resamples=20,
        level=0.95,
        seed=0,
        limits=[],
    )
    titles = [table.title for table in tables(results)]
    assert titles == [
        f"{s}: {t}"
        for s in ("one", "two")
        for t in (
            "Error rates at one threshold",
            "Gaps across group",
            "People needed to resolve a gap",
        )
    ]


def test_the_planner_says_how_many_people_a_gap_needs(audited):
    table = titled(tables(audited), "People needed")
    assert table.columns[-4:] == [f"for a ratio of {ratio}" for ratio in ("1.25", "1.5", "2", "3")]
    assert {row[1] for row in table.rows} == {"FMR", "FNMR"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "Threshold from all non-mated pairs: "),
        ({"thresholds": [0.4]}, "target. Other thresholds as given. Brackets"),
        ({"threshold_source": "given", "threshold_rule": "given"}, "Thresholds as given. Brackets"),
        (
            {"threshold_source": "given", "threshold_rule": "decisions as they are"},
            "Decisions as they are. Brackets",
        ),
    ],
)
def test_the_note_says_where_every_threshold_comes_from(audited, changes, said):
    changed = replace(audited, protocol={**audited.protocol, **changes})
    assert said in titled(tables(changed), "Error rates").note
