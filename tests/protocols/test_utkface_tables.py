import pytest

from fairjax.core.results import Measure, Results
from fairjax.protocols.utkface_tables import PUBLISHED, tables

PROTOCOL = {
    "group_by": "race",
    "groups": ["White", "Black"],
    "level": 0.95,
    "tasks": ["gender"],
    "interval": "cluster bootstrap, 9 resamples",
    "noise_floor": "9 permutations",
    "calibration_bins": 15,
}


def rate(name: str, value: float | None, errors: int, **group: str) -> Measure:
    interval = None if value is None else (value - 0.05, value + 0.05)
    return Measure(
        name,
        value,
        "fraction",
        100,
        group,
        interval=interval,
        n_errors=errors,
        rule=f"rule of {name}",
    )


def results(measures: list[Measure]) -> Results:
    return Results("attributes", PROTOCOL, measures, {}, [], {})


GENDER = [
    rate("gender_accuracy", 0.9, 40),
    rate("gender_fpr", 0.1, 31),
    rate("gender_fnr", 0.2, 30),
    *(rate(n, v, 29, race="White") for n, v in [("gender_accuracy", 0.9), ("gender_fpr", 0.125)]),
    *(rate(n, None, 0, race="Black") for n in ("gender_accuracy", "gender_fpr", "gender_fnr")),
    rate("gender_fnr", 0.25, 30, race="White"),
]


def test_cells_hold_percent_interval_and_a_star_below_thirty_errors() -> None:
    table = next(t for t in tables(results(GENDER)) if t.title.startswith("Gender: false"))
    assert list(table.columns) == ["race", "gender FPR, %", "n", "gender FNR, %", "n"]
    assert [list(row) for row in table.rows] == [
        ["White", "12.5* [7.5, 17.5]", "100", "25.0 [20.0, 30.0]", "100"],
        ["Black", "–", "100", "–", "100"],
        ["everyone", "10.0 [5.0, 15.0]", "100", "20.0 [15.0, 25.0]", "100"],
    ]
    assert table.note == "rule of gender_fpr; rule of gender_fnr"


def test_published_numbers_stand_beside_ours_only_when_asked() -> None:
    for published, inside in [("", False), ("resnet50", True)]:
        found = tables(results(GENDER), published=published)
        headings = [c for t in found for c in t.columns]
        assert any("ResNet-50, published" in c for c in headings) == inside
    white = next(t for t in found if t.title.startswith("Gender: false")).rows[0]
    assert (white[2], white[5]) == ("14.0", "11.0")
    assert found[0].rows[0][:3] == ["gender accuracy, %", "90.0 [85.0, 95.0]", "91.0"]


def test_tables_of_absent_tasks_are_left_out_and_rows_are_as_long_as_the_headings() -> None:
    found = tables(results(GENDER), published="tfc")
    assert [t.title for t in found] == [
        "Everyone",
        "By race",
        "Gender: false positives and false negatives by race",
    ]
    for table in found:
        assert all(len(row) == len(table.columns) for row in table.rows)


def test_a_gap_stands_beside_its_noise_floor() -> None:
    gap = Measure(
        "gender_fpr_difference", 0.08, "fraction", 200, across="race", interval=(0.0, 0.15)
    )
    floor = Measure("gender_fpr_difference_noise_floor", 0.11, "fraction", 200, across="race")
    p = Measure("gender_fpr_difference_p_value", 0.004, "fraction", 200, across="race")
    ratio = Measure("gender_fpr_ratio", 0.5, "ratio", 200, across="race")
    worst = Measure("gender_fpr_worst", 0.2, "fraction", 200, {"race": "White"}, across="race")
    table = tables(results([gap, floor, p, ratio, worst]))[0]
    size = ["gender FPR difference, points", "8.0 [0.0, 15.0]", "11.0"]
    # without the rates of two groups there is no test to decide by
    assert list(table.rows[0]) == [*size, "0.0040", "–", "–", "0.50", "White"]
    groups = [
        Measure("gender_fpr", rate, "fraction", 100, {"race": race})
        for race, rate in (("White", 0.2), ("Black", 0.12))
    ]
    tested = Measure("gender_fpr_equality_p_value", 0.03, "fraction", 200, across="race")
    found = Measure("gender_fpr_detectable_ratio", 1.8, "ratio", 200, across="race")
    table = tables(results([gap, floor, p, ratio, worst, *groups, tested, found]))[-1]
    assert list(table.rows[0]) == [*size, "0.03", "0.03", "1.80", "0.50", "White"]


@pytest.mark.parametrize(
    ("model", "percents"),  # sums over the five groups, added up from the printed tables
    [
        ("resnet50", {"gender_fpr": 58, "gender_fnr": 57, "age_fpr": 53, "age_fnr": 135}),
        ("tfc", {"gender_fpr": 40, "gender_fnr": 38, "age_fpr": 46, "age_fnr": 109}),
    ],
)
def test_published_rates_add_up_to_the_printed_ones(model: str, percents: dict[str, int]) -> None:
    for name, total in percents.items():
        rates = PUBLISHED[model][name]
        assert list(rates) == ["White", "Black", "Asian", "Indian", "Others"]
        assert round(100 * sum(rates.values()), 6) == total, name
        assert all(0.02 <= rate <= 0.32 for rate in rates.values()), name


def test_published_numbers_are_those_of_the_study() -> None:
    resnet, tfc = PUBLISHED["resnet50"], PUBLISHED["tfc"]
    headline = ("age_mae", "gender_accuracy", "race_accuracy")
    assert [resnet[name] for name in headline] == [4.84, 0.91, 0.81]
    assert [tfc[name] for name in headline] == [6.2, 0.88, 0.76]
    assert resnet["age_fnr"]["Asian"] == 0.32 and tfc["age_fpr"]["Indian"] == 0.16
