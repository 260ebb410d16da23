import pytest
from verification_example import verification_example

from fairjax.core.results import Measure, Results
from fairjax.report.verification import quantities

AT = {"at": "FMR 1e-3", "threshold": 0.5, "threshold_source": "all non-mated pairs"}


def rate(name, value, *, n_errors=50, n=1000, **group):
    return Measure(name, value, "fraction", n, group, n_errors=n_errors, n_clusters=70, **AT)


def audit(*measures, provenance=None, **arrays):
    protocol = {"name": "toy", "attribute": "g"}
    return Results("verification", protocol, measures, arrays, [], provenance or {})


def rates(**more):
    return [
        rate("fmr", 0.001),
        rate("fnmr", 0.02),
        rate("fmr", 0.004, g="a", **more),
        rate("fmr", 0.001, g="b"),
        rate("fmr", None, n=0, g="c"),
    ]


def test_the_scope_says_what_was_compared_and_under_which_protocol():
    assert quantities.scope(audit(*rates())) == (
        "2,000 pairs of images of 70 people in 3 groups (g) were compared (protocol toy): 1,000 of "
        "one person (mated), 1,000 of two (non-mated)."
    )
    assert "protocol" not in quantities.scope(audit(*rates(), provenance={"dataset": "phantom"}))


@pytest.mark.parametrize(
    ("name", "value", "interval", "note", "text"),
    [
        (
            "fmr_max_over_min",
            7.0,
            (5.0, 10.0),
            "",
            "7.00 (95% interval 5.00 to 10.00) against a tolerance of 0.50.",
        ),
        (
            "fnmr_difference",
            0.6,
            (0.1, 0.9),
            "",
            "60.0 points (95% interval 10.0 to 90.0) against a tolerance of 50.0 points.",
        ),
        (
            "garbe",
            0.6,
            (0.1, 0.9),
            "",
            "0.600 (95% interval 0.100 to 0.900) against a tolerance of 0.500.",
        ),
        (
            "fmr_max_over_min",
            None,
            None,
            "undefined (0 errors in group b)",
            "undefined against a tolerance of 0.50, undefined (0 errors in group b).",
        ),
    ],
)
def test_a_tolerance_is_told_in_the_unit_of_its_summary(name, value, interval, note, text):
    unit = "ratio" if name == "fmr_max_over_min" else "fraction"
    m = Measure(
        name, value, unit, 9, across="g", interval=interval, level=0.95, note=note, at="FMR 1e-3"
    )
    held = {"measure": name, "at": "FMR 1e-3", "tolerance": 0.5, "verdict": "inconclusive"}
    (line,) = quantities.tolerances(audit(m, verdicts=[held]))
    assert line.startswith("? Inconclusive. ") and line.endswith(text)


def test_every_tolerance_has_its_answer():
    found = quantities.tolerances(verification_example())
    assert [line.split(".")[0] for line in found] == [
        "▲ Exceeds the tolerance",
        "? Inconclusive",
        "○ Within the tolerance",
    ]


def test_what_the_data_cannot_say_names_the_groups_with_their_counts():
    assert quantities.unresolved(audit(*rates(n_errors=29))) == [
        "FMR 1e-3: fewer than 30 errors stand behind the false match rate of a (29).",
        "FMR 1e-3: no pair speaks about the false match rate of c.",
    ]
    assert "FMR 1e-6: insufficient data: 1e-6 needs 1000000 pairs." in (
        quantities.unresolved(verification_example())
    )
