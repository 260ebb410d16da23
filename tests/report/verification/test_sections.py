import pytest
from verification_example import GROUPS, verification_example

from fairjax.report.verification.audited import audited_systems
from fairjax.report.verification.plots import EVERYONE
from fairjax.report.verification.sections import (
    _matrix_cell,
    _trade_off_curves,
    sections,
    sliders,
)
from fairjax.report.wording import span


@pytest.fixture(scope="module")
def system():
    (system,) = audited_systems(verification_example())
    return system


def test_a_point_of_a_det_is_backed_by_thirty_errors_on_both_sides(system):
    det = system.arrays["det"]["groups"]
    curves = {curve.name: curve for curve in _trade_off_curves(system, det)}
    for group, mated, nonmated in (("African", 3000, 24000), ("Caucasian", 3000, 24000)):
        curve = curves[group]
        backed = [
            round(x * nonmated) >= 30 and round(y * mated) >= 30
            for x, y in zip(curve.x, curve.y, strict=True)
        ]
        assert list(curve.backed) == backed
        assert True in backed and False in backed
    assert list(curves)[-1] == EVERYONE  # so that groups keep their colours


def test_without_thirty_errors_at_all_no_point_is_backed(system):
    det = {"A": {"fmr": [0.1, 0.2], "fnmr": [0.3, 0.2], "thirty_fmr": None, "thirty_fnmr": 0.1}}
    (curve,) = _trade_off_curves(system, det)
    assert list(curve.backed) == [False, False]


def test_operating_points_lie_where_the_global_threshold_puts_the_group(system):
    det = system.arrays["det"]["groups"]
    curves = {curve.name: curve for curve in _trade_off_curves(system, det)}
    expected = [
        (system.by_group("fmr", at)[0].value, system.by_group("fnmr", at)[0].value)
        for at in ("FMR 1e-2", "FMR 1e-3")
    ]
    assert curves["African"].dots == expected
    assert curves[GROUPS[4]].dots == []  # its FMR is undefined


@pytest.mark.parametrize(
    ("rate", "errors", "strength"),
    [(0.1, 100, 1.0), (0.01, 100, 0.5), (0.001, 30, 0.0), (0.001, 29, None), (0.0, 0, None)],
)
def test_a_cell_is_filled_by_the_logarithm_of_its_rate(rate, errors, strength):
    cell = _matrix_cell(rate, errors, 9000, 0.5 * rate, 2 * rate, scale=(-3.0, -1.0))
    assert cell.strength == (None if strength is None else pytest.approx(strength))
    assert cell.small[1] == f"{errors} of 9,000"
    assert cell.small[0] == span((0.5 * rate, 2 * rate), "fraction")


def test_a_cell_without_pairs_says_so():
    assert _matrix_cell(None, 0, 0, None, None, scale=(0.0, 1.0)).small[1] == "no pair"


def test_each_system_gets_its_own_slider_and_matrix():
    results = verification_example(systems=("A", "B"))
    found = {s.key: s for s in sections(results)}
    assert [(slider.key, slider.title) for slider in sliders(results)] == [
        ("threshold-0", "A: Move the threshold"),
        ("threshold-1", "B: Move the threshold"),
    ]
    assert [heading for heading, _ in found["matrix"].parts] == ["A", "B"]
    assert bool(found["systems"])
    marked = [f.slider for _, figures in found["curves"].parts for f in figures if f.axis]
    assert marked == ["threshold-0"] * 2 + ["threshold-1"] * 2


def test_the_point_of_the_first_screen_is_not_drawn_again():
    (rates,) = (s for s in sections(verification_example()) if s.key == "rates")
    notes = [figure.note for _, figures in rates.parts for figure in figures]
    assert len(notes) == 2 and all("FMR 1e-3" in note for note in notes)


def test_no_measure_is_shown_twice():
    """The true match rate is one minus the false non-match rate, and the ROC the DET turned."""
    shown = sections(verification_example())
    captions = [f.caption for s in shown for _, figures in s.parts for f in figures]
    assert not [c for c in captions if "True match" in c or "ROC" in c]
