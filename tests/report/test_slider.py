import json

import pytest
from verification_example import GROUPS, verification_example

from fairjax.report.slider import slider_data
from fairjax.report.verification.audited import audited_systems


@pytest.fixture(scope="module")
def system():
    (system,) = audited_systems(verification_example())
    return system


def test_the_slider_says_at_an_operating_point_what_the_measures_say(system):
    data = slider_data(system)
    assert [point["name"] for point in data["points"]] == ["FMR 1e-2", "FMR 1e-3"]
    for point in data["points"]:
        for rate in ("fmr", "fnmr"):
            for group, m in zip(data["groups"], system.by_group(rate, point["name"]), strict=True):
                here = group[rate][point["place"]]
                assert here is None if m.value is None else here == pytest.approx(m.value, rel=1e-5)
        expected = system.thresholds[point["name"]][0]
        assert data["thresholds"][point["place"]] == pytest.approx(expected, rel=1e-5)


def test_thresholds_ascend_and_every_group_has_a_rate_at_each(system):
    data = slider_data(system)
    assert data["thresholds"] == sorted(data["thresholds"])
    assert len(data["thresholds"]) == len(system.arrays["rates"]["threshold"]) + 2
    assert [group["name"] for group in data["groups"]] == list(GROUPS)
    for group in data["groups"]:
        assert len(group["fmr"]) == len(group["fnmr"]) == len(data["thresholds"])
        fnmr = group["fnmr"]
        assert fnmr == sorted(fnmr)
    json.dumps(data, allow_nan=False)
