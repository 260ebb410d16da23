import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "accelerator.py"


@pytest.fixture(scope="module")
def accelerator():
    spec = importlib.util.spec_from_file_location("accelerator", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def rows(accelerator):
    """Rows by hand: 1 s a call, but the named ones; 10 operations, a peak of 20 a second."""

    def row(name, seconds=1.0, images=4):
        return accelerator.Row(name, images, (seconds,), 10.0, 20.0)

    some = [
        row("ViT-B/16 classifier, 224 px"),
        row("MAE-B/16, 224 px", 4.0),
        row("IResNet-50, CosFace, 64 classes"),
        row("IResNet-50, CosFace, 512 classes", 1.5),
        row("IResNet-34, cosface", 0.5),
        row("IResNet-34, fpr_penalty", 0.52),
        row("input pipeline, 112 px", 0.25),
    ]
    return {entry.name: entry for entry in some}


def test_mfu_is_the_share_of_the_peak(accelerator):
    row = accelerator.Row("x", 4, (2.0, 1.0, 4.0), 10.0, 20.0)
    assert row.median == 2.0
    assert row.mfu == 0.25
    assert accelerator.Row("x", 4, (1.0,), None, 20.0).mfu is None
    assert accelerator.Row("x", 4, (1.0,), 10.0, None).mfu is None


def test_aims_compare_what_they_name(accelerator, rows):
    values = {aim.name: aim.value for aim in accelerator.aims(rows)}
    assert values == pytest.approx(
        {
            "MFU of ViT-B": 0.5,
            "MFU of MAE-B": 0.125,
            "MFU of IResNet-50": 0.5,
            "many classes over few": 1.5,
            "FPR penalty over CosFace": 1.04,
            "pipeline's images/s over the fastest IResNet's": 2.0,  # 16 over 8 images/s
        }
    )


def test_a_missed_aim_says_so(accelerator, rows):
    lines = [str(aim) for aim in accelerator.aims(rows)]
    missed = {line.split(":")[0] for line in lines if line.endswith("MISSED")}
    assert missed == {"MFU of MAE-B", "many classes over few"}


def test_an_unknown_chip_meets_and_misses_nothing(accelerator):
    aim = accelerator.Aim("MFU of ViT-B", None, 0.35, at_most=False)
    assert str(aim) == "MFU of ViT-B: not known here (aim >= 0.35)"
