import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "methods_cost.py"
SPEC = importlib.util.spec_from_file_location("methods_cost", PATH)
methods_cost = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(methods_cost)


@pytest.mark.exhaustive
def test_cases_take_steps_and_are_compared_with_cosface():
    sizes = {"depth": 10, "width": 4, "dim": 16, "size": 32, "batch": 8, "repeats": 1}
    cases = ["cosface", "cosface, GAC's network", "pfe"]
    rows = methods_cost.measure(cases, **sizes)
    assert [row["case"] for row in rows] == cases
    assert rows[0]["over_cosface"] == 1 and rows[0]["more_parameters"] == 0
    for row in rows:
        assert row["milliseconds"]["min"] > 0
        assert ("over_cosface_on_its_network" in row) == (
            methods_cost.CASES[row["case"]].network == "gac"
        )
    aims = {row["case"]: row["aim"] for row in rows}
    assert aims["pfe"] == 0.4 and aims["cosface"] is None
