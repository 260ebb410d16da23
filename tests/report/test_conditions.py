import pytest

from fairjax.report.conditions import conditions, config_options, titled


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (
            "python -m fairjax.main --config configs/x.py:smoke,seed=3 --workdir w",
            ["smoke", "seed=3"],
        ),
        ("python -m fairjax.main --config=configs/x.py:small", ["small"]),
        ("python -m fairjax.main --config quickstart:smoke", ["smoke"]),
        ("python -m fairjax.main --config configs/smoke.py --workdir runs/a:smoke", []),
        (r"python -m fairjax.main --config 'C:\configs\x.py'", []),
        ("fairjax audit scores.csv --title 'an open", []),
        ("", []),
    ],
)
def test_a_configs_argument_is_read_from_the_command(command, options):
    assert config_options({"command": command}) == options


def test_a_smoke_test_is_called_one():
    smoke = {"command": "python -m fairjax.main --config x.py:smoke", "dataset": "phantom"}
    assert titled("Table 4", smoke) == "Smoke test: Table 4"
    assert [line.split(":")[0] for line in conditions(smoke)] == ["Smoke test", "Generated data"]
    assert titled("Table 4 on RFW", smoke) == "Smoke test: Table 4 on RFW, here on generated faces"
    full = {"command": "python -m fairjax.main --config x.py", "dataset": "utkface"}
    assert titled("Table 4 on RFW", full) == "Table 4 on RFW" and conditions(full) == []
