from verification_example import GROUPS, verification_example

from fairjax.core.results import Measure, Results
from fairjax.report.verification.audited import audited_systems, changes, whence


def test_one_system_has_no_name_and_all_groups_in_order():
    (system,) = audited_systems(verification_example())
    assert system.name == "" and system.titled("Rates") == "Rates"
    assert system.groups == list(GROUPS)
    assert system.everyone("fmr", "FMR 1e-2").n == 141_000
    assert [m.group["race"] for m in system.by_group("fnmr", "FMR 1e-3")] == list(GROUPS)
    assert system.everyone("fmr") is None and system.by_group("nothing", "FMR 1e-2") == []
    assert system.summary("garbe", "FMR 1e-2").across == "race"


def test_points_without_any_number_come_last():
    place = {"unit": "fraction", "n": 10}
    measures = [Measure("fmr", None, at="FMR 1e-6", **place), Measure("fmr", 0.1, at="b", **place)]
    (system,) = audited_systems(Results("verification", {}, measures, {}, [], {}))
    assert system.points == ["b", "FMR 1e-6"]
    assert system.thresholds == {}


def test_each_system_has_its_own_measures_and_arrays():
    results = verification_example(systems=("A", "B"))
    one, two = audited_systems(results)
    assert (one.name, two.name, two.titled("Rates")) == ("A", "B", "B: Rates")
    assert one.arrays["matrix"] == results.arrays["matrix"] != two.arrays["matrix"]
    assert one.everyone("fnmr", "FMR 1e-2").value != two.everyone("fnmr", "FMR 1e-2").value
    assert not [m for m in two.measures if m.name.endswith("_change")]
    assert list(changes(results)) == ["B minus A"]


def test_a_fixed_threshold_is_its_own_operating_point():
    assert whence("FMR 1e-3", "calibration.csv") == "FMR 1e-3, from calibration.csv"
    assert whence("threshold 0.31", "given") == "given"
